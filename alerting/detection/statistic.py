"""How far counts are from normal: sequential tests for build-ups, tail tests over windows for bursts.

Both are causal, and are read in the steps with a story only: silence makes no surge. What they mean for a series is
left to its own past (see `calibration`), so no statistic here needs to be a probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Baseline, Plan, Pool, Profile
from alerting.detection.rows import Rows, begins, cells_of
from alerting.detection.shape import Shape
from alerting.detection.tail import share_scores, tail_scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATIOS = (1.5, 2.0, 3.0, 5.0)

_MOST, _ALONE_MOST, _LARGEST_STEP = (
    1e60,
    1e25,
    130.0,
)  # of a Shiryaev-Roberts statistic, and of its log in a step: beyond all thresholds
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


class Day(NamedTuple):
    """The counts of a day and of the day before, (n, 2 days): `of` the signal and `total` of all stories."""

    day: int
    of: NDArray[np.float32]
    total: NDArray[np.float32]


class SequentialTest(Rows):
    """Shiryaev-Roberts statistics of n series against surges at RATIOS times the expected rate:
    R <- (1 + R) times the likelihood ratio of a step (Pollak 1985), negative binomial with the plan's dispersion.

    statistic: (n, ratios) after the last step of the day that the row was brought up to: none of it if it is not
    `awake`, (n,). A row wakes with its first story of the day, since without one its statistics only fall.
    """

    FIELDS = ("statistic", "awake")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.statistic = np.zeros((0, len(RATIOS)))
        self.most = _MOST
        self.awake = np.zeros(0, np.bool_)

    def run(self, rows: Ints, plan: Plan, counts: NDArray[np.float32], start: int, end: int) -> Floats:
        """Take the steps `start` to `end` of the day in `counts`, (rows, steps of the day), by the `plan` of all rows;
        returns log10 of the statistics after each, (steps, rows, ratios)."""
        new = ~self.awake[rows]
        if start and new.any():
            self._advance(rows[new], plan, counts[new], 0, start)
        self.awake[rows] = True
        return np.log10(self._advance(rows, plan, counts, start, end))

    def _advance(self, rows: Ints, plan: Plan, counts: NDArray[np.float32], start: int, end: int) -> Floats:
        part = np.arange(start, end) * self.shape.parts // self.shape.steps_per_day
        first = int(part[0])
        slope, silence = _log_likelihood(plan.rates[rows, first : part[-1] + 1], plan.alpha[rows, :1])
        ratio = np.exp(silence).transpose(1, 0, 2)[part - first]
        row, step = cells_of(counts[:, start:end])
        story = counts[row, start + step, None].astype(np.float64)
        log = story * slope[row, part[step] - first] + silence[row, part[step] - first]
        ratio[step, row] = np.exp(np.minimum(log, _LARGEST_STEP))
        now = self.statistic[rows] + 1.0
        # each statistic is at most (R + steps) times the product of all ratios above 1
        gain = np.bincount(row, np.clip(log, 0.0, _LARGEST_STEP).max(axis=1), len(rows))
        bounded = (np.log(now.max(axis=1) + len(part)) + gain).max(initial=0.0) > math.log(self.most) - 1.0
        for after in ratio:  # turned from the ratio of a step into the statistic after it
            after *= now
            if bounded:
                np.minimum(after, self.most, out=after)
            np.add(after, 1.0, out=now)
        self.statistic[rows] = ratio[-1]
        return ratio

    def restart(self, row: int) -> None:
        """Begin anew with the next step, as after a surge."""
        self.statistic[row] = 0.0
        self.awake[row] = True

    def end_day(self, plan: Plan) -> None:
        """Bring rows without a story up to the end of the day, as if its stories were expected evenly."""
        asleep = ~self.awake
        steps = self.shape.steps_per_day
        _, silence = _log_likelihood(plan.rates[asleep].mean(axis=1, keepdims=True), plan.alpha[asleep, :1])
        fall = np.exp(silence[:, 0])
        left = fall**steps
        # a geometric series of all steps of the day, which has as many terms where nothing falls but for rounding
        gain = np.where(fall < 1 - 1e-9, fall * (1.0 - left) / np.maximum(1.0 - fall, 1e-9), float(steps))
        self.statistic[asleep] = self.statistic[asleep] * left + gain
        self.awake[:] = False


def _log_likelihood(rates: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Slope and silence of the log likelihood ratios of RATIOS, x slope + silence for x stories in a step, each
    (rows, parts, ratios), for `rates`, (rows, parts), and `alpha`, (rows, 1)."""
    mu, a, ratio = rates[:, :, None], alpha[:, :, None], np.array(RATIOS)
    grown = np.log1p(a * ratio * mu) - np.log1p(a * mu)
    return np.log(ratio) - grown, -grown / a


class Sums:
    """Sums over the windows that end with a step of today, of `values`, (n, 2 days), which begin with yesterday, in the
    rows of cells, (cells,) and in order."""

    def __init__(self, windows: Sequence[int], values: NDArray[np.float32], rows: Ints, end: int) -> None:
        self._windows = np.array(windows)
        other = begins(rows)
        self._place = np.cumsum(other) - 1
        some = rows[other]
        self._total = np.zeros((len(some), end + 1))
        np.cumsum(values[some, :end], axis=1, dtype=np.float64, out=self._total[:, 1:])

    def at(self, last: Ints, first: Ints) -> Floats:
        """Sums up to the step `last`, but of none before `first`, both (cells,) from yesterday on: (cells, windows)."""
        begin = np.maximum(last[:, None] + 1 - self._windows, first[:, None])
        sums: Floats = self._total[self._place, last + 1][:, None] - self._total[self._place[:, None], begin]
        return sums


