"""How far counts are from normal: sequential tests for build-ups, tail tests over windows for bursts.

Both are causal, and are read in the steps with a story only: silence makes no surge. What they mean for a series is
left to its own past (see `calibration`), so no statistic here needs to be a probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Baseline, Plan, Profile
from alerting.detection.cuts import Stories
from alerting.detection.rows import Rows
from alerting.detection.sequential import ALONE_MOST, MOST, SequentialTest
from alerting.detection.shape import Shape
from alerting.detection.tail import share_scores, tail_scores
from alerting.detection.trailing import Expectations, Sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHARE_PRIOR = 20.0  # stories after which a series' own share weighs as much as that of its kind
_RHO_PRIOR, _RHO_WEIGHT = 0.05, 20.0
_KINDS = 3


class Cells(NamedTuple):
    """Steps with a story, by row and step. `row`, `step`: (cells,), steps of the day. `statistics`: (cells, tests), on
    the scale of -log10 of a tail probability. `short`: the tail test of the windows of up to an hour, (cells,).
    `tails`, `observed`, `expected`: (cells, windows)."""

    row: Ints
    step: Ints
    statistics: Floats
    short: Floats
    tails: Floats
    observed: Floats
    expected: Floats


@dataclass(frozen=True)
class Day:
    """The counts of a day and of the day before, (n, 2 days): `of` the signal and `total` of all stories. They must not
    change as long as it is used."""

    day: int
    of: NDArray[np.float32]
    total: NDArray[np.float32]

    @cached_property
    def stories(self) -> Stories:
        """Those of the signal today."""
        return self._found(self.of, 0, self._steps)

    def stories_within(self, start: int, end: int) -> Stories:
        """Those of the signal in the steps `start` to `end` (excluded) of today."""
        whole = (start, end) == (0, self._steps)
        return self.stories if whole else self._found(self.of, start, end)

    @cached_property
    def all_stories(self) -> Stories:
        """Those of today."""
        return self._found(self.total, 0, self._steps)

    @property
    def _steps(self) -> int:
        return self.of.shape[1] // 2

    def _found(self, counts: NDArray[np.float32], start: int, end: int) -> Stories:
        found = Stories.of(counts[:, self._steps + start : self._steps + end])
        return found._replace(step=start + found.step) if start else found


class CountStatistic:
    """Tests of the counts of one signal against their seasonal baseline."""

    WEIGHTS = (0.1, 0.45, 0.25, 0.15, 0.05)  # of the sequential tests at RATIOS, and of the tail tests

    def __init__(self, shape: Shape) -> None:
        self.shape, self.windows = shape, shape.windows
        self.baseline = Baseline(shape)
        self.sequential = SequentialTest(shape)
        self._plan = Plan(np.zeros((0, shape.parts)), np.zeros((0, len(shape.windows))), np.zeros(0))

    @property
    def parts(self) -> dict[str, Rows]:
        """Where the state is."""
        return {"baseline": self.baseline, "sequential": self.sequential}

    @property
    def rates(self) -> Floats:
        """Stories expected per day, (n,)."""
        return self._plan.rates.mean(axis=1) * self.shape.steps_per_day

    @property
    def awake(self) -> NDArray[np.bool_]:
        """Rows that had a story today, which have to be run, (n,)."""
        return self.sequential.awake

    def backfill(self, row: int, day: int, born: int, stories: Sequence[tuple[int, float, float]]) -> None:
        """See `Baseline.backfill`; `stories` are triples of step, stories of the signal and all stories."""
        self.baseline.backfill(row, day, born, [(step, count) for step, count, _ in stories])

    def plan(self, day: int, learnt: int, kinds: Ints, profile: Profile, first: int = 0) -> None:
        """Judge the rows from `first` on by the days before `day`, the first `learnt` rows of all series."""
        self.sequential.most = ALONE_MOST if learnt <= 1 else MOST
        plan = self.baseline.plan(day, learnt, kinds, profile, first)
        if first:
            plan = Plan(*(np.concatenate([a[:first], b]) for a, b in zip(self._plan, plan, strict=True)))
        self._plan = plan

    def measure(self, day: Day, rows: Ints, row: Ints, step: Ints, since: Ints, start: int, end: int) -> Cells:
        """The tests in the cells `row` and `step`, (cells,), when the steps `start` to `end` of the day are run.

        `rows` are those with a cell and those `awake`, in order; nothing before the step `since` of a cell counts, in
        steps from yesterday on.
        """
        today = self.shape.steps_per_day
        place = np.searchsorted(rows, row)
        after = self.sequential.run(rows, self._plan, day.of[rows, today:], start, end)
        sequential = np.log10(after[step - start, place])
        observed = Sums(self.windows, day.of, row, today + end).at(today + step, since)
        expected = self._expectations(row).at(today + step, since)
        tails = tail_scores(observed, expected, self._plan.alpha[row])
        return self._cells(row, step, sequential, tails, observed, expected)

    def _cells(
        self, row: Ints, step: Ints, sequential: Floats, tails: Floats, observed: Floats, expected: Floats
    ) -> Cells:
        statistics = np.concatenate([np.maximum(sequential, 0.0), tails.max(axis=1, keepdims=True)], axis=1)
        short = tails[:, : len(self.shape.short_windows)].max(axis=1)
        return Cells(row, step, statistics, short, tails, observed, expected)

    def peek(self, day: Day, row: Ints, step: int, since: Ints) -> Cells:
        """The tests of the rows `row` after `step`, the last that was run."""
        at = self.shape.steps_per_day + step
        last = np.full(len(row), at)
        observed = Sums(self.windows, day.of, row, at + 1).at(last, since)
        expected = self._expectations(row).at(last, since)
        tails = tail_scores(observed, expected, self._plan.alpha[row])
        sequential = np.log10(np.maximum(self.sequential.statistic[row] * self.sequential.awake[row, None], 1.0))
        return self._cells(row, last - self.shape.steps_per_day, sequential, tails, observed, expected)

    def normal(self, day: Day, start: int, end: int) -> tuple[Floats, Floats]:
        """Stories expected in the steps `start` to `end` of the day, (n, steps), and their dispersion, (n,)."""
        part = np.arange(start, end) * self.shape.parts // self.shape.steps_per_day
        return self._plan.rates[:, part], self._plan.alpha[:, 0]

    def _expectations(self, row: Ints) -> Expectations:
        per_part = self.shape.steps_per_day // self.shape.parts
        return Expectations(self.windows, self.baseline.before, self._plan.rates, row, per_part)

    def restart(self, row: int) -> None:
        """Forget what led to a surge that is over."""
        self.sequential.restart(row)

    def learn(self, day: Day, outage: NDArray[np.bool_]) -> None:
        """Take in the day, which is over, but for the steps in `outage`."""
        self.baseline.learn(day.day, day.stories, self._plan, outage)
        self.sequential.end_day(self._plan)


class Shares(Rows):
    """What share of the stories of n series is of the signal. `stories`: (n, 2) of it, and all, fading with time.
    `pairs`: (n, 2) moments of its correlation within an hour."""

    FIELDS = ("stories", "pairs")

    def __init__(self) -> None:
        self.stories = np.zeros((0, 2))
        self.pairs = np.zeros((0, 2))


class ShareStatistic:
    """Tests of the share of the signal among all stories, so that a mood that turns without more news is seen."""

    WEIGHTS = (1.0,)

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.windows = [window for window in shape.windows if window >= shape.hour] or shape.windows[-1:]
        self.shares = Shares()
        self._share = self._rho = self.rates = np.zeros(0)

    @property
    def parts(self) -> dict[str, Rows]:
        """Where the state is."""
        return {"shares": self.shares}

    @property
    def awake(self) -> NDArray[np.bool_]:
        """None has to be run without a story, (n,)."""
        return np.zeros(len(self.shares), np.bool_)

    def backfill(self, row: int, day: int, born: int, stories: Sequence[tuple[int, float, float]]) -> None:
        """Let the new `row` know its first `stories`: triples of step, stories of the signal and all stories."""
        before = [each[1:] for each in stories if each[0] < day * self.shape.steps_per_day]
        self.shares.stories[row] = np.sum(before, axis=0) if before else 0.0

    def plan(self, day: int, learnt: int, kinds: Ints, profile: Profile, first: int = 0) -> None:
        """Judge the rows from `first` on by the days before, the first `learnt` rows of all series."""
        stories, pairs = self.shares.stories, self.shares.pairs
        known = [np.bincount(kinds[:learnt], column, _KINDS) for column in stories[:learnt].T]
        prior = ((known[0] + 1.0) / (known[1] + 3.0))[kinds[first:]]
        mine = stories[first:]
        share = (mine[:, 0] + _SHARE_PRIOR * prior) / (mine[:, 1] + _SHARE_PRIOR)
        rho = (pairs[first:, 0] + _RHO_WEIGHT * _RHO_PRIOR) / (pairs[first:, 1] + _RHO_WEIGHT)
        self._share = np.concatenate([self._share[:first], np.clip(share, 1e-3, 0.999)])
        self._rho = np.concatenate([self._rho[:first], np.clip(rho, 1e-3, 0.9)])
        self.rates = self.shares.stories[:, 0] * 2.0 / self.shape.history_days

    def measure(self, day: Day, rows: Ints, row: Ints, step: Ints, since: Ints, start: int, end: int) -> Cells:
        """See `CountStatistic.measure`."""
        at = self.shape.steps_per_day + step
        total = Sums(self.windows, day.total, row, self.shape.steps_per_day + end).at(at, since)
        observed = np.minimum(Sums(self.windows, day.of, row, self.shape.steps_per_day + end).at(at, since), total)
        share = np.broadcast_to(self._share[row, None], total.shape)
        tails = share_scores(observed, total, share, np.broadcast_to(self._rho[row, None], total.shape))
        return Cells(row, step, tails.max(axis=1, keepdims=True), tails[:, 0], tails, observed, total * share)

    def peek(self, day: Day, row: Ints, step: int, since: Ints) -> Cells:
        """See `CountStatistic.peek`."""
        return self.measure(day, row, row, np.full(len(row), step), since, step, step + 1)

    def normal(self, day: Day, start: int, end: int) -> tuple[Floats, Floats]:
        """See `CountStatistic.normal`: the usual share of the stories that there are."""
        today = day.total[:, self.shape.steps_per_day :][:, start:end]
        return today * self._share[:, None], self._rho

    def restart(self, row: int) -> None:
        """Nothing to forget: windows begin anew by themselves."""

    def learn(self, day: Day, outage: NDArray[np.bool_]) -> None:
        """Take in the day, which is over."""
        mine = self._by_cell(day.stories)
        total = np.maximum(self._by_cell(day.all_stories), mine)
        p, most = self._share[:, None], np.maximum(total, 1.0)
        fade = math.exp(-2.0 / self.shape.history_days)
        # the share that a first day is compared with is a guess, and what it is off by no correlation
        settled = self.shares.stories[:, 1] > 0
        self.shares.stories *= fade
        self.shares.stories[:, 0] += mine.sum(axis=1)
        self.shares.stories[:, 1] += total.sum(axis=1)
        variance = p * (1 - p)
        # of a cell without a story nothing is learnt
        excess = ((mine - total * p) ** 2 - total * variance) / most * total
        pairs = (most - 1.0) * variance
        self.shares.pairs *= fade
        self.shares.pairs[:, 0] += settled * excess.sum(axis=1)
        self.shares.pairs[:, 1] += settled * pairs.sum(axis=1)

    def _by_cell(self, stories: Stories) -> Floats:
        """Those of a day in its cells, (n, cells)."""
        rows, cells = len(self.shares), self.shape.cells
        place = stories.row * cells + stories.step * cells // self.shape.steps_per_day
        return np.bincount(place, stories.number, rows * cells).astype(np.float64, copy=False).reshape(rows, cells)
