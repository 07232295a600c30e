"""The mood of the news: a strip of figures, a heat map of surprise, and what moved."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.budget import stated_budget
from desk.api.numbers import plain, plain_one
from desk.api.parameters import Bucket, From, Kind, KindGiven, Moment, Span, To, grid_of, span, sum_grid
from desk.context import Desk, desk_of
from desk.mood import FEW, candidates, heat, movers
from desk.problems import responses
from desk.security.identity import Viewer
from desk.shares import wilson
from desk.store.counts import Grid, read_totals, read_totals_by_hour
from desk.store.expected import Leaders, read_leaders
from desk.store.incidents import count_pages
from desk.store.progress import Progress, read_progress

router = APIRouter(
    prefix="/mood",
    tags=["mood"],
    responses=responses(HTTPStatus.UNAUTHORIZED),
)

A_DAY = timedelta(days=1)
_A_WEEK = timedelta(days=7)
_USUAL = timedelta(days=28)
_MOST_COLUMNS = 400  # of a heat map: more than a screen has room for


class Strip(BaseModel):
    """How the news stands now, and how much of it is known."""

    since: datetime = Field(description="Begin of the window, event time.")
    until: datetime = Field(description="End of the window, event time.")
    mood: float | None = Field(
        description="Net sentiment of the stories: (positive - negative) / all, -1 to 1.", examples=[-0.12]
    )
    change: float | None = Field(description="`mood` less that of the window before.")
    usual: float | None = Field(description="Mood of the 28 days before the window.")
    stories: int
    negative: int = Field(description="Negative stories.")
    neutral: int
    positive: int
    messages: int = Field(description="Messages, all copies counted.")
    negative_before: int = Field(description="Negative stories of the window before.")
    stories_before: int
    freshness_s: float | None = Field(description="Seconds since a worker last stored anything.")
    watermark: datetime | None = Field(description="The least of the highest event times read of each partition.")
    judged_until: datetime | None = Field(description="Event time up to which alerting has judged.")
    complete_until: datetime | None = Field(description="Event time before which nothing more is expected.")
    pages_7d: int = Field(
        description="Incidents that opened in the seven days before `until`, without outages of the feeds."
    )
    budget_per_week: float = Field(description="False pages a week that the rules allow.")


class HeatRowBody(BaseModel):
    """One series. Lists by time, as long as `times`."""

    kind: Kind
    name: str = Field(description="As in addresses: of a source its key.")
    label: str = Field(description="As people write it.")
    stories: list[int]
    negative: list[int] = Field(description="Negative stories observed.")
    expected: list[float | None] = Field(description="Negative stories expected; null before a day was seen.")
    surprise: list[float | None] = Field(
        description="-log10 of the negative binomial's tail, below zero where there are fewer than expected."
    )
    share: list[float | None] = Field(description="Negative of all stories; null where there is none.")


class Heat(BaseModel):
    """Series by time."""

    bucket: Bucket = Field(description="Length of a step.")
    times: list[datetime] = Field(description="When each step begins.")
    rows: list[HeatRowBody] = Field(description="The most surprising first.")
    few: int = Field(description="Cells with fewer stories say little.")
    complete_until: datetime | None = Field(description="Steps that end later are not complete.")


class MoverBody(BaseModel):
    """One series over the span."""

    kind: Kind
    name: str
    label: str
    stories: int
    negative: int
    neutral: int
    positive: int
    expected: float | None = Field(description="Negative stories expected in the span.")
    surprise: float | None = Field(description="-log10 of the tail; below zero where there are fewer than expected.")
    share: float | None = Field(description="Negative of all stories.")
    share_low: float | None = Field(description="Lower end of its 95% interval (Wilson).")
    share_high: float | None = Field(description="Upper end of its 95% interval (Wilson).")
    reach: int = Field(description="Messages, all copies counted.")
    novelty: float | None = Field(description="Stories of messages: 1 where nothing is a copy.")


class Movers(BaseModel):
    """Series by how surprising they are."""

    since: datetime
    until: datetime
    items: list[MoverBody]


@router.get("", summary="How the news stands now")
def read_strip(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    window: Annotated[int, Query(ge=5, le=7 * 1440, description="Minutes looked at.")] = 1440,
    until: Annotated[Moment | None, Query(description="End of the window; where the news ends if empty.")] = None,
) -> Strip:
    """The mood of all stories in a window that ends `until`, beside the window before and what is usual."""
    with desk.engine.connect() as connection:
        return strip_of(connection, desk, read_progress(connection), timedelta(minutes=window), until)


def strip_of(
    connection: Connection, desk: Desk, progress: Progress, length: timedelta = A_DAY, until: datetime | None = None
) -> Strip:
    """Of the window `length` that ends `until`, where the news ends if None."""
    end = (until or progress.present).replace(second=0, microsecond=0)
    now = read_totals(connection, "all", "all", end - length, end)
    before = read_totals(connection, "all", "all", end - 2 * length, end - length)
    hour = (end - length).replace(minute=0)
    usual = read_totals_by_hour(connection, "all", "all", hour - _USUAL, hour)
    pages = count_pages(connection, end - _A_WEEK, end)
    fresh = progress.committed_at
    return Strip(
        since=end - length,
        until=end,
        mood=plain_one(now.mood),
        change=None if now.mood is None or before.mood is None else plain_one(now.mood - before.mood),
        usual=plain_one(usual.mood),
        stories=now.stories,
        negative=now.negative,
        neutral=now.neutral,
        positive=now.positive,
        messages=now.messages,
        negative_before=before.negative,
        stories_before=before.stories,
        freshness_s=None if fresh is None else max(0.0, (progress.now - fresh).total_seconds()),
        watermark=progress.watermark,
        judged_until=progress.judged_until,
        complete_until=progress.complete_until,
        pages_7d=pages,
        budget_per_week=stated_budget(desk.settings),
    )


@router.get("/heat", summary="Where and when negative stories are surprising")
def read_heat(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    kind: KindGiven = "topic",
    since: From = None,
    until: To = None,
    bucket: Annotated[Bucket | None, Query(description="Length of a step; one that can be looked at if empty.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Rows.")] = 20,
) -> Heat:
    """The series in which the most surprising happened. How much is expected, `desk/expectation.py` says."""
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        length, grid = heat_grid(span(since, until, progress.present, A_DAY), bucket, progress)
        leaders = read_leaders(connection, kind, grid, progress, candidates(limit), whole=True)
        return heat_of(connection, kind, leaders, length, grid, progress, limit)


def heat_grid(chosen: Span, bucket: Bucket | None, progress: Progress) -> tuple[Bucket, Grid]:
    """The steps of a heat map. Raises InputError for too many."""
    return grid_of(chosen, bucket, progress.merged_until, _MOST_COLUMNS)


def heat_of(
    connection: Connection,
    kind: Kind,
    leaders: Leaders,
    length: Bucket,
    grid: Grid,
    progress: Progress,
    limit: int,
) -> Heat:
    """The `limit` most surprising of `leaders`, in the steps of `grid`."""
    rows = [
        HeatRowBody(
            kind=kind,
            name=row.name,
            label=row.label,
            stories=row.stories.tolist(),
            negative=row.negative.tolist(),
            expected=plain(row.expected),
            surprise=plain(row.surprise, 3),
            share=plain(row.negative / np.where(row.stories > 0, row.stories, np.nan)),
        )
        for row in heat(connection, kind, leaders, grid, progress, limit)
    ]
    return Heat(bucket=length, times=grid.times, rows=rows, few=FEW, complete_until=progress.complete_until)


@router.get("/movers", summary="Series by how surprising they are")
def read_movers(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    kind: KindGiven = "entity",
    since: From = None,
    until: To = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most items.")] = 20,
) -> Movers:
    """Spans of up to two days are taken by five minutes, longer ones by whole hours."""
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        grid = sum_grid(span(since, until, progress.present, A_DAY), progress.merged_until)
        leaders = read_leaders(connection, kind, grid, progress, candidates(limit))
        return movers_of(connection, kind, leaders, grid, limit)


def movers_of(connection: Connection, kind: Kind, leaders: Leaders, grid: Grid, limit: int) -> Movers:
    """The `limit` most surprising of `leaders` over the span of `grid`."""
    items = []
    for each in movers(connection, kind, leaders, grid, limit):
        counts, share = each.counts, wilson(each.counts.negative, each.counts.stories)
        items.append(
            MoverBody(
                kind=kind,
                name=counts.name,
                label=each.label,
                stories=counts.stories,
                negative=counts.negative,
                neutral=counts.neutral,
                positive=counts.positive,
                expected=plain_one(each.expected),
                surprise=plain_one(each.surprise, 3),
                share=share and round(share.value, 4),
                share_low=share and round(share.low, 4),
                share_high=share and round(share.high, 4),
                reach=counts.messages,
                novelty=round(counts.stories / counts.messages, 4) if counts.messages else None,
            )
        )
    return Movers(since=grid.since, until=grid.until, items=items)
