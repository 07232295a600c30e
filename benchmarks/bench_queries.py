"""Shows that no regular query grows with history: the plan of each on a store of 5 million messages.

    python benchmarks/bench_queries.py [--messages 5000000] [--days 400] [--database URL] [--json]

It fills an embedded database (or an empty one at URL), which takes some minutes and some GB, asks Postgres for the plan
of every regular query when a tenth of the days are there and when all are, and exits with 1 if one reads a growing
table without an index, or more rows of the longer history.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from query_plans import BOUNDED, Cost, costs, fill, unlisted
from scratch_store import scratch_store

from core.store.connection import connect

GROWTH = 1.5  # rows read on the long history over those on the short one
FEW = 20_000  # rows that nobody minds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--database", help="an empty database to fill; embedded if not given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with scratch_store(options.database) as settings, connect(settings, autocommit=True) as connection:
        per_day = max(1, options.messages // options.days)
        last = datetime.now(UTC).date()
        middle = last - timedelta(days=options.days // 10)
        began = time.monotonic()
        fill(connection, middle + timedelta(days=1), last, per_day)
        connection.execute("VACUUM ANALYZE")
        short = {cost.query: cost for cost in costs(connection)}
        fill(connection, last - timedelta(days=options.days - 1), middle, per_day)
        connection.execute("VACUUM ANALYZE")
        print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
        long = {cost.query: cost for cost in costs(connection)}
        missing = unlisted(connection)
    faults = report(short, long, as_json=options.json)
    for name in sorted(missing):
        print(f"{name} is not measured", file=sys.stderr)
    sys.exit(1 if faults or missing else 0)


def report(short: dict[str, Cost], long: dict[str, Cost], *, as_json: bool) -> int:
    """Print each query; how many read a growing table whole, or more rows on the longer history."""
    faults = 0
    rows = []
    for name, cost in long.items():
        most = BOUNDED.get(name, max(FEW, GROWTH * short[name].rows))
        grows = cost.rows > most or bool(cost.scanned)
        faults += grows
        rows.append({**asdict(cost), "rows_on_a_tenth": short[name].rows, "grows": grows})
    if as_json:
        print(json.dumps(rows, indent=1))
        return faults
    for row in rows:
        verdict = f"GROWS {', '.join(row['scanned'])}" if row["grows"] else ""
        print(
            f"{row['query']:34} {row['rows_on_a_tenth']:>9} -> {row['rows']:>9} rows "
            f"{row['milliseconds']:>9.1f} ms {verdict}"
        )
    return faults


if __name__ == "__main__":
    main()
