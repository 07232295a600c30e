"""What drove a surge: the stories that were counted in its window, and their words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from alerting.detection.detector import Series
from alerting.incidents.sql import fetch
from alerting.incidents.words import distinctive_words
from core.store.alerts import AlertRow
from core.store.arrays import plain_array

_SHOWN = 5
_READ = 500  # stories looked at for their words: enough to rank them, however large the surge
_COPIES = 5000  # messages of a story that are counted
_BEFORE = timedelta(hours=24)
_ONE_DAY = timedelta(days=1)


def evidence_of(connection: psycopg.Connection[Any], alert: AlertRow) -> dict[str, Any]:
    """What drove an alert, in the window that ends with its peak."""
    start = alert.peak_at - timedelta(minutes=alert.window_minutes)
    return gather_evidence(connection, Series(alert.kind, alert.name), start, alert.peak_at)


def gather_evidence(
    connection: psycopg.Connection[Any], series: Series, start: datetime, end: datetime
) -> dict[str, Any]:
    """JSON-able evidence for the negative stories of `series` with `start` <= first message < `end`.

    `stories`: those with the most messages, each with headline, url, first_at, sources and messages (up to `end`);
    `words`: what sets them apart from the same series' negative stories of the day before.
    """
    window = {"kind": series.kind, "name": series.name, "limit": _READ}
    rows = fetch(connection, "window_stories", {**window, "start": start, "end": end})
    background = fetch(connection, "window_stories", {**window, "start": start - _BEFORE, "end": start})
    shown = rows[:_SHOWN]
    # nothing is stored before it was published, but for a day of the clock's
    stored = {"stored_from": start.date() - _ONE_DAY}
    firsts = fetch(connection, "first_messages", {**stored, "uids": plain_array(row.uid for row in shown)})
    stories = {**stored, "stories": plain_array(row.story for row in shown), "end": end, "limit": _COPIES}
    reach = fetch(connection, "story_reach", stories)
    first, spread = {row.uid: row for row in firsts}, {row.story: row for row in reach}
    documents = [
        {
            "headline": row.headline,
            "url": first[row.uid].url if row.uid in first else "",
            "first_at": row.first_at.isoformat(),
            "sources": spread[row.story].sources if row.story in spread else [],
            "messages": spread[row.story].messages if row.story in spread else row.messages,
        }
        for row in shown
    ]
    words = distinctive_words((row.headline for row in rows), (row.headline for row in background))
    return {"stories": documents, "words": words, "negative_stories": len(rows)}
