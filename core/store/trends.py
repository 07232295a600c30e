"""Reading trends: one series or all, in buckets of event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Engine, text

from core.errors import InputError
from core.sources import source_key
from core.store.sql import load_queries, records

_SQL = load_queries(Path(__file__).with_name("trends.sql"))

Bucket = Literal["minute", "hour", "day", "week", "month"]
KINDS = ("all", "topic", "entity", "source")


@dataclass(frozen=True, slots=True)
class TrendRow:
    """Counts of one series in one bucket. `p_*` are summed probabilities of the messages; `unread` ones have none."""

    kind: str
    name: str
    at: datetime
    negative: int
    neutral: int
    positive: int
    negative_stories: int
    neutral_stories: int
    positive_stories: int
    p_negative: float
    p_neutral: float
    p_positive: float
    unread: int
    unread_stories: int

    @property
    def messages(self) -> int:
        return self.negative + self.neutral + self.positive + self.unread

    @property
    def stories(self) -> int:
        return self.negative_stories + self.neutral_stories + self.positive_stories + self.unread_stories

    def as_json(self) -> dict[str, Any]:
        """The row as `newstide trends --json` prints it."""
        return {
            "series": series_name(self.kind, self.name),
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "messages": self.messages,
            "negative": self.negative,
            "neutral": self.neutral,
            "positive": self.positive,
            "unread": self.unread,
            "stories": self.stories,
            "negative_stories": self.negative_stories,
            "neutral_stories": self.neutral_stories,
            "positive_stories": self.positive_stories,
            "unread_stories": self.unread_stories,
            "p_negative": float(self.p_negative),
            "p_neutral": float(self.p_neutral),
            "p_positive": float(self.p_positive),
        }


@dataclass(frozen=True, slots=True)
class SeriesTotal:
    """One series over the whole time asked for."""

    kind: str
    name: str
    messages: int
    stories: int
    negative_stories: int
    positive_stories: int
    unread: int
    first: datetime
    last: datetime


Named = TypeVar("Named", TrendRow, SeriesTotal)


def parse_series(series: str) -> tuple[str, str]:
    """Kind and name of `all`, `topic=Earnings`, `entity=BABA` or `source=Reuters`. Raises InputError otherwise.

    The name of a source is its key, however it is written.
    """
    if series == "all":
        return "all", "all"
    kind, separator, name = series.partition("=")
    if not separator or not name or kind not in KINDS[1:]:
        raise InputError(f"no such series: {series!r}; expected all, topic=NAME, entity=TICKER or source=NAME")
    return kind, source_key(name) if kind == "source" else name


def series_name(kind: str, name: str) -> str:
    """The inverse of `parse_series`."""
    return "all" if kind == "all" else f"{kind}={name}"


def read_trends(
    engine: Engine,
    series: tuple[str, str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    bucket: Bucket = "minute",
) -> Iterator[TrendRow]:
    """Rows of one series, or of all, by series and time; streamed, so any number fits in memory.

    Sources are named as they were written.
    """
    kind, name = series or (None, None)
    if kind == "source" and name is not None:
        name = source_key(name)
    parameters = {"kind": kind, "name": name, "since": since, "until": until, "bucket": bucket}
    names = _source_names(engine)
    with engine.connect().execution_options(stream_results=True) as connection:
        for row in connection.execute(text(_SQL["rows"]), parameters):
            yield _as_written(TrendRow(**row._mapping), names)


def read_series(engine: Engine, since: datetime | None = None, until: datetime | None = None) -> list[SeriesTotal]:
    """Totals of every series, the busiest first within each kind; sources are named as they were written."""
    parameters = {"since": since, "until": until}
    names = _source_names(engine)
    with engine.connect() as connection:
        totals = records(SeriesTotal, connection.execute(text(_SQL["series"]), parameters))
    return [_as_written(total, names) for total in totals]


def _source_names(engine: Engine) -> dict[str, str]:
    """Key -> name of the sources whose names are not written like their keys."""
    with engine.connect() as connection:
        return {row.key: row.name for row in connection.execute(text(_SQL["source_names"]))}


def _as_written(row: Named, names: dict[str, str]) -> Named:
    return replace(row, name=names[row.name]) if row.kind == "source" and row.name in names else row


@dataclass(frozen=True, slots=True)
class BusySeries:
    """A series with much bad news: messages by sentiment, and negative stories per equal span, oldest first."""

    kind: str
    name: str
    negative: int
    neutral: int
    positive: int
    negative_stories: list[int]


def read_busiest(engine: Engine, since: datetime, until: datetime, spans: int, limit: int) -> list[BusySeries]:
    """The series with the most negative stories between `since` and `until`, `all` first."""
    parameters = {"since": since, "until": until, "step_s": (until - since).total_seconds() / spans, "limit": limit}
    found = []
    with engine.connect() as connection:
        for kind, name, negative, neutral, positive, buckets, stories in connection.execute(
            text(_SQL["busiest"]), parameters
        ):
            counts = [0] * spans
            for bucket, count in zip(buckets, stories, strict=True):
                counts[min(bucket, spans - 1)] = count
            found.append(BusySeries(kind, name, negative, neutral, positive, counts))
    return found
