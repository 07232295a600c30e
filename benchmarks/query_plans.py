"""What each regular query costs on a store with a long history, by Postgres' own account of its plan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from history import MINUTE_DAYS
from psycopg.rows import dict_row, scalar_row

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
    for query, parameters in _regular(connection):
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
    known = {query for query, _ in _regular(connection)} | set(WHOLE)
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


def _regular(connection: psycopg.Connection[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and parameters as they are used: the newest messages and their stories, windows that end now."""
    with connection.cursor(row_factory=dict_row) as cursor:
        newest = cursor.execute(
            "SELECT uid, story, text_key, published_at, stored_on FROM message "
            "WHERE stored_on = (SELECT max(stored_on) FROM message) ORDER BY published_at DESC LIMIT 256"
        ).fetchall()
    assert newest, "the store is empty; `history.fill` it first"
    now = newest[0]["published_at"]
    uids, stories, texts = ([row[name] for row in newest] for name in ("uid", "story", "text_key"))
    today = newest[0]["stored_on"]
    day, hours = timedelta(days=1), timedelta(hours=1)
    since = {"stored_since": today - 3 * day}
    runs = {"texts": texts[:20], "stories": stories[:20]}
    batch = {"limit": 5000}
    series = {"kind": "entity", "name": "E7"}
    bad = {"sentiments": ["negative"]}
    wanted = {"kinds": ["entity", "topic"], "names": ["E7", "T7"], **bad}
    listed = {"replayed": False, "at": None, "id": None, "limit": 50, "values": False}
    incident = "00000000-0000-0000-0000-000000000001"
    alerts = {"since": None, "state": None, "kind": None, "name": None, "limit": 100}
    return [
        ("queries.insert_keys", {"uids": uids, "contents": [1] * len(uids), "today": today}),
        ("queries.known_contents", {"uids": uids}),
        ("stories.lock_bands", {"texts": texts, "ats": [now] * len(texts), "today": today, "most": 32,
                                "bands": [f"{{{n},{n + 1},{n + 2},{n + 3}}}" for n in range(len(texts))]}),
        ("stories.lock_stories", {"stories": stories}),
        ("stories.runs_of_texts", {"texts": texts, "since": [now - 3 * day] * len(texts), "until": [now] * len(texts)}),
        ("stories.runs_of_stories", {"stories": stories}),
        ("stories.stories", {"stories": stories}),
        ("stories.messages_of_runs", {**runs, **since}),
        ("stories.move_runs", {"texts": texts[:20], "sources": stories[:20], "targets": stories[:20],
                               **since}),
        ("stories.move_messages", {"uids": uids[:20], "sources": stories[:20], "targets": stories[:20], **since}),
        ("stories.delete_runs", runs),
        ("stories.recount_stories", {"stories": stories[:20], "headline": 200, **since}),
        ("stories.recounted_firsts", {"stories": stories[:20], **since}),
        ("stories.delete_stories", {"stories": stories[:20]}),
        ("stories.delete_story_firsts", {"story": stories[:20], "kind": ["all"] * 20, "name": ["all"] * 20}),
        ("stories.story_firsts", {"stories": stories}),
        ("alerting.first_minute", {}),
        ("alerting.last_minute", {}),
        ("alerting.pages", {"until": now}),
        ("alerting.counts", {"step_s": 300, "start": now - 6 * hours, "end": now}),
        ("alerting.alerts_in", {"start": now - 6 * hours, "end": now}),
        ("alerting.members", {"start": now, "since": now - 24 * hours}),
        ("alerting.incidents", {"incidents": [incident]}),
        ("alerting.incidents_of", {"alerts": [incident]}),
        ("alerting.alerts_of_incidents", {"incidents": [incident]}),
        ("alerting.stories_within", {**wanted, "start": now - 6 * hours, "end": now, "limit": 1000}),
        ("alerting.stories_held", {**wanted, "stories": stories, "until": now}),
        ("alerting.window_counts", {**series, "start": now - 6 * hours, "end": now}),
        ("alerting.window_stories", {**series, **bad, "start": now - 6 * hours, "end": now, "most": 5000,
                                     "limit": 500}),
        ("alerting.latest_headlines", {**series, **bad, "start": now - 30 * hours, "end": now - 6 * hours,
                                       "limit": 500}),
        ("alerting.story_names", {"stories": stories, "limit": 9}),
        ("alerting.first_messages", {"uids": uids[:20], "stored_from": today - day}),
        ("alerting.story_sentiments", {"stories": stories[:5], "end": now}),
        ("alerting.story_reach", {"stories": stories[:5], "end": now, "stored_from": today - day, "limit": 1000}),
        ("alerting.latest_by_channel", {"incident": incident}),
        ("alerting.due", {"channel": "kafka", "now": now, "never": now + 400 * day}),
        ("alerting.held_due", {"channel": "kafka", "now": now, "never": now + 400 * day}),
        ("alerting.pending", {"now": now}),
        ("alerting.still_open", {"channel": "kafka"}),
        ("alerting.orphans", {"channels": ["kafka"]}),
        ("trends.busiest", {"since": now - 2 * day, "until": now, "step_s": 3600, "limit": 12}),
        ("trends.rows", {**series, "since": now - 7 * day, "until": None, "bucket": "day"}),
        ("recount.totals", {}),
        ("alerts.alerts", alerts),
        ("incidents.incidents", alerts),
        ("incidents.named", {"low": incident, "high": incident}),
        ("incidents.alerts_of", {"incidents": [incident]}),
        ("model_rates.models_of", {**series, "since": None, "until": None, "limit": 200}),
        ("incidents.feedback", {"incident": incident}),
        ("incidents.verdicts", {"incidents": [incident]}),
        ("incidents.false_alarms", {"weeks": 4}),
        ("dead_letters.newest", listed),
        ("dead_letters.named", {"name": "replay:f.csv:7", "id": None}),
        ("dead_letters.by_ids", {"ids": uids[:50]}),
        ("labels.messages", {"uids": uids[:50]}),
        ("samples.window", {"pool": 5000, "model": "m", "seed": 1, "size": 500}),
        ("samples.unsure", {"pool": 5000, "since": None, "confidence": 0.5, "margin": 0.1, "limit": 100}),
        ("samples.stories", {"pool": 5000, "since": None}),
        ("shadows.disagreements", {"shadow": None, "task": None, "limit": 50}),
        ("training.new_labels", {"since": now - day}),
        ("retention.merge_minutes", {"before": now - MINUTE_DAYS * day, **batch}),
        ("retention.delete_stories", {"before": today - 400 * day, **batch}),
        ("retention.delete_bands", {"before": today - 400 * day, **batch}),
        ("retention.delete_keys", {"before": today - 400 * day, **batch}),
        ("retention.delete_shadow_messages", {"before": now - 90 * day, **batch}),
        ("retention.delete_letters", {"before": now - 90 * day, **batch}),
        ("retention.delete_deliveries", {"before": now - 30 * day, **batch}),
        ("retention.delete_alerts", {"before": now - 400 * day, **batch}),
        ("retention.delete_incidents", {"before": now - 400 * day, **batch}),
        *_of_the_desk(now, stories, uids),
        *_of_labelling(stories, uids),
    ]  # fmt: skip


