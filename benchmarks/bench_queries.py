"""Shows that no regular query grows with history: the plan of each on a store of 5 million messages.

    python benchmarks/bench_queries.py [--messages 5000000] [--days 400] [--database URL] [--tenth URL] [--json]

It fills two embedded databases, one with a tenth of the days (or those at the URLs, where they are empty), which takes
a good while and some GB, asks Postgres for the plan of every regular query on both, and exits with 1 if one reads a
growing table without an index, or more rows of the longer history.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from query_plans import BOUNDED, Cost, costs, unlisted
from scratch_store import add_options, filled_store

from core.store.connection import connect

GROWTH = 1.5  # rows read on the long history over those on the short one
FEW = 20_000  # rows that nobody minds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, days=400)
    parser.add_argument("--tenth", help="a database for a tenth of the days, like --database")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        filled_store(options.tenth, options.messages // 10, max(1, options.days // 10)) as settings,
        connect(settings, autocommit=True) as connection,
    ):
        short = {cost.query: cost for cost in costs(connection)}
    with (
        filled_store(options.database, options.messages, options.days) as settings,
        connect(settings, autocommit=True) as connection,
    ):
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
            f"{row['blocks']:>7} blocks {row['milliseconds']:>9.1f} ms {verdict}"
        )
    return faults


if __name__ == "__main__":
    main()
