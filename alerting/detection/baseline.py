"""What is normal for each series: seasonal rates and their dispersion.

Everything is learnt day by day from days that are over, so a day is judged by what was known when it began.
Counts are modelled as negative binomial with mean mu and variance mu + alpha mu^2 (Hilbe 2011, NB2). Old days fade
with exp(-2 age / history_days), which has the mean age of a plain window of `history_days`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.rows import Rows, begins, cells_of
from alerting.detection.shape import Shape

Floats = NDArray[np.float64]

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


class Plan(NamedTuple):
    """What a day is judged by. `rates`: stories per step in each part of the day, (n, parts). `alpha`: dispersion per
    window, (n, windows). `level`: by how much the rates are above those of the whole history of late, (n,)."""

    rates: Floats
    alpha: Floats
    level: Floats


class Stories(NamedTuple):
    """The steps of a day with a story, by row and step, each (cells,), and the `number` of them there."""

    row: NDArray[np.int64]
    step: NDArray[np.int64]
    number: Floats

    def by_window(self, cut: Cut) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """Row and place of the windows with a story in the `cut`, and their stories."""
        if cut.window == 1:
            return self.row, self.step, self.number
        row, place, number = self.row, self.step // cut.window, self.number
        if place.max(initial=0) >= cut.windows:
            whole = place < cut.windows
            row, place, number = row[whole], place[whole], number[whole]
        first = begins(row * cut.windows + place).nonzero()[0]
        return row[first], place[first], np.add.reduceat(number, first) if len(first) else number


class Cut(NamedTuple):
    """A day cut into `windows` of `window` steps. `alike` of them in a row expect the same and stand together in one of
    the `columns`."""

    window: int
    windows: int
    alike: int
    columns: slice


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
        self._cuts = self._cut()
        self._all_complete = self._complete(np.ones(shape.steps_per_day, np.bool_))

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

    def pool(self, learnt: int, kinds: NDArray[np.int64], profile: Profile) -> Pool:
        """What the first `learnt` series have in common; `kinds`, (n,), numbers the kind of each."""
        self.alone = learnt <= 1
        known = self.age[:learnt] > 0
        total, days = self.observed[:learnt].sum(axis=(1, 2)), self.exposure[:learnt].sum(axis=(1, 2)) / self.cells
        count = np.bincount(kinds[:learnt], known, _KINDS)
        levels = np.bincount(kinds[:learnt], known * (total + 1.0) / (days + 1.0), _KINDS)
        moments = self.moments[:learnt][known].sum(axis=0)
        alpha = (moments[:, 0] + _WINDOWS_PRIOR * _ALPHA_PRIOR) / (moments[:, 1] + _WINDOWS_PRIOR)
        return Pool(np.where(count > 0, levels / np.maximum(count, 1), 1.0), profile, alpha)

    def plan(self, day: int, pool: Pool, kinds: NDArray[np.int64], first: int = 0) -> Plan:
        """What the rows from `first` on are judged by on that day (days since 1970).

        Gamma-Poisson shrinkage of the own hour of the week to the own hour of the day, and of that to the own level
        with the pooled profile: a prior rate r counts as e days of exposure with r e stories.
        """
        observed, exposure = self.observed[first:], self.exposure[first:]
        total, days = observed.sum(axis=(1, 2)), exposure.sum(axis=(1, 2)) / self.cells
        level = (total + 1.0) / (days + 1.0 / pool.level[kinds[first:]]) / self.cells
        daily = _shrunk(observed.sum(axis=1), exposure.sum(axis=1), level[:, None] * pool.profile.day, _FEW_DAYS)
        today = _shrunk(observed[:, day % 7], exposure[:, day % 7], daily * pool.profile.week[day % 7], _FEW_WEEKS)
        recent = self.recent[first:]
        late = np.clip((recent[:, 0] + _RECENT_STORIES) / (recent[:, 1] + _RECENT_STORIES), 0.2, 5.0)
        hourly = np.maximum(today * late[:, None], _LEAST_HOURLY * 24 / self.cells)
        moments = self.moments[first:]
        alpha = (moments[:, :, 0] + _WINDOWS_PRIOR * pool.alpha) / (moments[:, :, 1] + _WINDOWS_PRIOR)
        # a rate known from few stories is uncertain: its gamma posterior adds one over their number
        alpha = np.maximum(alpha, _ALPHA_LEAST) + 1.0 / (total[:, None] + _FEW_STORIES)
        return Plan(self._smooth(hourly / (self.shape.steps_per_day // self.cells)), alpha, late)

    def _smooth(self, rates: Floats) -> Floats:
        """Rates of cells, (n, cells), as rates of `shape.parts` of the day: a straight line from cell to cell."""
        parts = self.shape.parts // self.cells
        if parts == 1:
            return rates
        before = np.concatenate([rates[:, :1], rates[:, :-1]], axis=1)
        after = np.concatenate([rates[:, 1:], rates[:, -1:]], axis=1)
        halves = np.stack([0.75 * rates + 0.25 * before, 0.75 * rates + 0.25 * after], axis=2)
        return halves.reshape(len(rates), self.shape.parts)

    def learn(self, day: int, counts: NDArray[np.float32], plan: Plan, outage: NDArray[np.bool_]) -> None:
        """Take in a day that is over: `counts`, (n, steps), but for the steps in `outage`, (steps,)."""
        valid = ~outage
        stories = _stories(counts)
        place = stories.row * self.cells + stories.step * self.cells // self.shape.steps_per_day
        counted = np.bincount(place, stories.number * valid[stories.step], len(self) * self.cells)
        seen = counted.astype(np.float64).reshape(len(self), self.cells)
        share = valid.reshape(self.cells, -1).mean(axis=1)
        heard = valid.reshape(self.shape.parts, -1).mean(axis=1) * self._per_part
        expected = plan.rates * heard
        mean = expected if self.shape.parts == self.cells else expected[:, ::2] + expected[:, 1::2]
        weight = self._weight(seen, mean, plan.alpha)
        known = self._known_days(day)
        fade = np.exp(-2.0 / self.shape.history_days)
        self.observed *= fade
        self.exposure *= fade
        self.observed[:, day % 7] += weight * seen
        self.exposure[:, day % 7] += weight * share
        # the first day compares with a guess
        settling = self.unusual > _NORMAL_DAYS
        self.recent *= np.exp(-1.0 / np.where(settling, _SETTLING_DAYS, _ALONE_DAYS if self.alone else _RECENT_DAYS))[
            :, None
        ]
        late = np.stack([(weight * seen).sum(axis=1), (weight * mean).sum(axis=1) / plan.level], axis=1)
        self.recent += np.where(self.age[:, None] > 0, late * known[:, None], 0.0)
        self._learn_moments(stories, plan, valid)
        self.before = plan.rates
        self.age += 1

    @property
    def _per_part(self) -> int:
        return self.shape.steps_per_day // self.shape.parts

    def _known_days(self, day: int) -> Floats:
        """By how much to believe that another level is one, (n,): a weekend that is not known yet is none."""
        if not self.alone:
            return np.ones(len(self))
        days = self.exposure[:, _WEEKEND[day % 7] == _WEEKEND].sum(axis=(1, 2)) / self.cells
        known: Floats = days / (days + _FEW_WEEKENDS)
        return known

    def _weight(self, seen: Floats, mean: Floats, alpha: Floats) -> Floats:
        """Weight of each cell of the day, (n, cells): less where it is far above normal, unless that is new normal."""
        weight = np.ones_like(seen)
        at = np.nonzero(seen - mean >= _UNUSUAL_STORIES)
        spread = 1.0 + alpha[at[0], len(self.shape.short_windows) - 1] * mean[at]
        weight[at] = (_UNUSUAL / np.maximum(_residual(seen[at], mean[at], spread), _UNUSUAL)) ** 2
        seen, mean = seen.sum(axis=1), mean.sum(axis=1)
        unusual = _residual(seen, mean, 1.0 + alpha[:, -1] * mean) > _UNUSUAL
        self.unusual = np.where(unusual, self.unusual + 1, 0)
        weight[(self.unusual > _NORMAL_DAYS) | (self.age < _NORMAL_DAYS)] = 1.0
        return weight

    def _learn_moments(self, stories: Stories, plan: Plan, valid: NDArray[np.bool_]) -> None:
        """alpha by moments per window: sum((x - mu)^2 - mu) / sum(mu^2), weighted (1 + mu)^-2.

        Most windows have no story: all are taken for empty first, x = 0, and those with one are put right.
        """
        age = (
            np.clip(self.age, 1, self.shape.history_days) if self.alone else np.full(len(self), self.shape.history_days)
        )
        self.moments *= np.exp(-2.0 / age)[:, None, None]
        learning = (self.age > 0) & (self.unusual == 0)
        mu = self._expected(plan.rates)
        complete, windows = self._all_complete if valid.all() else self._complete(valid)
        weight = windows / (1.0 + mu) ** 2
        squared = weight * mu**2
        excess = squared - weight * mu
        found = [stories.by_window(cut) for cut in self._cuts]
        row, x = np.concatenate([parts[0] for parts in found]), np.concatenate([parts[2] for parts in found])
        columns = [cut.columns.start + place // cut.alike for cut, (_, place, _) in zip(self._cuts, found, strict=True)]
        which = np.repeat(np.arange(len(found)), [len(parts[0]) for parts in found])
        mean, alpha = mu[row, np.concatenate(columns)], plan.alpha[row, which]
        x = np.minimum(x, mean + 5.0 * np.sqrt(mean + alpha * mean**2) + 1.0)
        heard = np.concatenate([whole[parts[1]] for whole, parts in zip(complete, found, strict=True)])
        more = heard * (x**2 - 2.0 * x * mean) / (1.0 + mean) ** 2
        put_right = np.bincount(row * len(found) + which, more, len(self) * len(found)).reshape(len(self), len(found))
        for i, cut in enumerate(self._cuts):
            self.moments[:, i, 0] += learning * (excess[:, cut.columns].sum(axis=1) + put_right[:, i])
            self.moments[:, i, 1] += learning * squared[:, cut.columns].sum(axis=1)

    def _cut(self) -> list[Cut]:
        cuts: list[Cut] = []
        for window in self.shape.windows:
            windows = self.shape.steps_per_day // window
            alike = max(self._per_part // window, 1) if self._per_part % window == 0 else 1
            first = cuts[-1].columns.stop if cuts else 0
            cuts.append(Cut(window, windows, alike, slice(first, first + windows // alike)))
        return cuts

    def _complete(self, valid: NDArray[np.bool_]) -> tuple[list[NDArray[np.bool_]], NDArray[np.int64]]:
        """Whether each window of each cut is `valid`, (steps,), throughout; and how many are, (columns,)."""
        parts = [valid[: cut.windows * cut.window].reshape(-1, cut.window) for cut in self._cuts]
        complete = [np.asarray(part.all(axis=1)) for part in parts]
        windows = [whole.reshape(-1, cut.alike).sum(axis=1) for whole, cut in zip(complete, self._cuts, strict=True)]
        return complete, np.concatenate(windows)

    def _expected(self, rates: Floats) -> Floats:
        """Stories expected in the windows of all cuts, (n, columns)."""
        edges = np.zeros((len(rates), self.shape.parts + 1))
        np.cumsum(rates * self._per_part, axis=1, out=edges[:, 1:])
        expected = np.empty((len(rates), self._cuts[-1].columns.stop))
        for cut in self._cuts:
            target = expected[:, cut.columns]
            if self._per_part % cut.window == 0:
                np.multiply(rates, cut.window, out=target)
                continue
            part, within = np.divmod(np.arange(cut.windows + 1) * cut.window, self._per_part)
            until = edges[:, part]
            if within.any():
                until += rates[:, np.minimum(part, self.shape.parts - 1)] * within
            np.subtract(until[:, 1:], until[:, :-1], out=target)
        return expected


def _stories(counts: NDArray[np.float32]) -> Stories:
    row, step = cells_of(counts)
    return Stories(row, step, counts[row, step].astype(np.float64))


def _shrunk(observed: Floats, exposure: Floats, prior: Floats, least: float) -> Floats:
    strength = np.maximum(_FEW_STORIES / prior, least)
    rates: Floats = (observed + strength * prior) / (exposure + strength)
    return rates


def _residual(seen: Floats, mean: Floats, spread: Floats) -> Floats:
    """Anscombe residual of counts with variance spread * mean (Farrington et al. 1996)."""
    mean = np.maximum(mean, 1e-3)
    residual: Floats = 1.5 * (np.cbrt(seen) ** 2 - np.cbrt(mean) ** 2) / np.sqrt(np.cbrt(mean) * spread)
    return residual
