"""What each query of the Grafana boards costs on a store with a long history: under a second each, or exit status 1.

    python benchmarks/bench_boards.py [--messages 5000000] [--days 400] [--database URL] [--json]

It fills an embedded database (or the one at URL, if it is empty), and asks Postgres the queries of every panel,
annotation and variable at one hour and at 30 days up to where the news ends, with one value and with All chosen. The
slower of two tries counts. It needs the extra `dev`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import psycopg
from scratch_store import add_options, filled_store, news_end

from alerting.grafana import boards
from alerting.grafana.asked import Asked, chosen, queries
from alerting.grafana.macros import Selection
from core.store.connection import connect

LIMIT_S = 1.0
TRIES = 2


@dataclass(frozen=True)
class Cost:
    """Seconds and rows of one query; `chosen` is one value of each variable, or All."""

    query: str
    days: float
    chosen: str
    rows: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, days=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        filled_store(options.database, options.messages, options.days) as settings,
        connect(settings, autocommit=True) as connection,
    ):
        found = [cost for body in boards.files().values() for cost in costs(connection, json.loads(body))]
    found.sort(key=lambda cost: -cost.seconds)
    if options.json:
        print(json.dumps([asdict(cost) for cost in found], indent=1))
    else:
        for cost in found:
            slow = "TOO SLOW" if cost.seconds > LIMIT_S else ""
            print(
                f"{cost.query:60} {cost.days:5.2f} d {cost.chosen:4} {cost.rows:>6} rows {cost.seconds:6.3f} s {slow}"
            )
    sys.exit(1 if any(cost.seconds > LIMIT_S for cost in found) else 0)


def costs(connection: psycopg.Connection[Any], board: dict[str, Any]) -> Iterator[Cost]:
    """What the queries of a board to Postgres cost."""
    asked = [each for each in queries(board) if each.source == "postgres"]
    values = {variable["name"]: ["-"] for variable in board["templating"]["list"]}
    now = news_end(connection)
    for each in asked:
        if each.values_of is not None:
            rows, seconds = _ask(connection, each.text)
            yield Cost(str(each), 0, "", len(rows), seconds)
            values[each.values_of] = [name for (name,) in rows[len(rows) // 2 :]]
    for span in (timedelta(hours=1), timedelta(days=30)):
        for everything in (False, True):
            selection = Selection(now - span, now, chosen(board, values, everything=everything))
            yield from (_cost(connection, each, selection, everything) for each in asked if each.values_of is None)


def _cost(connection: psycopg.Connection[Any], asked: Asked, selection: Selection, everything: bool) -> Cost:
    rows, seconds = _ask(connection, asked.expand(selection))
    days = (selection.end - selection.start) / timedelta(days=1)
    return Cost(str(asked), days, "all" if everything else "one", len(rows), seconds)


def _ask(connection: psycopg.Connection[Any], sql: str) -> tuple[list[Any], float]:
    slowest = 0.0
    for _ in range(TRIES):
        began = time.perf_counter()
        rows = connection.execute(sql).fetchall()
        slowest = max(slowest, time.perf_counter() - began)
    return rows, slowest


if __name__ == "__main__":
    main()