class CountStatistic:
    """Tests of the counts of one signal against their seasonal baseline."""

    WEIGHTS = (0.1, 0.45, 0.25, 0.15, 0.05)  # of the sequential tests at RATIOS, and of the tail tests

    def __init__(self, shape: Shape) -> None:
        self.shape, self.windows = shape, shape.windows
        self.baseline = Baseline(shape)
        self.sequential = SequentialTest(shape)
        self._pool: Pool | None = None
        self._plan = Plan(np.zeros((0, shape.parts)), np.zeros((0, len(shape.windows))), np.zeros(0))
        self._rates = np.zeros((0, 2 * shape.parts))  # yesterday's and today's
        self._edges = np.zeros((0, 2 * shape.parts + 1))  # stories expected up to the edges of the cells

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
        if self._pool is None or not first:
            self._pool = self.baseline.pool(learnt, kinds, profile)
        self.sequential.most = _ALONE_MOST if learnt <= 1 else _MOST
        plan = self.baseline.plan(day, self._pool, kinds, first)
        self._plan = Plan(*(np.concatenate([a[:first], b]) for a, b in zip(self._plan, plan, strict=True)))
        before = self.baseline.before[first:]
        rates = np.concatenate([np.where(before > 0, before, plan.rates), plan.rates], axis=1)
        per_part = self.shape.steps_per_day // self.shape.parts
        edges = np.zeros((len(rates), 2 * self.shape.parts + 1))
        np.cumsum(rates * per_part, axis=1, out=edges[:, 1:])
        self._rates = np.concatenate([self._rates[:first], rates])
        self._edges = np.concatenate([self._edges[:first], edges])

    def measure(self, day: Day, rows: Ints, row: Ints, step: Ints, since: Ints, start: int, end: int) -> Cells:
        """The tests in the cells `row` and `step`, (cells,), when the steps `start` to `end` of the day are run.

        `rows` are those with a cell and those `awake`, in order; nothing before the step `since` of a cell counts, in
        steps from yesterday on.
        """
        today = self.shape.steps_per_day
        place = np.searchsorted(rows, row)
        sequential = self.sequential.run(rows, self._plan, day.of[rows, today:], start, end)[step - start, place]
        observed = Sums(self.windows, day.of, row, today + end).at(today + step, since)
        expected = self._expected(row, today + step, since)
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
        expected = self._expected(row, last, since)
        tails = tail_scores(observed, expected, self._plan.alpha[row])
        sequential = np.log10(np.maximum(self.sequential.statistic[row] * self.sequential.awake[row, None], 1.0))
        return self._cells(row, last - self.shape.steps_per_day, sequential, tails, observed, expected)

    def normal(self, day: Day, start: int, end: int) -> tuple[Floats, Floats]:
        """Stories expected in the steps `start` to `end` of the day, (n, steps), and their dispersion, (n,)."""
        part = np.arange(start, end) * self.shape.parts // self.shape.steps_per_day
        return self._plan.rates[:, part], self._plan.alpha[:, 0]

    def _expected(self, row: Ints, last: Ints, since: Ints) -> Floats:
        begin = np.maximum(last[:, None] + 1 - np.array(self.windows), since[:, None])
        return np.maximum(self._until(row, last + 1)[:, None] - self._until(row[:, None], begin), 1e-9)

    def _until(self, row: Ints, step: Ints) -> Floats:
        cell, within = np.divmod(step, self.shape.steps_per_day // self.shape.parts)
        rate = self._rates[row, np.minimum(cell, 2 * self.shape.parts - 1)]
        until: Floats = self._edges[row, cell] + within * rate
        return until

    def restart(self, row: int) -> None:
        """Forget what led to a surge that is over."""
        self.sequential.restart(row)

    def learn(self, day: Day, outage: NDArray[np.bool_]) -> None:
        """Take in the day, which is over, but for the steps in `outage`."""
        self.baseline.learn(day.day, day.of[:, self.shape.steps_per_day :], self._plan, outage)
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
        known = [stories[:learnt][kinds[:learnt] == kind].sum(axis=0) for kind in range(_KINDS)]
        prior = np.array([(mine[0] + 1.0) / (mine[1] + 3.0) for mine in known])[kinds[first:]]
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
        mine = self._by_cell(day.of)
        total = np.maximum(self._by_cell(day.total), mine)
        p = self._share[:, None]
        fade = np.exp(-2.0 / self.shape.history_days)
        # the share that a first day is compared with is a guess, and what it is off by no correlation
        settled = self.shares.stories[:, 1:] > 0
        self.shares.stories *= fade
        self.shares.stories += np.stack([mine.sum(axis=1), total.sum(axis=1)], axis=1)
        variance = p * (1 - p)
        excess = ((mine - total * p) ** 2 - total * variance) / np.maximum(total, 1.0)
        pairs = (np.maximum(total - 1.0, 0.0) * variance) * (total > 0) / np.maximum(total, 1.0) * total
        self.shares.pairs *= fade
        self.shares.pairs += settled * np.stack([(excess * total).sum(axis=1), pairs.sum(axis=1)], axis=1)

    def _by_cell(self, counts: NDArray[np.float32]) -> Floats:
        """Today's `counts` in the cells of the day, (n, cells)."""
        today = counts[:, self.shape.steps_per_day :]
        row, step = cells_of(today)
        place = row * self.shape.cells + step * self.shape.cells // self.shape.steps_per_day
        cells = np.bincount(place, today[row, step], len(counts) * self.shape.cells).astype(np.float64)
        return cells.reshape(len(counts), self.shape.cells)
