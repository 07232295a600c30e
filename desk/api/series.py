"""Series: finding them, their course, and the arithmetic behind a colour."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.sources import source_key
from desk.api.numbers import plain, plain_one
from desk.api.parameters import (
    SECONDS,
    AnyKind,
    Bucket,
    From,
    Kind,
    KindInAddress,
    Moment,
    Span,
    To,
    Words,
    grid_of,
    span,
)
from desk.arithmetic import explain
from desk.context import Desk, desk_of
from desk.expectation import band, surprise
from desk.mood import read_labels
from desk.problems import Problem, responses
from desk.security.identity import Viewer
from desk.store.counts import find_series, read_counts
from desk.store.expected import read_expected
from desk.store.incidents import alerts_within, swaps_within
from desk.store.progress import Progress, read_progress

router = APIRouter(
    prefix="/series",
    tags=["series"],
    responses=responses(HTTPStatus.UNAUTHORIZED),
)

_A_DAY = timedelta(days=1)
_BUSY_WITHIN = timedelta(days=7)
_SEEN_WITHIN = timedelta(days=28)
_MOST_NAME = 200

Name = Annotated[
    str,
    Path(
        min_length=1,
        max_length=_MOST_NAME,
        pattern=r"^[^\x00]*$",
        description="Name of the series; `all` for the kind `all`.",
        examples=["AAPL"],
    ),
]


class FoundSeries(BaseModel):
    """A series with news."""

    kind: Kind
    name: str
    label: str
    stories: int = Field(description="Stories of the last 28 days where its name was asked for, else of seven.")
    negative: int
    last_at: datetime = Field(description="The hour of its last news.")


class SeriesList(BaseModel):
    items: list[FoundSeries] = Field(description="The busiest first.")
    next: str | None = Field(None, description="Always null: ask for a more precise name.")


class AlertMark(BaseModel):
    """An alert in a chart."""

    id: UUID
    incident: UUID | None
    signal: str
    state: str
    opened_at: datetime
    closed_at: datetime | None
    peak_at: datetime
    observed: float
    expected: float
    score: float


class SwapMark(BaseModel):
    """A model that went live, by the clock."""

    model: str
    at: datetime
    actor: str
    reason: str


class Course(BaseModel):
    """A series over time. Lists by time, as long as `times`."""

    kind: AnyKind
    name: str
    label: str
    bucket: Bucket
    times: list[datetime] = Field(description="When each step begins.")
    negative: list[int] = Field(description="Negative stories.")
    neutral: list[int]
    positive: list[int]
    messages: list[int] = Field(description="Messages, all copies counted.")
    expected: list[float | None] = Field(description="Negative stories expected.")
    low: list[float | None] = Field(description="5% quantile of what is ordinary.")
    high: list[float | None] = Field(description="95% quantile of what is ordinary.")
    surprise: list[float | None]
    complete_until: datetime | None = Field(description="Steps that end later are not complete.")
    judged_until: datetime | None
    stale_from: datetime | None = Field(description="From here on news came late and is not judged again yet.")
    unjudged: int = Field(description="Messages, of any series, that came too late to be judged at all.")
    alerts: list[AlertMark]
    swaps: list[SwapMark]


class Piece(BaseModel):
    """An earlier hour that an expectation was made of."""

    at: datetime
    negative: int


class Arithmetic(BaseModel):
    """How a colour came about: the last hour of the step in full, and the step as a whole."""

    kind: AnyKind
    name: str
    bucket: Bucket
    at: datetime = Field(description="When the step begins.")
    observed: int = Field(description="Negative stories of the step.")
    expected: float | None
    alpha: float | None = Field(description="Dispersion: the variance is mean + alpha mean^2.")
    tail: float | None = Field(
        description="P(X >= observed) where more was observed than expected, else P(X <= observed)."
    )
    surprise: float | None
    hour: datetime = Field(description="The hour whose expectation is shown.")
    level: float | None = Field(description="Stories an hour: (sum of the hours of 28 days + 1) / (hours + 24).")
    level_sum: int
    level_hours: int
    days: list[Piece] = Field(description="The same hour of the seven days before, those that were seen.")
    daily: float | None = Field(description="(sum of `days` + 4 level) / (number of `days` + 4).")
    weeks: list[Piece] = Field(description="The same hour of the four weeks before, those that were seen.")
    hourly: float | None = Field(description="(sum of `weeks` + 4 daily) / (number of `weeks` + 4).")
    complete: bool = Field(description="Whether nothing more is expected in the step.")


@router.get("", summary="Find series by their name")
def list_series(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    q: Annotated[Words, Query(description="Part of the name.", examples=["bank"])] = None,
    kind: Annotated[Kind | None, Query(description="All kinds if empty.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Series of each kind.")] = 20,
) -> SeriesList:
    """Those with news of the last 28 days whose name holds `q`, or else the busiest of the last seven days."""
    kinds: tuple[Kind, ...] = (kind,) if kind else ("topic", "entity", "source")
    items = []
    with desk.engine.connect() as connection:
        present = read_progress(connection).present
        for each in kinds:
            found = find_series(
                connection, each, q or None, present - (_SEEN_WITHIN if q else _BUSY_WITHIN), present, limit
            )
            labels = read_labels(connection, each, [series.name for series in found])
            items += [
                FoundSeries(
                    kind=each,
                    name=series.name,
                    label=labels[series.name],
                    stories=series.stories,
                    negative=series.negative,
                    last_at=series.last_hour,
                )
                for series in found
            ]
    return SeriesList(items=items)


@router.get("/{kind}/{name:path}/arithmetic", summary="Why a step has its colour")
def read_arithmetic(
    kind: KindInAddress,
    name: Name,
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    at: Annotated[Moment, Query(description="A time in the step.", examples=["2025-03-07T12:00:00Z"])],
    bucket: Annotated[Bucket, Query(description="Length of the step.")] = "1h",
) -> Arithmetic:
    """Every number behind the surprise of one step, so that it can be worked out again by hand."""
    known = _known_name(kind, name)
    step = timedelta(seconds=SECONDS[bucket])
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        length, grid = grid_of(span(at, at + timedelta(microseconds=1), at, step), bucket, progress.merged_until)
        found = explain(connection, kind, known, grid, progress)
    return Arithmetic(
        kind=kind,
        name=known,
        bucket=length,
        at=grid.since,
        observed=found.observed,
        expected=plain_one(found.expected, 6),
        alpha=plain_one(found.alpha, 6),
        tail=None if math.isnan(found.tail) else float(f"{found.tail:.6g}"),  # as small as it may be
        surprise=plain_one(found.surprise),
        hour=found.hour,
        level=plain_one(found.level, 6),
        level_sum=found.level_sum,
        level_hours=found.level_hours,
        days=[Piece(at=at, negative=negative) for at, negative in found.days],
        daily=plain_one(found.daily, 6),
        weeks=[Piece(at=at, negative=negative) for at, negative in found.weeks],
        hourly=plain_one(found.hourly, 6),
        complete=progress.complete_until is not None and grid.until <= progress.complete_until,
    )


@router.get("/{kind}/{name:path}", summary="A series over time")
def read_course(
    kind: KindInAddress,
    name: Name,
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    since: From = None,
    until: To = None,
    bucket: Annotated[Bucket | None, Query(description="Length of a step; one that can be looked at if empty.")] = None,
) -> Course:
    """Stories by sentiment with the band of what is ordinary, and the alerts and changes of model in the span. A series
    without news is all zeros."""
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        return course_of(connection, kind, name, span(since, until, progress.present, _A_DAY), bucket, progress)


def course_of(
    connection: Connection, kind: AnyKind, name: str, chosen: Span, bucket: Bucket | None, progress: Progress
) -> Course:
    """Raises InputError for too many steps, Problem 404 for another series of the kind `all`."""
    known = _known_name(kind, name)
    length, grid = grid_of(chosen, bucket, progress.merged_until)
    counts = {name: found[0] for name, found in read_counts(connection, kind, [known], grid).items()}
    expected = read_expected(connection, kind, [known], grid, progress)
    alerts = alerts_within(connection, kind, known, grid.since, grid.until)
    swaps = swaps_within(connection, grid.since, grid.until)
    label = read_labels(connection, kind, [known])[known]
    low, high = band(expected.mean[0], expected.alpha[0])
    return Course(
        kind=kind,
        name=known,
        label=label,
        bucket=length,
        times=grid.times,
        negative=counts["negative"].tolist(),
        neutral=counts["neutral"].tolist(),
        positive=counts["positive"].tolist(),
        messages=counts["messages"].tolist(),
        expected=plain(expected.mean[0]),
        low=plain(low, 2),
        high=plain(high, 2),
        surprise=plain(surprise(expected.observed[0], expected.mean[0], expected.alpha[0]), 3),
        complete_until=progress.complete_until,
        judged_until=progress.judged_until,
        stale_from=progress.stale_from,
        unjudged=progress.unjudged,
        alerts=[AlertMark.model_validate(alert, from_attributes=True) for alert in alerts],
        swaps=[SwapMark.model_validate(swap, from_attributes=True) for swap in swaps],
    )


def _known_name(kind: AnyKind, name: str) -> str:
    if kind == "all" and name != "all":
        raise Problem(HTTPStatus.NOT_FOUND, "the kind `all` has one series, which is called `all`")
    return source_key(name) if kind == "source" else name
