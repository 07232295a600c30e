"""What drove a surge: the stories that were counted in its window, and their words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from alerting.detector import Series
from alerting.sql import QUERIES
from alerting.words import distinctive_words
from core.store.arrays import plain_array

_SHOWN = 5
_READ = 500  # stories looked at for their words: enough to rank them, however large the surge
_BEFORE = timedelta(hours=24)


def gather_evidence(
    connection: psycopg.Connection[Any], series: Series, start: datetime, end: datetime
) -> dict[str, Any]:
    """JSON-able evidence for the negative stories of `series` with `start` <= first message < `end`.

    `stories`: those with the most messages, each with headline, url, first_at, sources and messages (up to `end`);
    `words`: what sets them apart from the same series' negative stories of the day before.
    """
    rows = _stories(connection, series, start, end)
    background = _stories(connection, series, start - _BEFORE, start)
    shown = rows[:_SHOWN]
    reach = {
        story: (sources, messages)
        for story, sources, messages in connection.execute(
            QUERIES["story_reach"], {"stories": plain_array(row[0] for row in shown), "end": end}
        )
    }
    stories = []
    for story, headline, url, first_at, source, *_ in shown:
        sources, messages = reach.get(story, ([source], 1))
        stories.append(
            {
                "headline": headline,
                "url": url,
                "first_at": first_at.isoformat(),
                "sources": sources,
                "messages": messages,
            }
        )
    texts, before = ([f"{row[6]} {row[7]}" for row in part] for part in (rows, background))
    return {"stories": stories, "words": distinctive_words(texts, before), "negative_stories": len(rows)}


def _stories(connection: psycopg.Connection[Any], series: Series, start: datetime, end: datetime) -> list[Any]:
    parameters = {"kind": series.kind, "name": series.name, "start": start, "end": end, "limit": _READ}
    return connection.execute(QUERIES["window_stories"], parameters).fetchall()
