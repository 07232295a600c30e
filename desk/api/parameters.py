"""What many routes take: times, series, steps, cursors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, Field, WithJsonSchema

from core.errors import InputError
from core.store.trends import parse_series
from desk.paging import decode_cursor, encode_cursor
from desk.store.counts import HOUR_S, Grid

EARLIEST, LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
_NO_NUL = r"^[^\x00]*$"

Kind = Literal["topic", "entity", "source"]
AnyKind = Literal["all", "topic", "entity", "source"]
Sentiment = Literal["negative", "neutral", "positive"]
Bucket = Literal["5m", "15m", "1h", "6h", "1d"]

SECONDS: dict[Bucket, int] = {"5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400}
MOST_STEPS = 1000
_SUMMED_BY_HOUR = timedelta(days=2)  # longer spans are summed by the hour
_COMFORTABLE_STEPS = 120
_LONGEST = timedelta(days=1200)


def _possible(moment: datetime) -> datetime:
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("expected a time between 1980 and 2199")
    return moment.astimezone(UTC)


Moment = Annotated[
    AwareDatetime,
    AfterValidator(_possible),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-03-07T12:00:00Z"]}),
]
"""A time with its zone, between 1980 and 2199; in UTC."""

From = Annotated[
    Moment | None, Query(alias="from", description="Event time from which on; a day before `to` if empty.")
]
To = Annotated[Moment | None, Query(alias="to", description="Event time up to which; where the news ends if empty.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next` of the page before.")]
SeriesName = Annotated[
    str,
    Query(
        max_length=200,
        pattern=_NO_NUL,
        description="`all`, `topic=NAME`, `entity=TICKER` or `source=NAME`.",
        examples=["entity=AAPL"],
    ),
]
LanguageCode = Annotated[str, Field(pattern="^[a-z]{2,3}$", examples=["zh"])]
"""An ISO 639-1 code."""
KindGiven = Annotated[Kind, Query(description="Kind of series.", examples=["entity"])]
KindInAddress = Annotated[AnyKind, Path(description="Kind of the series.", examples=["entity"])]
SentimentGiven = Annotated[Sentiment | None, Query(description="Of this sentiment; all if empty.")]
SourceName = Annotated[
    str | None, Query(max_length=64, pattern=_NO_NUL, description="Published by this source.", examples=["globalwire"])
]
AccountName = Annotated[str | None, Query(max_length=100, pattern=_NO_NUL, examples=["ann"])]
TaskName = Annotated[str | None, Query(max_length=100, pattern=_NO_NUL, examples=["sentiment"])]
ModelName = Annotated[str, Path(max_length=100, pattern=_NO_NUL, examples=["newstide-2026.11.3"])]
Share = Annotated[float, Field(ge=0, le=1)]
PlainText = Annotated[str, Field(pattern=_NO_NUL)]
"""Text of a body that Postgres can keep."""
Words = Annotated[str | None, Query(max_length=200, pattern=_NO_NUL)]


@dataclass(frozen=True)
class Span:
    """Event times: `since` included, `until` not."""

    since: datetime
    until: datetime


def span(since: datetime | None, until: datetime | None, present: datetime, default: timedelta) -> Span:
    """The span asked for; up to `present`, and `default` long, where nothing else is said. Raises InputError for one
    that ends before it begins, or is longer than retention keeps anything."""
    end = until or (max(present, since + timedelta(minutes=1)) if since else present)
    begin = since or end - default
    if begin >= end:
        raise InputError("`from` must be before `to`")
    if end - begin > _LONGEST:
        raise InputError(f"the span from `from` to `to` is longer than {_LONGEST.days} days; choose a shorter one")
    return Span(begin, end)


def grid_of(
    chosen: Span, bucket: Bucket | None, merged_until: datetime | None, most: int = MOST_STEPS
) -> tuple[Bucket, Grid]:
    """The steps of a span: of the length asked for, or such that they can be looked at; an hour or more where minutes
    were merged. Raises InputError for too many."""
    length = (chosen.until - chosen.since).total_seconds()
    if bucket is None:
        fitting = [each for each in SECONDS if length / SECONDS[each] <= _COMFORTABLE_STEPS]
        bucket = fitting[0] if fitting else "1d"
    elif length / SECONDS[bucket] > most:
        raise InputError(f"`bucket` {bucket} makes more than {most} steps of this span; choose a longer one")
    if merged_until is not None and chosen.since < merged_until and SECONDS[bucket] < SECONDS["1h"]:
        bucket = "1h"
    return bucket, Grid.around(chosen.since, chosen.until, SECONDS[bucket])


def sum_grid(chosen: Span, merged_until: datetime | None) -> Grid:
    """The steps by which a span is summed up: five minutes up to two days, then whole hours; hours too where minutes
    were merged."""
    hours = chosen.until - chosen.since > _SUMMED_BY_HOUR or (merged_until is not None and chosen.since < merged_until)
    return Grid.around(chosen.since, chosen.until, HOUR_S if hours else SECONDS["5m"])


def series_of(written: str) -> tuple[AnyKind, str]:
    """Kind and name. Raises InputError for another form."""
    kind, name = parse_series(written)
    return cast(AnyKind, kind), name


def key_cursor(moment: datetime, number: UUID) -> str:
    """The cursor after a row of this time and id."""
    return encode_cursor([moment.isoformat(), str(number)])


def key_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The inverse. Raises InputError for a cursor that no page gave."""
    if not cursor:
        return None
    moment, number = decode_cursor(cursor, [str, str])
    try:
        return _possible(datetime.fromisoformat(moment)), UUID(number)
    except (ValueError, TypeError, OverflowError):
        raise InputError("`cursor` is not one that a page gave; leave it out to begin with the first page") from None
