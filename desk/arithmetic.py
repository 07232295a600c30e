"""Why a step has its colour: every number behind its surprise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from desk.expectation import DAY, DAYS, HISTORY, WEEKS, lower_tail, surprise, upper_tail
from desk.store.counts import Grid
from desk.store.expected import Hours, read_expected, read_hours
from desk.store.progress import Progress


@dataclass(frozen=True)
class Explanation:
    """The step as a whole, and the pieces of its last hour; NaN where no earlier day was seen.

    `days` and `weeks`: the earlier hours with their negative stories, the nearest first.
    """

    observed: int
    expected: float
    alpha: float
    tail: float
    surprise: float
    hour: datetime
    level: float
    level_sum: int
    level_hours: int
    days: list[tuple[datetime, int]]
    daily: float
    weeks: list[tuple[datetime, int]]
    hourly: float


def explain(connection: Connection, kind: str, name: str, grid: Grid, progress: Progress) -> Explanation:
    """Of the one step of `grid`."""
    expected = read_expected(connection, kind, [name], grid, progress)
    observed = expected.observed
    above, below = (side(observed, expected.mean, expected.alpha) for side in (upper_tail, lower_tail))
    tail = np.where(observed >= expected.mean, above, below)
    hours = read_hours(connection, kind, [name], grid, progress)
    last = len(hours.grid) - 1
    midnight = last // DAY * DAY
    start = max(hours.begin, midnight - HISTORY)
    past = hours.counts[0, start:midnight] if start < midnight else hours.counts[0, :0]
    found = hours.expectation
    return Explanation(
        int(observed[0, 0]),
        float(expected.mean[0, 0]),
        float(expected.alpha[0, 0]),
        float(tail[0, 0]),
        float(surprise(observed, expected.mean, expected.alpha)[0, 0]),
        hours.grid.times[last],
        float(found.level[0, -1]),
        int(past.sum()),
        len(past),
        _pieces(hours, start, [last - DAY * number for number in range(1, DAYS + 1)]),
        float(found.daily[0, -1]),
        _pieces(hours, start, [last - 7 * DAY * number for number in range(1, WEEKS + 1)]),
        float(found.hourly[0, -1]),
    )


def _pieces(hours: Hours, start: int, wanted: list[int]) -> list[tuple[datetime, int]]:
    times = hours.grid.times
    return [(times[number], int(hours.counts[0, number])) for number in wanted if number >= start]
