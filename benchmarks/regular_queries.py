"""The regular queries of workers, alerting, desk and commands, with parameters as they are used on a filled store."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from history import MINUTE_DAYS
from psycopg.rows import dict_row

Asked = tuple[str, dict[str, Any]]
"""The name of a query and its parameters."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_SERIES = {"kind": "entity", "name": "E7"}
_INCIDENT = "00000000-0000-0000-0000-000000000001"


def regular_queries(connection: psycopg.Connection[Any]) -> list[Asked]:
    """Of the newest messages and their stories, and of windows that end now; some queries with several parameters."""
    with connection.cursor(row_factory=dict_row) as cursor:
        newest = cursor.execute(
            "SELECT uid, story, text_key, published_at, stored_on FROM message "
            "WHERE stored_on = (SELECT max(stored_on) FROM message) ORDER BY published_at DESC LIMIT 256"
        ).fetchall()
    assert newest, "the store is empty; `history.fill` it first"
    now, today = newest[0]["published_at"], newest[0]["stored_on"]
    uids, stories, texts = ([row[name] for row in newest] for name in ("uid", "story", "text_key"))
    return [
        *_of_workers(now, today, uids, stories, texts),
        *_of_alerting(now, today, uids, stories),
        *_of_commands(now, uids),
        *_of_retention(now, today),
        *_of_the_desk(now, stories, uids),
        *_of_labelling(stories, uids),
    ]


def _of_workers(now: datetime, today: date, uids: list[Any], stories: list[Any], texts: list[Any]) -> list[Asked]:
    since = {"stored_since": today - 3 * _DAY}
    runs = {"texts": texts[:20], "stories": stories[:20]}
    return [
        ("queries.insert_keys", {"uids": uids, "contents": [1] * len(uids), "today": today}),
        ("queries.known_contents", {"uids": uids}),
        ("queries.stored_messages", {"uids": uids}),
        ("stories.lock_bands", {"texts": texts, "ats": [now] * len(texts), "today": today, "most": 32,
                                "bands": [f"{{{n},{n + 1},{n + 2},{n + 3}}}" for n in range(len(texts))]}),
        ("stories.lock_stories", {"stories": stories}),
        ("stories.runs_of_texts", {"texts": texts, "since": [now - 3 * _DAY] * len(texts),
                                   "until": [now] * len(texts)}),
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
    ]  # fmt: skip


def _of_alerting(now: datetime, today: date, uids: list[Any], stories: list[Any]) -> list[Asked]:
    bad = {"sentiments": ["negative"]}
    wanted = {"kinds": ["entity", "topic"], "names": ["E7", "T7"], **bad}
    return [
        ("alerting.first_minute", {}),
        ("alerting.last_minute", {}),
        ("alerting.pages", {"until": now}),
        ("alerting.counts", {"step_s": 300, "start": now - 6 * _HOUR, "end": now}),
        ("alerting.alerts_in", {"start": now - 6 * _HOUR, "end": now}),
        ("alerting.members", {"start": now, "since": now - 24 * _HOUR}),
        ("alerting.incidents", {"incidents": [_INCIDENT]}),
        ("alerting.incidents_of", {"alerts": [_INCIDENT]}),
        ("alerting.alerts_of_incidents", {"incidents": [_INCIDENT]}),
        ("alerting.stories_within", {**wanted, "start": now - 6 * _HOUR, "end": now, "limit": 1000}),
        ("alerting.stories_held", {**wanted, "stories": stories, "until": now}),
        ("alerting.window_counts", {**_SERIES, "start": now - 6 * _HOUR, "end": now}),
        ("alerting.window_stories", {**_SERIES, **bad, "start": now - 6 * _HOUR, "end": now, "most": 5000,
                                     "copies": 5000, "limit": 500}),
        ("alerting.latest_headlines", {**_SERIES, **bad, "start": now - 30 * _HOUR, "end": now - 6 * _HOUR,
                                       "limit": 500}),
        ("alerting.story_names", {"stories": stories, "end": now, "limit": 9}),
        ("alerting.first_messages", {"uids": uids[:20], "stored_from": today - _DAY}),
        ("alerting.story_sentiments", {"stories": stories[:5], "end": now}),
        ("alerting.story_reach", {"stories": stories[:5], "end": now, "limit": 1000}),
        ("alerting.latest_by_channel", {"incident": _INCIDENT}),
        ("alerting.due", {"channel": "kafka", "now": now, "never": now + 400 * _DAY}),
        ("alerting.held_due", {"channel": "kafka", "now": now, "never": now + 400 * _DAY}),
        ("alerting.give_up_overdue", {"channel": "kafka", "error": "", "now": now, "longest": 3 * _DAY}),
        ("alerting.pending", {"now": now}),
        ("alerting.still_open", {"channel": "kafka"}),
        ("alerting.orphans", {"channels": ["kafka"]}),
        ("model_rates.usual", {**_SERIES, "until": now}),
        ("model_rates.usual", {**_SERIES, "until": None}),
        ("model_rates.labelled_stories", {"pool": 10_000}),
        ("model_rates.own", {"stories": stories}),
    ]  # fmt: skip


