"""Reading trends: one series or all, in buckets of event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, text

from core.errors import InputError
from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("trends.sql"))

Bucket = Literal["minute", "hour", "day", "week", "month"]
KINDS = ("all", "topic", "entity", "source")


@dataclass(frozen=True, slots=True)
class TrendRow:
    """Counts of one series in one bucket. `p_*` are summed probabilities of the messages."""

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

    def as_json(self) -> dict[str, Any]:
        """The row as `newstide trends --json` prints it."""
        return {
            "series": series_name(self.kind, self.name),
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "messages": self.negative + self.neutral + self.positive,
            "negative": self.negative,
            "neutral": self.neutral,
            "positive": self.positive,
            "stories": self.negative_stories + self.neutral_stories + self.positive_stories,
            "negative_stories": self.negative_stories,
            "neutral_stories": self.neutral_stories,
            "positive_stories": self.positive_stories,
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
    first: datetime
    last: datetime


def parse_series(series: str) -> tuple[str, str]:
    """Kind and name of `all`, `topic=Earnings`, `entity=BABA` or `source=reuters`. Raises InputError otherwise."""
    if series == "all":
        return "all", "all"
    kind, separator, name = series.partition("=")
    if not separator or not name or kind not in KINDS[1:]:
        raise InputError(f"no such series: {series!r}; expected all, topic=NAME, entity=TICKER or source=NAME")
    return kind, name


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
    """Rows of one series, or of all, by series and time; streamed, so any number fits in memory."""
    kind, name = series or (None, None)
    parameters = {"kind": kind, "name": name, "since": since, "until": until, "bucket": bucket}
    with engine.connect().execution_options(stream_results=True) as connection:
        for row in connection.execute(text(_SQL["rows"]), parameters):
            yield TrendRow(*row)


def read_series(engine: Engine, since: datetime | None = None) -> list[SeriesTotal]:
    """Totals of every series, the busiest first within each kind."""
    with engine.connect() as connection:
        return [SeriesTotal(*row) for row in connection.execute(text(_SQL["series"]), {"since": since})]


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
