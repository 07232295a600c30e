"""What a statistic means for the series it is of, and which score keeps the budget of false pages.

News is burstier than any model, so a statistic is ranked among those of the series' own past: its score is -log10 of
the share of past steps at or above it. Beyond what the series has seen, the tail is generalised Pareto (Pickands 1975)
from its own mean excess, its shape pooled over series of the same kind and rate. Ranks do not show how many steps in a
row are high; how often the highest score of a day passes a level does, so a series whose days are higher than those of
its tier is shifted down. The threshold of a tier is the score that its days, all series of a day together, pass as
often as the budget allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.newcomers import Newcomers
from alerting.detection.rows import Rows, cells_of
from alerting.detection.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 64
EDGES = 60.0 * (np.arange(BINS) / BINS) ** 2  # of the statistics' histogram
_MIDDLES = (EDGES + np.append(EDGES[1:], 60.0)) / 2

_PRIOR_DAYS, _GROWN_UP, _LEAST_PRIOR = 3.0, 12.0, 0.25  # of the pooled ranks, which give way to a series' own
_MODEL_DAYS = 3.0  # of a model in which a statistic v is passed with probability 10^-v, beside the pool
_TAIL, _ALONE_TAIL = 0.005, 0.02  # share of steps from which on the tail is generalised Pareto,
_RARE = 0.5  # and share of the steps with a story where these are fewer: a single one is far from normal, yet no tail
_CLASSES = 5  # of rates: a story in ten days or more, in a day, ten a day, ...
_FEW_HIGHS = 20  # days of a kind from which on its series are compared
_LARGEST_SHIFT = 0.5
_LEVEL = 0.8
_KINDS, _ROWS_AT_ONCE = 3, 512
_YOUNG, _YOUNG_DAYS = 3.0, 10.0  # taken from the scores of a new series, whose ranks are of few days, and how long
_OWN_DAYS = 5.0  # days after which a series' own highs weigh as much as those of its tier,
_OWN_HIGHS = 3.0  # and at least so many of the usual highs: where these are rare, one more or less is chance
_REAL = 1.0  # a score so far above the threshold, ten times too rare, is taken for news and not learnt,
_RUN_HOURS, _OFTEN = 4.0, 3.0  # the most that one day adds at a level: so many hours, and times the usual steps
_RARELY = 0.5  # but on no more than this share of days
_ALONE_BAR = 3.0  # of a series alone, whose threshold under a small budget is so high that news would be learnt


class Groups(NamedTuple):
    """Of n series, the number of their kind, (n,), their weight in the budget, (n,); 0: not judged; and whether they
    are newcomers, (n,)."""

    kind: Ints
    weight: Floats
    new: NDArray[np.bool_]


class Calibration(Rows):
    """The past scores of n series.

    seen: (n, tests, BINS) past statistics, fading, without those of `today` and, `doubtful`, those of an open surge,
    likewise. steps: (n,) steps they are out of. highs: (n, history) the highest score of each day that could have
    fired, by day modulo history; nan where the series was not judged or the day held real news. high: (n,) that of
    today. real, days: (n,) days with real news, and all that were judged, fading. age: (n,) days learnt.
    """

    FIELDS = ("seen", "today", "doubtful", "steps", "highs", "high", "real", "days", "age")

    def __init__(self, shape: Shape, weights: Sequence[float]) -> None:
        self.shape, self.weights = shape, np.array(weights)
        tests = len(weights)
        self.seen = np.zeros((0, tests, BINS), np.float32)
        self.today = np.zeros((0, tests, BINS), np.uint16)
        self.doubtful = np.zeros((0, tests, BINS), np.uint16)
        self.steps = np.zeros(0)
        self.highs = np.zeros((0, shape.history_days), np.float32)
        self.high = np.zeros(0, np.float32)
        self.real = np.zeros(0)
        self.days = np.zeros(0)
        self.age = np.zeros(0)
        self.newcomers = Newcomers(_KINDS, tests, BINS)
        self._groups = Groups(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_))
        self._classes = np.zeros(0, np.int64)
        self._table = np.zeros((0, tests, BINS), np.float32)  # scores at EDGES of the rows that were asked for today,
        self._place = np.zeros(0, np.int64)  # and where each row is in it, (n,); -1: nowhere
        self._pool = np.zeros(0)
        passed = 10.0**-EDGES
        self._model = np.append(passed[:-1] - passed[1:], passed[-1]) * _MODEL_DAYS * shape.steps_per_day
        self._level = self._usual = np.zeros(0)
        self._own = np.zeros(0)  # what is taken from the scores of each series for its own past,
        self._shift = np.zeros(0)  # and what is taken from them today
        self.alone = True  # nothing but a series' own past says what is usual
        self._young = np.zeros(0)  # what is taken from scores and highs for want of days
        self.threshold = np.zeros(0)

    def grow(self, rows: int) -> None:
        """See `Rows.grow`; no day of the new series was judged."""
        super().grow(rows)
        self.highs[len(self) - rows :] = np.nan

    def backfill(self, row: int, days: int) -> None:
        """The new `row` was silent for so many days."""
        fade = np.exp(-2.0 / self.shape.history_days)
        self.steps[row] = self.shape.steps_per_day * (1.0 - fade**days) / (1.0 - fade)
        self.age[row] = days

    def plan(self, day: int, learnt: int, rates: Floats, groups: Groups, first: int = 0) -> None:
        """Score the rows from `first` on by the days before `day`, the first `learnt` rows of all series;
        `rates`, (n,), are the stories expected a day."""
        self._groups = groups
        rated = groups.kind * _CLASSES + np.clip(np.log10(rates + 1e-9) + 1.0, 0, _CLASSES - 1).astype(np.int64)
        self._classes = np.where(groups.new, _KINDS * _CLASSES + groups.kind, rated)
        self.alone = learnt <= 1
        age = day_weights(day, self.shape.history_days)
        if first == 0:
            self._learn_pool(learnt, self._classes)
            self._learn_levels(learnt, groups, age)
            self._table, self._place = self._table[:0], self._place[:0]
        self._place = np.append(self._place, np.full(len(self) - len(self._place), -1))
        weight = np.log10(np.maximum(groups.weight, 1e-9))
        self._own = np.concatenate([self._own[:first], self._shifts(groups, age, first) - weight[first:]])
        self._shift = self._own
        if groups.new.any():
            self._shift = np.where(groups.new, self.newcomers.shift(self._usual)[groups.kind] - weight, self._own)
        self._young = (_YOUNG if self.alone else 0.0) * np.exp(-self.age / _YOUNG_DAYS)

    def _learn_pool(self, learnt: int, classes: Ints) -> None:
        """The share of steps in each bin for each kind and rate, (classes, tests, BINS), and the shape of its tail."""
        many = _KINDS * _CLASSES
        self._pool = np.zeros((many, len(self.weights), BINS))
        for each in np.bincount(classes[:learnt], minlength=many)[:many].nonzero()[0]:
            mine = (classes[:learnt] == each).nonzero()[0]
            self.seen[mine].sum(axis=0, dtype=np.float64, out=self._pool[each])
        steps = np.bincount(classes[:learnt], self.steps[:learnt], many + _KINDS)[:many]
        self._pool += self._model
        self._pool /= (steps + _MODEL_DAYS * self.shape.steps_per_day)[:, None, None]

    def _rank(self, rows: Ints) -> None:
        """Bring the scores at EDGES up to the day for those of `rows` that are not; most series have no story in it."""
        rows = rows[self._place[rows] < 0]
        if not rows.size:
            return
        rows = np.bincount(rows).nonzero()[0]
        new, per_day = self._groups.new[rows], self.shape.steps_per_day
        steps = np.where(new, 0.0, self.steps[rows])
        prior = np.maximum(_PRIOR_DAYS * (1.0 - steps / per_day / _GROWN_UP), _LEAST_PRIOR) * per_day
        share = prior[:, None, None] * self._pooled(rows)
        share += np.where(new[:, None, None], 0.0, self.seen[rows])
        share /= (steps + prior)[:, None, None]
        above = share[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
        at, beyond, mean = _tails(share, above, _ALONE_TAIL if self.alone else _TAIL)
        excess = np.maximum(EDGES - EDGES[at][:, :, None], 0.0)
        excess /= (np.maximum(mean, 0.05) * np.log(10.0))[:, :, None]
        excess -= np.log10(beyond)[:, :, None]
        empirical = -np.log10(np.maximum(above, 1e-300))
        table = np.where(np.arange(BINS) <= at[:, :, None], empirical, excess)
        self._place[rows] = len(self._table) + np.arange(len(rows))
        self._table = np.concatenate([self._table, table.astype(np.float32)])

    def _pooled(self, rows: Ints) -> Floats:
        """The share of steps in each bin that `rows` begin with, (rows, tests, BINS)."""
        classes = self._classes[rows]
        if classes.max(initial=0) >= len(self._pool):  # newcomers, of which most days have none
            newcomers = self.newcomers.ranks(self._pool[::_CLASSES], self.shape.steps_per_day)
            self._pool = np.concatenate([self._pool, newcomers])
        pooled: Floats = self._pool[classes]
        return pooled

    def _learn_levels(self, learnt: int, groups: Groups, age: Floats) -> None:
        """For each kind, the median of the highs that are any, and the share of all days that pass it."""
        self._level, self._usual = np.full(_KINDS, np.inf), np.ones(_KINDS)
        highs, kind = self.highs[:learnt], groups.kind[:learnt]
        row, day = cells_of(highs > 0)
        some, of = highs[row, day], kind[row]
        judged = np.bincount(kind, _weighted(highs >= 0, age), _KINDS)
        for each in range(_KINDS):
            mine = some[of == each]
            if mine.size >= _FEW_HIGHS:
                self._level[each] = level = _quantile(mine, _LEVEL)
                self._usual[each] = age[day[of == each][mine > level]].sum() / judged[each]

    def _shifts(self, groups: Groups, age: Floats, first: int) -> Floats:
        """What to take from the scores of the rows from `first` on for their own past, (rows,)."""
        highs, kind = self.highs[first:], groups.kind[first:]
        usual = self._usual[kind]
        prior = np.maximum(_OWN_DAYS, _OWN_HIGHS / np.maximum(usual, 1e-9))
        often = _weighted(highs > self._level[kind, None], age) + prior * usual
        share = np.minimum(often / (_weighted(highs >= 0, age) + prior), 0.99)
        ratio = np.log1p(-share) / np.log1p(-np.minimum(usual, 0.99))
        own = np.log10(np.maximum(ratio, 1e-9))
        shifts: Floats = np.minimum(np.maximum(own, -_LARGEST_SHIFT), _LARGEST_SHIFT)
        return shifts

    def shifted_highs(self, learnt: int) -> NDArray[np.float32]:
        """The highs of the first `learnt` series as they would count today, (learnt, history)."""
        shifted: NDArray[np.float32] = self.highs[:learnt] - self._own[:learnt, None].astype(np.float32)
        return shifted

    def scores(self, row: Ints, statistics: Floats) -> Floats:
        """Scores of the tests in `statistics`, (cells, tests), of the rows `row`: the tests share the tail probability
        by weight, so the score is log10 of the weighted mean of 10^score."""
        self._rank(row)
        each = np.minimum(self._interpolated(row[:, None], np.arange(statistics.shape[1]), statistics), 250.0)
        scores: Floats = np.log10((self.weights * 10.0**each).sum(axis=1)) - self._shift[row] - self._young[row]
        return scores

    def tail_scores(self, row: Ints, statistic: Floats) -> Floats:
        """The score that the last test alone would give, (cells,)."""
        score: Floats = self._interpolated(row, -1, statistic) - self._shift[row] - self._young[row]
        return score

    def _interpolated(self, row: Ints, test: Ints | int, statistic: Floats) -> Floats:
        """Between the scores at EDGES of rows that are ranked; all arguments are broadcast."""
        place = _places(statistic)
        below = np.minimum(place.astype(np.int64), BINS - 2)
        at = self._place[row]
        low, high = self._table[at, test, below], self._table[at, test, below + 1]
        between: Floats = low + (high - low) * (place - below)
        return between

    def note(self, row: Ints, statistics: Floats, surging: NDArray[np.bool_], firing: Floats) -> None:
        """Take in cells of today: their statistics, whether a surge was open, and the scores of those that could fire,
        else 0."""
        bins = np.minimum(_places(statistics).astype(np.int64), BINS - 1)
        tests = np.arange(statistics.shape[1])
        for target, mine in ((self.today, ~surging), (self.doubtful, surging)):
            if mine.any():
                np.add.at(target, (row[mine, None], tests, bins[mine]), 1)
        np.maximum.at(self.high, row, np.where(firing > 0, firing + self._shift[row], 0.0).astype(np.float32))

    def settle(self, row: int, score: float) -> None:
        """A surge of `row` is over, which reached `score`: what was seen in it is learnt unless it was real news."""
        if not (score > self._bar()[row] + _REAL and self._believed(np.array([row]))[0]):
            self.today[row] += self.doubtful[row]
        self.doubtful[row] = 0

    def _bar(self) -> Floats:
        """The threshold, (n,), that tells by how much a score is too rare."""
        return np.minimum(self.threshold, _ALONE_BAR) if self.alone else self.threshold

    def _believed(self, row: Ints | slice) -> NDArray[np.bool_]:
        """Whether what is far above normal is news, and not to be learnt: a series with much of that is restless."""
        believed: NDArray[np.bool_] = self.real[row] <= _RARELY * np.maximum(self.days[row], _OWN_DAYS)
        return believed

    def _tempered(self, rows: Ints) -> NDArray[np.float32]:
        """Today's statistics of `rows`, (rows, tests, BINS), with no level reached by more steps than an hour's beside
        a few times the usual: a day that is high for long is one event, or the next one would pass for ordinary."""
        if not self.alone:
            return self.today[rows].astype(np.float32)
        share = (self.seen[rows] + self.shape.steps_per_day * self._pooled(rows)) / (
            self.steps[rows, None, None] + self.shape.steps_per_day
        )
        usual = share[:, :, ::-1].cumsum(axis=2) * self.shape.steps_per_day
        above = self.today[rows, :, ::-1].cumsum(axis=2, dtype=np.float64)
        above = np.minimum(above, _RUN_HOURS * self.shape.hour + _OFTEN * usual)
        return np.diff(above, axis=2, prepend=0.0)[:, :, ::-1].astype(np.float32)

    def learn(self, day: int, steps: int, judged: NDArray[np.bool_]) -> None:
        """Take in the day, which had so many `steps` without an outage; `judged`, (n,), are the rows that could fire
        all day."""
        self.age += judged
        history = self.shape.history_days
        fade = fading(self.age if self.alone else np.full(len(self), history), history)
        real = judged & (self.high - self._shift > self._bar() + _REAL)
        believed = real & self._believed(slice(None))
        noted = self.today[:, -1].any(axis=1)
        busy = (judged & noted).nonzero()[0]
        seen = [self._tempered(busy[i : i + _ROWS_AT_ONCE]) for i in range(0, len(busy), _ROWS_AT_ONCE)]
        self._learn_newcomers(judged, believed)  # behind what is ranked by those of the days before
        self.seen *= fade[:, None, None].astype(np.float32)
        self.seen[busy] += np.concatenate([*seen, np.zeros((0, *self.seen.shape[1:]), np.float32)])
        self.steps = self.steps * fade + steps * judged
        self.real = self.real * fade + real
        self.days = self.days * fade + judged
        self.highs[:, day % history] = np.where(judged & ~believed, self.high, np.nan)
        self.today[noted] = 0
        self.high[:] = 0

    def _learn_newcomers(self, judged: NDArray[np.bool_], believed: NDArray[np.bool_]) -> None:
        """Take in the day of the newcomers among the rows `judged`, (n,). Those `believed`, (n,), to have had real news
        are not ranked by, but taken back: what newcomers page counts in the budget. Their highs become those that a
        series like others would have."""
        judged = judged & (self._groups.weight > 0)  # series whose rules leave the signal out are no others
        others = np.bincount(self._groups.kind[judged & ~self._groups.new], minlength=_KINDS)
        rows = (judged & self._groups.new).nonzero()[0]
        kind, highs = self._groups.kind[rows], self.high[rows]
        real, high = believed[rows] & self.newcomers.believed()[kind], highs > self._level[kind]
        self.newcomers.learn(kind, self.today[rows], real, high, others, self.shape.history_days)
        believed[rows] = False
        likened = highs + (self._own[rows] - self._shift[rows]).astype(np.float32)
        self.high[rows] = np.where(highs > 0, np.maximum(likened, 0.0), highs)


def fading(age: Ints | Floats, history: int) -> Floats:
    """What is left of all that was learnt before, when a day is learnt that is the `age`-th of a series: a history
    fades in `history` days, and faster while it is short, so that first days, which are compared with guesses, weigh
    with the square of their age."""
    left: Floats = np.exp(-2.0 / np.clip(age, 1, history))
    return left


@lru_cache(maxsize=8)
def day_weights(day: int, history: int) -> Floats:
    """On that day, the weight of each of the days before it, by day modulo history, (history,); not to be changed."""
    age = (day - 1 - np.arange(history)) % history
    weight: Floats = np.exp(-2.0 * age / history)
    weight.flags.writeable = False
    return weight


def _weighted(days: NDArray[np.bool_], weights: Floats) -> Floats:
    """The summed `weights`, (history,), of the `days` of each series, (n, history)."""
    found: Floats = np.einsum("ij,j->i", days, weights)
    return found


def _quantile(values: NDArray[np.float32], share: float) -> float:
    """The `share` quantile of `values`, (n,), between the nearest two: `np.quantile` in a fraction of its time."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    part = np.partition(values, [low, high])
    before, apart, within = part[low], part[high] - part[low], place - low
    return float(np.float32(before + apart * within if within < 0.5 else part[high] - apart * (1.0 - within)))


def _places(statistics: Floats) -> Floats:
    """Where each of `statistics` lies among EDGES, from 0 to BINS."""
    places: Floats = np.sqrt(np.minimum(statistics, 59.9) / 60.0) * BINS
    return places


def _tails(share: Floats, above: Floats, tail: float) -> tuple[Ints, Floats, Floats]:
    """Of histograms `share`, (n, tests, BINS), summed from the right in `above`: the bin from which on the tail lies,
    the share of steps there, and their mean excess, each (n, tests)."""
    least = np.minimum(tail, _RARE * above[:, :, :1])
    at = np.maximum((above >= least).sum(axis=2) - 1, 0)
    beyond = np.maximum(np.take_along_axis(above, at[:, :, None], axis=2)[:, :, 0], 1e-12)
    moment = np.einsum("ijk,k->ij", np.where(np.arange(BINS) >= at[:, :, None], share, 0.0), _MIDDLES)
    return at, beyond, moment / beyond - EDGES[at]