def _of_commands(now: datetime, uids: list[Any]) -> list[Asked]:
    """What commands ask, and the desk with them."""
    alerts = {"since": None, "state": None, "kind": None, "name": None, "limit": 100}
    letters = {"replayed": False, "at": None, "id": None, "limit": 50, "values": False}
    return [
        ("trends.busiest", {"since": now - 2 * _DAY, "until": now, "step_s": 3600, "limit": 12}),
        ("trends.rows", {**_SERIES, "since": now - 7 * _DAY, "until": None, "bucket": "day"}),
        ("recount.totals", {}),
        ("alerts.alerts", alerts),
        ("incidents.incidents", alerts),
        ("incidents.named", {"low": _INCIDENT, "high": _INCIDENT}),
        ("incidents.alerts_of", {"incidents": [_INCIDENT]}),
        ("model_rates.models_of", {**_SERIES, "since": None, "until": None, "limit": 200}),
        ("incidents.feedback", {"incident": _INCIDENT}),
        ("incidents.verdicts", {"incidents": [_INCIDENT]}),
        ("incidents.false_alarms", {"weeks": 4}),
        ("dead_letters.newest", letters),
        ("dead_letters.named", {"name": "replay:f.csv:7", "id": None}),
        ("dead_letters.by_ids", {"ids": uids[:50]}),
        ("labels.messages", {"uids": uids[:50]}),
        ("samples.window", {"pool": 5000, "model": "m", "seed": 1, "size": 500}),
        (
            "samples.unsure",
            {"pool": 5000, "languages": ["en"], "since": None, "confidence": 0.5, "margin": 0.1, "limit": 100},
        ),
        ("samples.stories", {"pool": 5000, "languages": ["en"], "since": None}),
        ("shadows.disagreements", {"shadow": None, "task": None, "limit": 50}),
        ("training.new_labels", {"since": now - _DAY}),
    ]  # fmt: skip


def _of_retention(now: datetime, today: date) -> list[Asked]:
    batch = {"limit": 5000}
    return [
        ("retention.merge_minutes", {"before": now - MINUTE_DAYS * _DAY, **batch}),
        ("retention.delete_stories", {"before": today - 400 * _DAY, **batch}),
        ("retention.delete_bands", {"before": today - 400 * _DAY, **batch}),
        ("retention.delete_keys", {"before": today - 400 * _DAY, **batch}),
        ("retention.delete_shadow_messages", {"before": now - 90 * _DAY, **batch}),
        ("retention.delete_letters", {"before": now - 90 * _DAY, **batch}),
        ("retention.delete_deliveries", {"before": now - 30 * _DAY, **batch}),
        ("retention.delete_alerts", {"before": now - 400 * _DAY, **batch}),
        ("retention.delete_incidents", {"before": now - 400 * _DAY, **batch}),
    ]  # fmt: skip


def _of_the_desk(now: datetime, stories: list[Any], uids: list[Any]) -> list[Asked]:
    """What the pages of the desk ask for: the last day by the minute, longer spans by the hour."""
    step = {"step_s": 3600}
    last = {"since": now - _DAY, "until": now}
    hours = {"since": now - 6 * _DAY, "until": now}
    some = {"kind": "entity", "names": [f"E{n}" for n in range(20)]}
    everything = {"kind": "entity", "limit": 60}
    of_series = {**_SERIES, **last, "sentiments": ["negative", "neutral", "positive"]}
    found = {"sentiment": None, "before": None, "before_uid": None, "stored_from": (now - _DAY).date(), "limit": 50}
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
        ("desk.counts.negative_by_hour", {**some, **hours, **step, "counted": now - _DAY}),
        ("desk.counts.negative_by_minute", {**some, **last, "step_s": 900}),
        ("desk.counts.names", {"kind": "entity", "holds": "7", "recent": now - 3 * _HOUR, "until": now,
                               "limit": 100}),
        ("desk.counts.known_series", {**everything, **hours, "names": ["E7"]}),
        ("desk.stories.stories", {**of_series, "source": "s7", "before": None, "before_story": None, "limit": 50}),
        ("desk.stories.described", {"stories": stories[:50]}),
        ("desk.messages.days", {"uids": uids[:50]}),
        ("desk.messages.messages", {"uids": uids[:50], "days": [now.date()] * 50}),
        ("desk.stories.story", {"story": stories[0]}),
        ("desk.messages.of_story", {"story": stories[0], "stored_from": (now - _DAY).date(), "after": None,
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
        ("desk.incidents.alerts_within", {**_SERIES, **last, "limit": 500}),
        ("desk.incidents.pages", hours),
    ]  # fmt: skip


def _of_labelling(stories: list[Any], uids: list[Any]) -> list[Asked]:
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
        ("desk.labelling.held", {**ann, "holding": [], "most": 50, "seconds": 900, "reasons": ["random"]}),
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
