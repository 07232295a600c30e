"""What is normal for each series: seasonal rates and their dispersion.

Everything is learnt day by day from days that are over, so a day is judged by what was known when it began.
Counts are modelled as negative binomial with mean mu and variance mu + alpha mu^2 (Hilbe 2011, NB2). Old days fade
with exp(-2 age / history_days), which has the mean age of a plain window of `history_days`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.cuts import Cuts, Stories
from alerting.detection.rows import Rows, cells_of
from alerting.detection.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RECENT_DAYS, _ALONE_DAYS = (
    7.0,
    3.0,
)  # memory of the level: feeds and fashions change within weeks, daily rhythms do not
_RECENT_STORIES = 20.0  # and how many expected stories it takes to believe in another level
_FEW_STORIES = 3.0  # a rate of the day or the week is worth believing from about this many stories on,
_FEW_DAYS, _FEW_WEEKS = 5.0, 8.0  # and this much time, because news is bursty
_WEEKEND = np.array([False, False, True, True, False, False, False])  # of days since 1970, modulo 7
_FEW_WEEKENDS, _FEW_YEARS = (
    2.0,
    24.0,
)  # days of a weekend's own rhythm, and of a single day's of the week, to believe it
_LEAST_HOURLY = 0.01  # no series is expected to be silent for good
_ALPHA_PRIOR, _ALPHA_LEAST = 0.3, 0.01
_WINDOWS_PRIOR = 10.0  # windows after which a series' own dispersion weighs as much as the pooled one
_UNUSUAL = 2.58  # Anscombe residual from which on an hour weighs less (Noufaily et al. 2013)
_UNUSUAL_STORIES = 3.0  # and the stories it must have above the mean: a single one is unusual in a quiet hour
_NORMAL_DAYS, _SETTLING_DAYS = 2, 1.0  # a level that has lasted so long is the new normal, and soon believed
_KINDS = 3  # of series


class Profile(NamedTuple):
    """The rhythm of a day, with mean 1, (cells,), and of each day of the week relative to it, (7, cells)."""

    day: Floats
    week: Floats


class Pool(NamedTuple):
    """What the series known when a day began have in common. `level`: stories a day by kind, (kinds,). `profile`: that
    of the volume of all messages. `alpha`: dispersion per window, (windows,)."""

    level: Floats
    profile: Profile
    alpha: Floats


class History(NamedTuple):
    """What n series showed by the hour of the day, over all days. `observed`, `exposure`: (n, cells) stories and days.
    `total`, `days`: (n,) the same over the whole day."""

    observed: Floats
    exposure: Floats
    total: Floats
    days: Floats


class Plan(NamedTuple):
    """What a day is judged by. `rates`: stories per step in each part of the day, (n, parts). `alpha`: dispersion per
    window, (n, windows). `level`: by how much the rates are above those of the whole history of late, (n,)."""

    rates: Floats
    alpha: Floats
    level: Floats


class Baseline(Rows):
    """Sufficient statistics of n series.

    observed, exposure: (n, 7, cells) stories and days by cell of the week. recent: (n, 2) observed and expected of
    late. moments: (n, windows, 2). before: (n, parts) rates that the last day was judged by. age: (n,) days learnt.
    unusual: (n,) days in a row far above normal.
    """

    FIELDS = ("observed", "exposure", "recent", "moments", "before", "age", "unusual")

    def __init__(self, shape: Shape) -> None:
        self.shape, self.cells = shape, shape.cells
        self.observed = np.zeros((0, 7, shape.cells))
        self.exposure = np.zeros((0, 7, shape.cells))
        self.recent = np.zeros((0, 2))
        self.moments = np.zeros((0, len(shape.windows), 2))
        self.before = np.zeros((0, shape.parts))
        self.age = np.zeros(0)
        self.unusual = np.zeros(0)
        self.alone = True  # nothing but a series' own past says what is normal
        self._pool: Pool | None = None
        self._per_part = shape.steps_per_day // shape.parts
        self._cuts = Cuts(shape)

    def backfill(self, row: int, day: int, first_day: int, stories: Sequence[tuple[int, float]]) -> None:
        """Let the new `row` know what it would have learnt by `day` from days of silence since `first_day` but for
        its few `stories`, pairs of step and number."""
        days = np.arange(first_day, day)
        if not days.size:
            return
        weight = np.exp(-2.0 / self.shape.history_days * (day - 1 - days))
        self.exposure[row] += np.bincount(days % 7, weight, 7)[:, None]
        self.age[row] = days.size
        for step, count in stories:
            of_day, place = divmod(step, self.shape.steps_per_day)
            if first_day <= of_day < day:
                cell = place * self.cells // self.shape.steps_per_day
                self.observed[row, of_day % 7, cell] += count * weight[of_day - first_day]

    def profile(self, alone: bool) -> Profile:
        """What the rows together show of the rhythm of a day and a week."""
        observed, exposure = self.observed.sum(axis=0), self.exposure.sum(axis=0)
        flat = np.full(self.cells, (observed.sum() + 1.0) / (exposure.sum() + self.cells))
        daily = _shrunk(observed.sum(axis=0), exposure.sum(axis=0), flat, 1.0)
        weekday = _shrunk(observed.sum(axis=1), exposure.sum(axis=1), np.full(7, daily.sum() / self.cells), 1.0)
        weekday /= weekday.mean()
        if not alone:
            return Profile(daily / daily.mean(), _shrunk(observed, exposure, weekday[:, None] * daily, 1.0) / daily)
        week = np.empty_like(observed)
        for days in (_WEEKEND, ~_WEEKEND):
            heard = (exposure[days] * weekday[days, None]).sum(axis=0)
            week[days] = weekday[days, None] * _shrunk(observed[days].sum(axis=0), heard, daily, _FEW_WEEKENDS)
        return Profile(daily / daily.mean(), _shrunk(observed, exposure, week, _FEW_YEARS) / daily)

    def plan(self, day: int, learnt: int, kinds: Ints, profile: Profile, first: int = 0) -> Plan:
        """What the rows from `first` on are judged by on that day (days since 1970). The first `learnt` rows tell what
        series have in common; `kinds`, (n,), numbers the kind of each.

        Gamma-Poisson shrinkage of the own hour of the week to the own hour of the day, and of that to the own level
        with the pooled profile: a prior rate r counts as e days of exposure with r e stories.
        """
        history = self._history(first)
        if self._pool is None or not first:
            self._pool = self._find_pool(learnt, kinds, profile, history if not first else self._history(0))
        pool, weekday = self._pool, day % 7
        level = (history.total + 1.0) / (history.days + 1.0 / pool.level[kinds[first:]]) / self.cells
        daily = _shrunk(history.observed, history.exposure, level[:, None] * pool.profile.day, _FEW_DAYS)
        daily *= pool.profile.week[weekday]
        hourly = _shrunk(self.observed[first:, weekday], self.exposure[first:, weekday], daily, _FEW_WEEKS)
        recent = self.recent[first:] + _RECENT_STORIES
        late = np.minimum(np.maximum(recent[:, 0] / recent[:, 1], 0.2), 5.0)
        hourly *= late[:, None]
        np.maximum(hourly, _LEAST_HOURLY * 24 / self.cells, out=hourly)
        hourly /= self.shape.steps_per_day // self.cells
        moments = self.moments[first:]
        alpha = (moments[:, :, 0] + _WINDOWS_PRIOR * pool.alpha) / (moments[:, :, 1] + _WINDOWS_PRIOR)
        # a rate known from few stories is uncertain: its gamma posterior adds one over their number
        alpha = np.maximum(alpha, _ALPHA_LEAST) + 1.0 / (history.total[:, None] + _FEW_STORIES)
        return Plan(self._smooth(hourly), alpha, late)

    def _history(self, first: int) -> History:
        """That of the rows from `first` on."""
        # a sum over the middle axis, in a third of its time
        observed, exposure = (np.einsum("ijk->ik", array[first:]) for array in (self.observed, self.exposure))
        return History(observed, exposure, observed.sum(axis=1), exposure.sum(axis=1) / self.cells)

    def _find_pool(self, learnt: int, kinds: Ints, profile: Profile, history: History) -> Pool:
        self.alone = learnt <= 1
        known, kinds = self.age[:learnt] > 0, kinds[:learnt]
        count = np.bincount(kinds, known, _KINDS)
        levels = np.bincount(kinds, known * (history.total[:learnt] + 1.0) / (history.days[:learnt] + 1.0), _KINDS)
        moments = self.moments[:learnt].sum(axis=0)  # those of a row that is not known are 0
        alpha = (moments[:, 0] + _WINDOWS_PRIOR * _ALPHA_PRIOR) / (moments[:, 1] + _WINDOWS_PRIOR)
        return Pool(np.where(count > 0, levels / np.maximum(count, 1), 1.0), profile, alpha)

    def _smooth(self, rates: Floats) -> Floats:
        """Rates of cells, (n, cells), as rates of `shape.parts` of the day: a straight line from cell to cell."""
        parts = self.shape.parts // self.cells
        if parts == 1:
            return rates
        halves = np.empty((len(rates), self.cells, 2))
        own, away = 0.75 * rates, 0.25 * rates
        np.add(own[:, 1:], away[:, :-1], out=halves[:, 1:, 0])
        np.add(own[:, :-1], away[:, 1:], out=halves[:, :-1, 1])
        halves[:, 0, 0], halves[:, -1, 1] = rates[:, 0], rates[:, -1]
        return halves.reshape(len(rates), self.shape.parts)

    def learn(self, day: int, stories: Stories, plan: Plan, outage: NDArray[np.bool_]) -> None:
        """Take in a day that is over, and its `stories`, but for the steps in `outage`, (steps,)."""
        valid = ~outage if outage.any() else None
        known = (self.age > 0) * self._known_days(day)
        seen, expected, share = self._by_cell(stories, plan, valid)
        weight = self._weight(seen, expected, plan.alpha)
        seen *= weight
        expected *= weight
        fade = math.exp(-2.0 / self.shape.history_days)
        self.observed *= fade
        self.exposure *= fade
        self.observed[:, day % 7] += seen
        self.exposure[:, day % 7] += weight if share is None else weight * share
        # the first day compares with a guess
        settling = self.unusual > _NORMAL_DAYS
        memory = _ALONE_DAYS if self.alone else _RECENT_DAYS
        left = np.where(settling, math.exp(-1.0 / _SETTLING_DAYS), math.exp(-1.0 / memory))
        self.recent *= left[:, None]
        self.recent[:, 0] += seen.sum(axis=1) * known
        self.recent[:, 1] += expected.sum(axis=1) / plan.level * known
        self._learn_moments(stories, plan, valid)
        self.before = plan.rates
        self.age += 1

    def _by_cell(
        self, stories: Stories, plan: Plan, valid: NDArray[np.bool_] | None
    ) -> tuple[Floats, Floats, Floats | None]:
        """Stories seen and expected in each cell of the day, (n, cells), and the share of it that is `valid`, (cells,).
        `valid`: (steps,); None: all of it is."""
        place = stories.row * self.cells + stories.step * self.cells // self.shape.steps_per_day
        number = stories.number if valid is None else stories.number * valid[stories.step]
        seen = np.bincount(place, number, len(self) * self.cells).astype(np.float64, copy=False)
        share: Floats | None = None
        if valid is None:
            expected = plan.rates * self._per_part
        else:
            expected = plan.rates * (valid.reshape(self.shape.parts, -1).mean(axis=1) * self._per_part)
            share = valid.reshape(self.cells, -1).mean(axis=1)
        if self.shape.parts > self.cells:
            expected = expected[:, ::2] + expected[:, 1::2]
        return seen.reshape(len(self), self.cells), expected, share

    def _known_days(self, day: int) -> Floats | float:
        """By how much to believe that another level is one, (n,): a weekend that is not known yet is none."""
        if not self.alone:
            return 1.0
        days = self.exposure[:, _WEEKEND[day % 7] == _WEEKEND].sum(axis=(1, 2)) / self.cells
        known: Floats = days / (days + _FEW_WEEKENDS)
        return known

    def _weight(self, seen: Floats, mean: Floats, alpha: Floats) -> Floats:
        """Weight of each cell of the day, (n, cells): less where it is far above normal, unless that is new normal."""
        weight = np.ones_like(seen)
        at = cells_of(seen - mean >= _UNUSUAL_STORIES)
        if at[0].size:
            spread = 1.0 + alpha[at[0], len(self.shape.short_windows) - 1] * mean[at]
            weight[at] = (_UNUSUAL / np.maximum(_residual(seen[at], mean[at], spread), _UNUSUAL)) ** 2
        seen, mean = seen.sum(axis=1), mean.sum(axis=1)
        unusual = _residual(seen, mean, 1.0 + alpha[:, -1] * mean) > _UNUSUAL
        self.unusual = (self.unusual + 1) * unusual
        weight[(self.unusual > _NORMAL_DAYS) | (self.age < _NORMAL_DAYS)] = 1.0
        return weight

    def _learn_moments(self, stories: Stories, plan: Plan, valid: NDArray[np.bool_] | None) -> None:
        """alpha by moments per window: sum((x - mu)^2 - mu) / sum(mu^2), weighted (1 + mu)^-2.

        Most windows have no story: all are taken for empty first, x = 0, and those with one are put right.
        """
        cuts = self._cuts
        complete, windows = cuts.complete(valid)
        mu = cuts.expected(plan.rates)
        # with r = mu / (1 + mu) the weighted mu^2 is r^2, and the weighted mu is r - r^2
        share = mu / (1.0 + mu)
        weighted = windows * share
        linear = cuts.sums(weighted)
        weighted *= share
        squared = cuts.sums(weighted)
        row, which, place, x = cuts.by_window(stories, len(self))
        mean, alpha = mu[row, cuts.column[which, place]], plan.alpha[row, which]
        x = np.minimum(x, mean + 5.0 * np.sqrt(mean + alpha * mean**2) + 1.0)
        more = complete[which, place] * (x * (x - 2.0 * mean)) / (1.0 + mean) ** 2
        put_right = np.bincount(row * len(cuts) + which, more, len(self) * len(cuts)).reshape(len(self), len(cuts))
        history = float(self.shape.history_days)
        memory = np.minimum(np.maximum(self.age, 1.0), history) if self.alone else np.full(1, history)
        self.moments *= np.exp(-2.0 / memory)[:, None, None]
        learning = ((self.age > 0) & (self.unusual == 0))[:, None]
        self.moments[:, :, 0] += learning * (2.0 * squared - linear + put_right)
        self.moments[:, :, 1] += learning * squared


def _shrunk(observed: Floats, exposure: Floats, prior: Floats, least: float) -> Floats:
    strength = np.maximum(_FEW_STORIES / prior, least)
    rates: Floats = strength * prior
    rates += observed
    strength += exposure
    rates /= strength
    return rates


def _residual(seen: Floats, mean: Floats, spread: Floats) -> Floats:
    """Anscombe residual of counts with variance spread * mean (Farrington et al. 1996)."""
    root = np.cbrt(np.maximum(mean, 1e-3))
    residual: Floats = 1.5 * (np.cbrt(seen) ** 2 - root**2) / np.sqrt(root * spread)
    return residual
