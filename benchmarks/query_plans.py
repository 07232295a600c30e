"""What each regular query costs on a store with a long history, by Postgres' own account of its plan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from history import MINUTE_DAYS
from psycopg.rows import scalar_row
from regular_queries import regular_queries

from core.store.sql import load_queries

PROJECT = Path(__file__).resolve().parent.parent
SHORT = 50_000  # rows of a table that Postgres may read whole: what retention leaves of letters or deliveries
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")

WHOLE = {
    "recount.differences": "the audit counts everything again, on purpose",
    "recount.stored_messages": "part of the audit",
    "recount.unchecked": "part of the audit",
    "trends.series": "a command: totals of every series since a time; without one, of all time",
    "shadows.agreement": "a command: all that one shadow labelled, at most `retention.shadow_days` of it",
    "dead_letters.open_ids": "a command: the ids of all letters that are open",
    "alerts.count": "once a run: alerts of the last `retention.alert_days`",
    "labels.newest": "an export reads labels, which are kept for good",
    "retention.note_dropped_day": "retention counts one day, once",
    "roles.newstide_writer": "grants, which read no rows",
    "roles.newstide_reader": "grants, which read no rows",
    "roles.newstide_trainer": "grants, which read no rows",
    "roles.newstide_boards": "grants, which read no rows",
    "alerting.still_open": "once a start: what one channel was told in the last `retention.delivery_days`",
    "desk.labelling.counts": "counts every label once a process; then those that come",
    "desk.labelling.rows": "counts the rows of an index, which people add one by one",
    "desk.labelling.evaluated": "counts the rows of an index, which people add one by one",
    "desk.labelling.words": "an export of labels",
}
"""Queries that read a whole history, and why they may."""

BOUNDED = {
    "recount.totals": MINUTE_DAYS * 1440 + SHORT,  # the series `all`, by the minute as long as that is kept, then hours
}
"""Queries that read more of a longer history up to so many rows: what retention leaves."""

GROWING = re.compile(
    r"message(_\d{8})?|message_key|story|story_text|story_band|story_series|trend|trend_hour|dead_letter|outbox|alert|"
    r"alert_history|incident|incident_history|shadow_message|label"
)


@dataclass(frozen=True)
class Cost:
    """`rows` that scans read, those filtered away included, in `blocks` of 8 kB; `milliseconds` to plan and to run;
    `scanned` whole: growing tables without an index."""

    query: str
    rows: int
    blocks: int
    milliseconds: float
    scanned: tuple[str, ...]


def costs(connection: psycopg.Connection[Any], *, small: bool = False) -> Iterator[Cost]:
    """The cost of every regular query of workers, alerting, screen and commands; nothing is changed.

    On a `small` store Postgres would rightly read tables whole; here it is asked to use an index wherever one fits.
    """
    for plan in ("seqscan", "hashjoin", "mergejoin"):
        connection.execute(f"SET enable_{plan} = {'off' if small else 'on'}")
    least = 0 if small else SHORT
    found = _queries()
    for query, parameters in regular_queries(connection):
        statement = _PARAMETER.sub(r"%(\1)s", found[query])
        with connection.cursor(row_factory=scalar_row) as cursor:
            connection.execute("BEGIN")
            try:
                plan = cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters).fetchone()
            finally:
                connection.execute("ROLLBACK")
        document = plan if isinstance(plan, list) else json.loads(plan)
        top = document[0]["Plan"]
        nodes = list(_nodes(top))
        blocks = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        rows = sum(_rows_read(node) for node in nodes)
        scanned = {
            node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan" and _rows_read(node) > least
        }
        whole = tuple(sorted({name.split("_2")[0] for name in scanned if GROWING.fullmatch(name)}))
        yield Cost(query, rows, blocks, document[0]["Planning Time"] + document[0]["Execution Time"], whole)


def unlisted(connection: psycopg.Connection[Any]) -> set[str]:
    """Queries on growing tables that neither `costs` measures nor `WHOLE` excuses."""
    known = {query for query, _ in regular_queries(connection)} | set(WHOLE)
    words = {name: set(re.findall(r"\w+", body)) for name, body in _queries().items()}
    return {name for name, used in words.items() if any(map(GROWING.fullmatch, used)) and name not in known} - _WRITES


def _queries() -> dict[str, str]:
    rooms = ("core", "stream", "alerting", "desk")
    files = [file for room in rooms for file in sorted((PROJECT / room).rglob("*.sql"))]
    return {
        f"{_prefix(file)}.{name}": body
        for file in files
        if "migrations" not in file.parts
        for name, body in load_queries(file).items()
    }


def _prefix(file: Path) -> str:
    """What the queries of a file are called by: files of two rooms may have one name."""
    if file.stem == "queries" and "alerting" in file.parts:
        return "alerting"
    return f"desk.{file.stem}" if "desk" in file.relative_to(PROJECT).parts else file.stem


_WRITES = {
    "alerting.save_alert", "alerting.enqueue", "alerting.mark_delivered", "alerting.mark_failed", "alerting.give_up",
    "alerting.hold",
    "alerting.add_history", "queries.copy_messages", "queries.add_to_trends", "stories.add_to_runs",
    "stories.add_to_stories", "stories.upsert_story_firsts", "queries.archive_dead_letters",
    "archive.archive_dead_letters",
    "shadows.add_shadow_messages", "dead_letters.mark_replayed", "dead_letters.still_dead",
    "retention.merge_boundary", "retention.partitions", "incidents.add_feedback", "alerting.place",
    "alerting.save_incident", "alerting.add_incident_history", "desk.incidents.handle", "desk.incidents.mark",
    "desk.labelling.reserve", "desk.labelling.give_back", "desk.labelling.take_again", "desk.labelling.forget_leases",
    "desk.rollup.roll",
}  # fmt: skip
"""Rows written or changed by their primary key."""


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _rows_read(node: dict[str, Any]) -> int:
    if "Relation Name" not in node or "Scan" not in node["Node Type"]:
        return 0
    filtered = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + filtered) * node["Actual Loops"])
