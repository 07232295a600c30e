"""What drove a surge: the stories that were counted in its window, their words, and what else is known of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import psycopg

from alerting.detection.detector import Series, Signal
from alerting.incidents.grouping import SENTIMENTS_OF
from alerting.incidents.sql import fetch
from alerting.incidents.words import distinctive_words
from core.fitting import SENTIMENTS
from core.quantification import Rates, corrected_counts
from core.store.alerts import AlertRow
from core.store.arrays import plain_array, text_array
from core.store.model_rates import ModelRates

_SHOWN = 5
_MOST = 5000  # latest stories of the window among which the main ones are looked for
_READ = 500  # stories looked at for their words, sources and models: enough to rank them, however large the surge
_COPIES = 5000  # messages of a story that are counted
_NAMED = 8  # entities and sources shown
_BEFORE = timedelta(hours=24)
_ONE_DAY = timedelta(days=1)

Connection = psycopg.Connection[Any]


def evidence_of(connection: Connection, alert: AlertRow, rates: ModelRates) -> dict[str, Any]:
    """What drove an alert, in the window that ends with its peak."""
    start = alert.peak_at - timedelta(minutes=alert.window_minutes)
    return gather_evidence(connection, Series(alert.kind, alert.name), alert.signal, start, alert.peak_at, rates)


def gather_evidence(
    connection: Connection, series: Series, signal: Signal, start: datetime, end: datetime, rates: ModelRates
) -> dict[str, Any]:
    """JSON-able evidence for the stories of `series` that `signal` counts, with `start` <= first message < `end`.

    All of it as of `end`, whatever is stored by now: alerts judged again show the same. Only how sources are spelled,
    and what people say of the models' mistakes, is as it is known now.

    `stories`: those with the most messages, of which 5000 count, each with headline, url, kind, first_at, sources,
    messages, sentiment, and entities with what it says of each. `words`: what sets them apart from the same series'
    stories of the day before. `entities` and `sources`: what names they bear, with the number of stories. `kinds`: the
    share of news and of comments in them. `models`: what labelled them, with the number of stories. All these look at
    500 stories at most, of the latest 5000.

    `counts`: all stories of the series in the window by sentiment, their sum `stories`, the `messages`, and as `reach`
    the messages that the signal counts. `corrected`: the stories by sentiment as they most likely are, given the
    models' known mistakes; None where those are not known.
    """
    sentiments = SENTIMENTS_OF[signal]
    window = {"kind": series.kind, "name": series.name, "sentiments": text_array(sentiments), "limit": _READ}
    span = {"start": start, "end": end, "most": _MOST, "copies": _COPIES}
    rows = fetch(connection, "window_stories", {**window, **span})
    earlier = {"start": start - _BEFORE, "end": start}
    background = fetch(connection, "latest_headlines", {**window, **earlier})
    anything = {"kind": "all", "name": "all", "sentiments": text_array(SENTIMENTS), "limit": _READ}
    language = fetch(connection, "latest_headlines", {**anything, **earlier})
    texts, before, usual = ([row.headline for row in found] for found in (rows, background, language))
    words = distinctive_words(texts, before, usual, limit=_NAMED + 3)
    # nothing is stored before it was published, but for a day of the clock's
    known = {"uids": plain_array(row.uid for row in rows), "stored_from": start.date() - _ONE_DAY}
    firsts = fetch(connection, "first_messages", known)
    models = Counter(row.model for row in firsts)
    names = {"stories": plain_array(row.story for row in rows), "end": end, "limit": _NAMED + 1}
    named = fetch(connection, "story_names", names)
    counts = _counts(connection, series, signal, start, end)
    return {
        "stories": _shown(connection, rows[:_SHOWN], {row.uid: row for row in firsts}, end),
        "words": [word for word in words if word.lstrip("$#") != series.name.lower()][:_NAMED],
        "entities": _names(named, "entity", series),
        "sources": _names(named, "source", series),
        "kinds": {kind: round(n / len(firsts), 3) for kind, n in sorted(Counter(row.kind for row in firsts).items())},
        "models": dict(models.most_common()),
        "counts": counts,
        "corrected": _corrected(counts, rates.of(connection, models, series, start)),
    }


def _shown(connection: Connection, rows: list[Any], firsts: dict[Any, Any], end: datetime) -> list[dict[str, Any]]:
    """The stories with their copies folded."""
    stories = {"stories": plain_array(row.story for row in rows), "end": end, "limit": _COPIES}
    spread = {row.story: row for row in fetch(connection, "story_reach", stories)}
    said = {row.story: row for row in fetch(connection, "story_sentiments", stories)}
    return [
        {
            "headline": row.headline,
            "url": firsts[row.uid].url if row.uid in firsts else "",
            "kind": firsts[row.uid].kind if row.uid in firsts else "",
            "first_at": row.first_at.isoformat(),
            "sources": spread[row.story].sources if row.story in spread else [],
            "messages": spread[row.story].messages if row.story in spread else row.messages,
            "sentiment": said[row.story].sentiment if row.story in said else None,
            "entities": said[row.story].entities if row.story in said else {},
        }
        for row in rows
    ]


def _names(rows: list[Any], kind: str, series: Series) -> list[dict[str, Any]]:
    """The commonest names of a kind, but for the one that the alert is on."""
    found = [{"name": row.name, "stories": row.stories} for row in rows if row.kind == kind]
    return [each for each in found if (kind, each["name"]) != series][:_NAMED]


def _counts(connection: Connection, series: Series, signal: Signal, start: datetime, end: datetime) -> dict[str, int]:
    span = {"kind": series.kind, "name": series.name, "start": start, "end": end}
    (row,) = fetch(connection, "window_counts", span)
    stories = {sentiment: getattr(row, f"{sentiment}_stories") for sentiment in SENTIMENTS}
    messages = {sentiment: getattr(row, sentiment) for sentiment in SENTIMENTS}
    reach = sum(messages[sentiment] for sentiment in SENTIMENTS_OF[signal])
    return {**stories, "stories": sum(stories.values()), "messages": sum(messages.values()), "reach": reach}


def _corrected(counts: dict[str, int], rates: Rates | None) -> dict[str, float] | None:
    if rates is None:
        return None
    found = corrected_counts([counts[sentiment] for sentiment in SENTIMENTS], rates)
    return {sentiment: round(float(n), 1) for sentiment, n in zip(SENTIMENTS, found, strict=True)}
