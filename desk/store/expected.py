"""What is expected of stored series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection

from desk.expectation import HISTORY, Expectation, Floats, expect, in_steps
from desk.store.counts import HOUR_S, Grid, Integers, Leading, read_history, read_leading, read_negative
from desk.store.progress import Progress

_DAY_S = 24 * HOUR_S


@dataclass(frozen=True)
class Expected:
    """Arrays [series, step] of negative stories: observed, mean and dispersion; NaN where no earlier day was seen."""

    observed: Floats
    mean: Floats
    alpha: Floats


@dataclass(frozen=True)
class Hours:
    """The hours behind an expectation: `counts` of negative stories, [series, hour], on `grid`; `begin` is the first
    hour that the store has seen, `first` the first whose `expectation` is asked for. `others`: the other counts, by
    name, of the hours from `first` on; of none where nobody asked for them."""

    grid: Grid
    counts: Floats
    begin: int
    first: int
    expectation: Expectation
    others: dict[str, Integers]


@dataclass(frozen=True)
class Leaders:
    """The series of a kind with the most negative stories in the hours around a span: their counts there, and `hours`,
    in the same order."""

    leading: list[Leading]
    hours: Hours

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.leading]


def read_leaders(
    connection: Connection, kind: str, grid: Grid, progress: Progress, limit: int, whole: bool = False
) -> Leaders:
    """At most `limit` of them; `whole`: with their other counts by the hour."""
    leading = read_leading(connection, kind, grid, limit)
    return Leaders(leading, read_hours(connection, kind, [each.name for each in leading], grid, progress, whole))


def read_hours(
    connection: Connection, kind: str, names: Sequence[str], grid: Grid, progress: Progress, whole: bool = False
) -> Hours:
    """The hours of `grid`, and the days before them; `whole`: with the other counts of its hours, if it has none but
    whole ones."""
    midnight = Grid.around(grid.since, grid.until, _DAY_S).since
    hours = Grid(midnight - timedelta(hours=HISTORY), Grid.around(grid.since, grid.until, HOUR_S).until, HOUR_S)
    first = int(grid.since.timestamp() // HOUR_S) - hours.first
    counted = first if whole and grid.step_s >= HOUR_S else len(hours)
    negative, others = read_history(connection, kind, names, hours, counted)
    counts = negative.astype(np.float64)
    begin = len(hours)
    if progress.first_minute is not None:
        begin = max(0, -int(-progress.first_minute.timestamp() // HOUR_S) - hours.first)
    return Hours(hours, counts, begin, first, expect(counts, begin, first), others)


def read_expected(connection: Connection, kind: str, names: Sequence[str], grid: Grid, progress: Progress) -> Expected:
    """What is observed, and what is expected, of each step of `grid`."""
    return expected_of(connection, kind, names, grid, read_hours(connection, kind, names, grid, progress))


def expected_of(connection: Connection, kind: str, names: Sequence[str], grid: Grid, hours: Hours) -> Expected:
    """The same of series whose `hours` around `grid` are known: parts of an hour are read."""
    mean, alpha = by_step(hours, grid)
    if grid.step_s >= HOUR_S:
        return Expected(in_steps(hours.counts[:, hours.first :], grid.step_s // HOUR_S), mean, alpha)
    return Expected(read_negative(connection, kind, names, grid).astype(np.float64), mean, alpha)


def by_step(hours: Hours, grid: Grid) -> tuple[Floats, Floats]:
    """Mean and dispersion, arrays [series, step], of the steps of `grid`, which `hours` are around."""
    found = hours.expectation
    if grid.step_s >= HOUR_S:
        each = grid.step_s // HOUR_S
        return in_steps(found.hourly, each), found.alpha[:, ::each]
    hour = np.arange(grid.first, grid.first + len(grid)) * grid.step_s // HOUR_S - hours.grid.first - hours.first
    return found.hourly[:, hour] * (grid.step_s / HOUR_S), found.alpha[:, hour]
