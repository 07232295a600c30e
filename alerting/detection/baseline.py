"""What is normal for each series: seasonal rates, their dispersion, and the scale of a series' own scores.

Everything is learnt day by day from days that are over, so a day is judged by what was known when it began.
Counts are modelled as negative binomial with mean mu and variance mu + alpha mu^2 (Hilbe 2011, NB2). Old days fade
with exp(-2 age / history_days), which has the mean age of a plain window of `history_days`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BIN, BINS = 0.2, 250  # histogram of raw scores, up to 50
NOMINAL = 2.0  # -log10 of 1%: where the 99% quantile of well-calibrated scores lies

_RECENT_DAYS = 7.0  # memory of the level: feeds and fashions change within weeks, daily rhythms do not
_RECENT_STORIES = 20.0  # and how many expected stories it takes to believe in another level
_FEW_STORIES = 3.0  # a rate of the day or the week is worth believing from about this many stories on,
_FEW_DAYS, _FEW_WEEKS = 2.0, 3.0  # and this much time, because news is bursty
_LEAST_HOURLY = 0.01  # no series is expected to be silent for good
_ALPHA_PRIOR, _ALPHA_LEAST = 0.3, 0.01
_WINDOWS_PRIOR = 10.0  # windows after which a series' own dispersion weighs as much as the pooled one
_DAYS_OF_SCORES = 3.0  # the same for the scale of its scores
_SPIKE_WEIGHT = 0.2  # weight of a step within a surge among past scores
_SCORE_CAP = 2.0  # and its scores as at most this many times the scale of the day
_CAP_DEVIATIONS = 3.0  # a spike is learnt as if it stood this many standard deviations above the mean


@dataclass(frozen=True)
class Plan:
    """What a day is judged by, with a row for each series.

    `expected`: stories per step, (n, steps). `alpha`: dispersion per window, (n, windows). `scale`: the 99% quantile of
    past raw scores, at least NOMINAL, (n,).
    """

    expected: Floats
    alpha: Floats
    scale: Floats


class Baseline:
    """Sufficient statistics of n series, as arrays with a row each. Row 0 is the volume of all messages.

    observed, exposure: (n, 7, cells) stories and days by cell of the week. recent: (n, 2) observed and expected of
    late. moments: (n, windows, 2). scores: (n, BINS). age: (n,) days learnt. idle: (n,) days since the last message.
    """

    FIELDS = ("observed", "exposure", "recent", "moments", "scores", "age", "idle")

    def __init__(self, steps_per_day: int, windows: list[int], history_days: int) -> None:
        self.steps_per_day, self.windows, self.history_days = steps_per_day, windows, history_days
        self.cells = next(c for c in (24, 12, 8, 6, 4, 3, 2, 1) if steps_per_day % c == 0)
        self.observed = np.zeros((0, 7, self.cells))
        self.exposure = np.zeros((0, 7, self.cells))
        self.recent = np.zeros((0, 2))
        self.moments = np.zeros((0, len(windows), 2))
        self.scores = np.zeros((0, BINS))
        self.age = np.zeros(0)
        self.idle = np.zeros(0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in self.FIELDS}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name in self.FIELDS:
            setattr(self, name, arrays[name])

    def __len__(self) -> int:
        return len(self.age)

    def grow(self, rows: int) -> None:
        """Add `rows` series of which nothing is known."""
        for name, array in self.arrays().items():
            setattr(self, name, np.concatenate([array, np.zeros((rows, *array.shape[1:]))]))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget every series but those in the mask `rows`, (n,)."""
        for name, array in self.arrays().items():
            setattr(self, name, array[rows])

    def backfill(self, row: int, day: int, first_day: int, stories: Sequence[tuple[int, float]]) -> None:
        """Let the new `row` know what it would have learnt by `day` from days of silence since `first_day` but for
        its few `stories`, pairs of step and number."""
        days = np.arange(first_day, day)
        if not days.size:
            return
        weight = np.exp(-2.0 / self.history_days * (day - 1 - days))
        self.exposure[row] += np.bincount(days % 7, weight, 7)[:, None]
        self.scores[row, 0] += weight.sum() * self.steps_per_day
        self.age[row] = days.size
        for step, count in stories:
            of_day, place = divmod(step, self.steps_per_day)
            if first_day <= of_day < day:
                cell = place * self.cells // self.steps_per_day
                self.observed[row, of_day % 7, cell] += count * weight[of_day - first_day]

    def plan(self, day: int, pooled: int) -> Plan:
        """What the day (days since 1970) is judged by: a function of the days learnt, and of nothing else.

        The first `pooled` rows, which are those learnt, make up the pool that all are shrunk to.
        """
        known = (self.age > 0) & (np.arange(len(self)) < pooled)
        cells = self._rates(self.observed, self.exposure, known)[:, day % 7]
        level = (self.recent[:, 0] + _RECENT_STORIES) / (self.recent[:, 1] + _RECENT_STORIES)
        least = _LEAST_HOURLY * 24 / self.cells
        hourly = np.maximum(cells * np.clip(level, 0.2, 5.0)[:, None], least)
        steps_per_cell = self.steps_per_day // self.cells
        expected = np.repeat(hourly / steps_per_cell, steps_per_cell, axis=1)
        return Plan(expected, self._dispersion(self.moments, known), self._scale(self.scores, known))

    def _rates(self, observed: Floats, exposure: Floats, known: NDArray[np.bool_]) -> Floats:
        """Stories per cell of the week, (n, 7, cells): own week, shrunk to own day, shrunk to own level.

        Gamma-Poisson shrinkage: a prior rate r counts as e days of exposure with r e stories. The day's shape comes
        from the volume of messages, since a quiet series has too few stories to show one.
        """
        cells = float(self.cells)
        total, days = observed.sum(axis=(1, 2)), exposure.sum(axis=(1, 2)) / cells
        own = known.copy()
        own[0] = False
        levels = (total[own] + 1.0) / (days[own] + 1.0)
        pooled = float(levels.mean()) if levels.size else 1.0
        level = (total + 1.0) / (days + 1.0 / pooled) / cells
        flat = np.ones((1, self.cells))
        shape = self._shrunk(observed[:1].sum(axis=1), exposure[:1].sum(axis=1), level[:1, None] * flat, _FEW_DAYS)
        rhythm = shape / shape.mean()
        prior = level[:, None] * rhythm
        prior[0] = level[0]
        daily = self._shrunk(observed.sum(axis=1), exposure.sum(axis=1), prior, _FEW_DAYS)
        week = self._shrunk(observed[:1], exposure[:1], np.repeat(daily[:1, None], 7, axis=1), _FEW_WEEKS)
        weekly = daily[:, None] * (week / daily[:1, None])
        weekly[0] = daily[0]
        return self._shrunk(observed, exposure, weekly, _FEW_WEEKS)

    @staticmethod
    def _shrunk(observed: Floats, exposure: Floats, prior: Floats, least: float) -> Floats:
        strength = np.maximum(_FEW_STORIES / prior, least)
        rates: Floats = (observed + strength * prior) / (exposure + strength)
        return rates

    @staticmethod
    def _dispersion(moments: Floats, known: NDArray[np.bool_]) -> Floats:
        """alpha by moments, per window, shrunk to the pool: sum((x - mu)^2 - mu) / sum(mu^2), weighted (1 + mu)^-2."""
        pool = moments[known].sum(axis=0)
        prior = (pool[:, 0] + _WINDOWS_PRIOR * _ALPHA_PRIOR) / (pool[:, 1] + _WINDOWS_PRIOR)
        alpha = (moments[:, :, 0] + _WINDOWS_PRIOR * prior) / (moments[:, :, 1] + _WINDOWS_PRIOR)
        return np.maximum(alpha, _ALPHA_LEAST)

    def _scale(self, scores: Floats, known: NDArray[np.bool_]) -> Floats:
        pool = scores[known].sum(axis=0)
        weight = _DAYS_OF_SCORES * self.steps_per_day
        if pool.sum() > 0:
            scores = scores + pool * (weight / pool.sum())
        rank = np.cumsum(scores, axis=1)
        total = rank[:, -1:]
        quantile = (rank < 0.99 * total).sum(axis=1) * BIN
        return np.maximum(np.where(total[:, 0] > 0, quantile, NOMINAL), NOMINAL)

    def learn(self, day: int, counts: Floats, expected: Floats, plan: Plan, judged: Judged) -> None:
        """Take in a day that is over.

        `counts` and `expected` have shape (n, look-back + steps per day): the day, after the longest window's steps
        before it.
        """
        valid = ~judged.outage
        if not valid.any():
            return
        rows, today = len(self), slice(counts.shape[1] - self.steps_per_day, None)
        unlearnt = {name: array[judged.ongoing] for name, array in self.arrays().items()}
        self._learn_rates(day, counts[:, today], expected[:, today], plan.alpha[:rows], judged)
        self._learn_moments(counts, expected, plan.alpha[:rows], valid)
        self._learn_scores(judged, plan.scale[:rows], valid)
        self.age += 1
        for name, rows_before in unlearnt.items():
            getattr(self, name)[judged.ongoing] = rows_before

    def _learn_rates(self, day: int, counts: Floats, expected: Floats, alpha: Floats, judged: Judged) -> None:
        valid = ~judged.outage
        shape = (len(self), self.cells, -1)
        share = valid.reshape(self.cells, -1).mean(axis=1)
        seen = np.where(valid, counts, 0.0).reshape(shape).sum(axis=2)
        mean = np.where(valid, expected, 0.0).reshape(shape).sum(axis=2)
        cap = mean + _CAP_DEVIATIONS * np.sqrt(mean + alpha.max(axis=1)[:, None] * mean**2) + 1.0
        seen = np.where(judged.trusting[:, None], seen, np.minimum(seen, cap))
        fade = np.exp(-2.0 / self.history_days)
        self.observed *= fade
        self.exposure *= fade
        self.observed[:, day % 7] += seen
        self.exposure[:, day % 7] += share
        # the first day compares with a guess
        self.recent *= np.exp(-1.0 / _RECENT_DAYS)
        self.recent += np.where(self.age[:, None] > 0, np.stack([seen.sum(axis=1), mean.sum(axis=1)], axis=1), 0.0)

    def _learn_moments(self, counts: Floats, expected: Floats, alpha: Floats, valid: NDArray[np.bool_]) -> None:
        first = counts.shape[1] - self.steps_per_day
        self.moments *= np.exp(-2.0 / self.history_days)
        for i, window in enumerate(self.windows):
            whole = self.steps_per_day // window * window
            steps = slice(first, first + whole)
            complete = valid[:whole].reshape(-1, window).all(axis=1) & (self.age[:, None] > 0)
            x = counts[:, steps].reshape(len(self), -1, window).sum(axis=2)
            mu = expected[:, steps].reshape(len(self), -1, window).sum(axis=2)
            x = np.minimum(x, mu + 5.0 * np.sqrt(mu + alpha[:, i : i + 1] * mu**2) + 1.0)
            weight = complete / (1.0 + mu) ** 2
            self.moments[:, i, 0] += (weight * ((x - mu) ** 2 - mu)).sum(axis=1)
            self.moments[:, i, 1] += (weight * mu**2).sum(axis=1)

    def _learn_scores(self, judged: Judged, scale: Floats, valid: NDArray[np.bool_]) -> None:
        self.scores *= np.exp(-2.0 / self.history_days)
        # capped, or a surge that lasts past midnight would rescale itself away
        raw = np.minimum(judged.raw, _SCORE_CAP * scale[:, None])
        bins = np.minimum((raw / BIN).astype(np.int64), BINS - 1) + np.arange(len(self))[:, None] * BINS
        weight = np.where(judged.surging, _SPIKE_WEIGHT, 1.0) * (valid & (self.age[:, None] > 0))
        self.scores += np.bincount(bins.ravel(), weight.ravel(), len(self) * BINS).reshape(len(self), BINS)


@dataclass(frozen=True)
class Judged:
    """What judging a day found.

    `raw` scores and whether a surge was open, `surging`: (n, steps). `outage`: (steps,). Rows of which each count is
    believed, `trusting`: the new ones, and those whose surge has lasted so long that it is the new normal; rows with
    another surge still open when the day ends, `ongoing`, do not learn from it: (n,).
    """

    raw: NDArray[np.float32]
    surging: NDArray[np.bool_]
    outage: NDArray[np.bool_]
    trusting: NDArray[np.bool_]
    ongoing: NDArray[np.bool_]