def _of_the_desk(now: datetime, stories: list[Any], uids: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """What the pages of the desk ask for: the last day by the minute, longer spans by the hour."""
    day, step = timedelta(days=1), {"step_s": 3600}
    series = {"kind": "entity", "name": "E7"}
    last = {"since": now - day, "until": now}
    hours = {"since": now - 6 * day, "until": now}
    some = {"kind": "entity", "names": [f"E{n}" for n in range(20)]}
    everything = {"kind": "entity", "limit": 60}
    of_series = {**series, **last, "sentiments": ["negative", "neutral", "positive"]}
    found = {"sentiment": None, "before": None, "before_uid": None, "stored_from": (now - day).date(), "limit": 50}
    incident = {"incident": uids[0]}
    listed = {"state": None, "since": None, "before": None, "before_id": None, "limit": 50}
    return [
        ("desk.events.marks", {}),
        ("desk.progress.progress", {}),
        ("desk.counts.totals", {"kind": "all", "name": "all", **last}),
        ("desk.counts.totals_by_hour", {"kind": "all", "name": "all", **hours}),
        ("desk.counts.leading", {**everything, **hours}),
        ("desk.counts.buckets_by_minute", {**some, **last, "step_s": 900}),
        ("desk.counts.buckets_by_hour", {**some, **hours, **step}),
        ("desk.counts.negative_by_hour", {**some, **hours, **step, "counted": now - day}),
        ("desk.counts.negative_by_minute", {**some, **last, "step_s": 900}),
        ("desk.counts.names", {"kind": "entity", "holds": "7", "recent": now - timedelta(hours=3), "until": now,
                               "limit": 100}),
        ("desk.counts.known_series", {**everything, **hours, "names": ["E7"]}),
        ("desk.stories.stories", {**of_series, "source": "s7", "before": None, "before_story": None, "limit": 50}),
        ("desk.stories.described", {"stories": stories[:50]}),
        ("desk.messages.days", {"uids": uids[:50]}),
        ("desk.messages.messages", {"uids": uids[:50], "days": [now.date()] * 50}),
        ("desk.stories.story", {"story": stories[0]}),
        ("desk.messages.of_story", {"story": stories[0], "stored_from": (now - day).date(), "after": None,
                                   "after_uid": None, "limit": 50}),
        ("desk.stories.headlines", {**of_series, "limit": 1000}),
        ("desk.search.matching", {**found, **last, "words": "title", "exact": "'entity=E7'", "runs": ["Title"]}),
        ("desk.search.newest", {**found, **last}),
        ("desk.search.known", {}),
        ("desk.rollup.state", {}),
        ("desk.rollup.marked", {"limit": 48}),
        ("desk.incidents.incidents", listed),
        ("desk.incidents.incident", incident),
        ("desk.incidents.alerts", incident),
        ("desk.incidents.history", incident),
        ("desk.incidents.feedback", incident),
        ("desk.incidents.handling", incident),
        ("desk.incidents.alerts_within", {**series, **last, "limit": 500}),
        ("desk.incidents.pages", hours),
    ]  # fmt: skip


def _of_labelling(stories: list[Any], uids: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """What the desk asks for where people label: the newest stories and the latest labels."""
    offered = {"stories": stories[:20], "reasons": ["random"] * 20, "blind": [False, True] * 10}
    ann = {"analyst": "ann", "task": None}
    label = {
        "uids": uids[:2],
        "texts": ["a", "b"],
        "sources": ["s"] * 2,
        "tasks": ["topic"] * 2,
        "labels": ["T1", None],
        "analysts": ["ann"] * 2,
        "finals": [False] * 2,
        "stories": stories[:2],
        "entities": ["", "E1"],
        "step": None,
    }
    history = {
        "before": None,
        "analyst": None,
        "task": None,
        "story": None,
        "words": None,
        "limit": 50,
        "reader": "bob",
    }
    disputed = {"pool": 100, "task": None, "before": None, "before_task": None, "before_entity": None, "limit": 50}
    return [
        ("labels.add", label),
        ("desk.labelling.newest_stories", {"pool": 300}),
        ("desk.labelling.alert_stories", {"alerts": 20, "stories": 25}),
        ("desk.labelling.shadow_differences", {"pool": 100}),
        ("desk.labelling.labelled_tasks", {"stories": stories}),
        ("desk.labelling.seconds", {"analyst": "bob", "pool": 100}),
        ("desk.labelling.lease", {**offered, **ann, "count": 3, "seconds": 900}),
        ("desk.labelling.held", {**ann, "holding": [], "most": 50, "seconds": 900}),
        ("desk.labelling.unlabelled_lease", {"story": stories[0], "analyst": "ann"}),
        ("desk.labelling.items", {"stories": stories[:20]}),
        ("desk.labelling.labelled_stories", {"uids": uids[:20]}),
        ("desk.labelling.step_labels", {"step": 1}),
        ("desk.labelling.last_step", {"analyst": "ann", "steps": 50}),
        ("desk.labelling.former_labels", {"step": 1}),
        ("desk.labelling.history", history),
        ("desk.labelling.history", {**history, "analyst": "ann"}),
        ("desk.labelling.history", {**history, "story": stories[0]}),
        ("desk.labelling.hours", {"hours": 24}),
        ("desk.labelling.rows_after", {"after": 1, "limit": 20}),
        ("desk.labelling.labelled_twice", {"pool": 100}),
        ("desk.labelling.disputed", disputed),
        ("desk.labelling.latest_stories", {"pool": 100}),
        ("desk.labelling.words_of", {"stories": stories[:50]}),
        ("desk.labelling.labelled_messages", {"stories": stories[:50]}),
        ("desk.labelling.disputed_story", {"story": stories[0], "task": "topic", "entity": ""}),
    ]  # fmt: skip


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _rows_read(node: dict[str, Any]) -> int:
    if "Relation Name" not in node or "Scan" not in node["Node Type"]:
        return 0
    filtered = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + filtered) * node["Actual Loops"])
