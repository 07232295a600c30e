"""Series side by side: what stands out in a span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from desk.expectation import Floats, surprise
from desk.store.counts import HOUR_S, Grid, Integers, Leading, read_counts, read_source_names, sum_exactly
from desk.store.expected import Expected, Hours, Leaders, by_step, expected_of
from desk.store.progress import Progress

_CANDIDATES = 2  # rows looked at for each one shown
_FEWEST_CANDIDATES = 50
FEW = 3
"""Stories below which a cell is no ground to stand out."""


@dataclass(frozen=True)
class HeatRow:
    """One series: arrays by step. `surprise` is NaN without a history, `expected` too."""

    name: str
    label: str
    stories: Integers
    negative: Integers
    positive: Integers
    messages: Integers
    expected: Floats
    surprise: Floats


@dataclass(frozen=True)
class Mover:
    """One series over a whole span."""

    counts: Leading
    label: str
    expected: float
    surprise: float


def candidates(limit: int) -> int:
    """How many leaders to look at for `limit` rows."""
    return max(_CANDIDATES * limit, _FEWEST_CANDIDATES)


def heat(
    connection: Connection, kind: str, leaders: Leaders, grid: Grid, progress: Progress, limit: int
) -> list[HeatRow]:
    """The `limit` series of `kind` in which the most surprising happened, among the leaders of the hours around `grid`,
    read as a whole.

    A step that is not complete yet can only gain stories, so it is never surprising for having few.
    """
    leading, names = leaders.leading, leaders.names
    if not names:
        return []
    expected = expected_of(connection, kind, names, grid, leaders.hours)
    complete = complete_steps(grid, progress)
    standing_out = most_surprising(expected, complete)
    order = sorted(range(len(names)), key=lambda i: (-standing_out[i], -leading[i].negative, names[i]))[:limit]
    shown = [names[i] for i in order]
    found = surprise(expected.observed[order], expected.mean[order], expected.alpha[order])
    found[:, complete:] = np.fmax(found[:, complete:], 0.0)
    counts = _counts_of(connection, kind, leaders.hours, shown, order, grid)
    labels = read_labels(connection, kind, shown)
    return [
        HeatRow(
            name,
            labels[name],
            counts["negative"][row] + counts["neutral"][row] + counts["positive"][row],
            counts["negative"][row],
            counts["positive"][row],
            counts["messages"][row],
            expected.mean[order[row]],
            found[row],
        )
        for row, name in enumerate(shown)
        if counts["messages"][row].any()
    ]


def _counts_of(
    connection: Connection, kind: str, hours: Hours, names: list[str], order: list[int], grid: Grid
) -> dict[str, Integers]:
    """Arrays [series, step] for each of COUNTS, of the `names` that stand in `order` in `hours`: parts of an hour are
    read."""
    if grid.step_s < HOUR_S:
        return read_counts(connection, kind, names, grid)
    known = {"negative": hours.counts[:, hours.first :].astype(np.int64), **hours.others}
    return {name: count[order].reshape(len(order), len(grid), -1).sum(axis=2) for name, count in known.items()}


def most_surprising(expected: Expected, complete: int) -> Floats:
    """Of each series the highest surprise of a step, 0 for steps with few stories; `complete` steps are.

    Tails take the time here, so that only those are worked out that may be the highest: where no less was observed than
    expected, or all steps of a series where that is nowhere.
    """
    counted = expected.observed >= FEW
    wanted = counted & (expected.observed >= expected.mean)
    wanted[counted.all(axis=1) & ~wanted.any(axis=1)] = True
    found = np.zeros(expected.observed.shape)
    found[wanted] = np.nan_to_num(surprise(expected.observed[wanted], expected.mean[wanted], expected.alpha[wanted]))
    found[:, complete:] = np.maximum(found[:, complete:], 0.0)
    highest: Floats = found.max(axis=1)
    return highest


def movers(connection: Connection, kind: str, leaders: Leaders, grid: Grid, limit: int) -> list[Mover]:
    """The `limit` series of `kind` whose negative stories in the whole span of `grid` are the most surprising, among
    the leaders of the hours around it."""
    counted = sum_exactly(connection, kind, leaders.leading, grid)
    if not counted:
        return []
    names = [each.name for each in counted]
    place = {name: i for i, name in enumerate(leaders.names)}
    means, alphas = (each[[place[name] for name in names]] for each in by_step(leaders.hours, grid))
    mean = means.sum(axis=1)
    weight = np.where(means > 0, means, 0.0)
    alpha = (alphas * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    found = surprise(np.array([each.negative for each in counted], np.float64), mean, alpha)
    labels = read_labels(connection, kind, names)
    order = sorted(range(len(names)), key=lambda i: (-np.nan_to_num(found[i]), -counted[i].negative, names[i]))[:limit]
    return [Mover(counted[i], labels[names[i]], float(mean[i]), float(found[i])) for i in order]


def complete_steps(grid: Grid, progress: Progress) -> int:
    """How many steps of `grid` are complete, from the first on."""
    if progress.complete_until is None:
        return 0
    passed = (progress.complete_until - grid.since).total_seconds() // grid.step_s
    return int(min(max(passed, 0), len(grid)))


def read_labels(connection: Connection, kind: str, names: list[str]) -> dict[str, str]:
    """Name -> as people write it."""
    written = read_source_names(connection, names) if kind == "source" else {}
    return {name: written.get(name, name) for name in names}
