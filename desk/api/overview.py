"""All views of the Mood page in one answer: what the page shows first, read at one moment over one connection.

Each view is the answer of its own route, of which the page asks when something changes. What the page looks at follows
from its address, whose parameters are taken here as they stand there; those of no concern are left out of account.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from desk.api.incidents import IncidentPage, incidents_of
from desk.api.mood import Heat, Movers, Strip, heat_grid, heat_of, movers_of, strip_of
from desk.api.parameters import (
    SECONDS,
    Bucket,
    KindGiven,
    Moment,
    SentimentGiven,
    SeriesName,
    SourceName,
    Span,
    series_of,
    span,
    sum_grid,
)
from desk.api.series import Course, course_of
from desk.api.stories import Sources, StoryPage, Terms, sources_of, stories_of, story_filter, terms_of
from desk.context import Desk, desk_of
from desk.mood import candidates
from desk.problems import responses
from desk.security.identity import Viewer
from desk.store.counts import moment
from desk.store.expected import read_leaders
from desk.store.progress import read_progress

router = APIRouter(
    prefix="/mood",
    tags=["mood"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND),
)

Range = Literal["6h", "24h", "3d", "7d", "30d"]

_RANGES: dict[Range, tuple[timedelta, Bucket]] = {
    "6h": (timedelta(hours=6), "15m"),
    "24h": (timedelta(days=1), "1h"),
    "3d": (timedelta(days=3), "1h"),
    "7d": (timedelta(days=7), "6h"),
    "30d": (timedelta(days=30), "1d"),
}
"""How long each is, and the step that suits it."""
_FEWEST_STEPS, _MOST_STEPS = 6, 200
_HEAT_ROWS, _MOVERS, _STORIES, _TERMS, _SOURCES, _INCIDENTS = 20, 25, 25, 20, 100, 3  # as many as the page shows


class SpanBody(BaseModel):
    """Event times: `since` included, `until` not."""

    since: datetime
    until: datetime


class Overview(BaseModel):
    """The views of the Mood page, each as its own route answers."""

    window: SpanBody = Field(description="What the charts show.")
    bucket: Bucket = Field(description="Length of their steps, as it was asked of them.")
    shown: SpanBody = Field(description="What the lists show: the brush, or else the window.")
    strip: Strip
    open: IncidentPage = Field(description="Incidents that are open.")
    latest: IncidentPage | None = Field(description="The last incidents, where none is open.")
    heat: Heat
    course: Course
    movers: Movers
    stories: StoryPage
    terms: Terms
    sources: Sources


@router.get("/overview", summary="All views of the Mood page")
def read_overview(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    length: Annotated[Range, Query(alias="range", description="How long the charts reach back.")] = "24h",
    bucket: Annotated[Bucket | None, Query(description="Length of a step; one that suits the range if empty.")] = None,
    kind: KindGiven = "topic",
    series: SeriesName = "all",
    sentiment: SentimentGiven = None,
    source: SourceName = None,
    until: Annotated[Moment | None, Query(description="End of the range; where the news ends if empty.")] = None,
    brush_since: Annotated[Moment | None, Query(alias="from", description="Begin of the brush.")] = None,
    brush_until: Annotated[Moment | None, Query(alias="to", description="End of the brush.")] = None,
) -> Overview:
    """The range, in whole steps; lists show the brush, where there is one."""
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        strip = strip_of(connection, desk, progress, until=until)
        step = _step(length, bucket)
        window = _window(until or strip.until, length, SECONDS[step])
        brushed = brush_since is not None and brush_until is not None and brush_since < brush_until
        shown = span(brush_since, brush_until, progress.present, timedelta()) if brushed else window
        steps, grid = heat_grid(window, step, progress)
        sums = sum_grid(shown, progress.merged_until)
        leaders = read_leaders(connection, kind, grid, progress, candidates(_HEAT_ROWS), whole=True)
        moving = leaders
        if shown != window or candidates(_MOVERS) != candidates(_HEAT_ROWS):
            moving = read_leaders(connection, kind, sums, progress, candidates(_MOVERS))
        of_kind, name = series_of(series)
        opened = incidents_of(connection, "open", limit=_INCIDENTS)
        return Overview(
            window=SpanBody(since=window.since, until=window.until),
            bucket=step,
            shown=SpanBody(since=shown.since, until=shown.until),
            strip=strip,
            open=opened,
            latest=None if opened.items else incidents_of(connection, None, limit=_INCIDENTS),
            heat=heat_of(connection, kind, leaders, steps, grid, progress, _HEAT_ROWS),
            course=course_of(connection, of_kind, name, window, step, progress),
            movers=movers_of(connection, kind, moving, sums, _MOVERS),
            stories=stories_of(connection, story_filter(series, shown, sentiment, source), None, _STORIES),
            terms=terms_of(connection, series, shown, None, _TERMS),
            sources=sources_of(connection, shown, progress, _SOURCES),
        )


def _step(length: Range, bucket: Bucket | None) -> Bucket:
    """The step asked for, where the range has neither too few nor too many of it."""
    whole, suitable = _RANGES[length]
    if bucket and _FEWEST_STEPS <= whole.total_seconds() / SECONDS[bucket] <= _MOST_STEPS:
        return bucket
    return suitable


def _window(end: datetime, length: Range, step_s: int) -> Span:
    """The range up to `end` in whole steps."""
    until = moment(math.ceil(end.timestamp() / step_s) * step_s)
    steps = math.ceil(_RANGES[length][0].total_seconds() / step_s)
    return Span(until - timedelta(seconds=steps * step_s), until)
