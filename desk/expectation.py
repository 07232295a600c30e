"""How many negative stories are to be expected in a series, and how surprising it is to see others. Pure.

Of an hour h that lies on day D, from the hours of the 28 days before D that the store has seen (n of them):

    level = (sum of all + 1) / (n + 24)                                as if a day with one story had come before
    daily = (sum of x at the same hour of the 7 days before + 4 level) / (number of those + 4)
    hourly = (sum of x at the same hour of the 4 weeks before + 4 daily) / (number of those + 4)

which are means of gamma-Poisson posteriors: each prior weighs as much as 4 hours that were seen. Steps of several hours
are sums of these, shorter ones are parts. The counts are negative binomial with variance mean + alpha mean^2 (NB2;
Hilbe, Negative Binomial Regression, 2011); alpha by moments around the means by hour of the day, shrunk to 0.25.
What is expected of an hour follows from the days before it only, and not from the span that is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, nbdtrik

Floats = NDArray[np.float64]

DAY = 24
WEEKS, DAYS = 4, 7
HISTORY = WEEKS * 7 * DAY
"""Hours before a day from which its expectation follows."""
WEIGHT = 4.0
"""Hours that a prior weighs as much as."""
_ALPHA, _LEAST_ALPHA, _MOST_ALPHA = 0.25, 0.01, 5.0
_LEAST_TAIL = 1e-300
BAND = (0.05, 0.95)
"""Quantiles of the band of ordinary counts."""


@dataclass(frozen=True)
class Expectation:
    """Arrays [series, hour]; NaN where no earlier day was seen. `daily`, `level`: what `hourly` was shrunk to."""

    hourly: Floats
    daily: Floats
    level: Floats
    alpha: Floats


def expect(counts: Floats, begin: int, first: int) -> Expectation:
    """What is expected of the hours from number `first` on.

    `counts`: negative stories, [series, hour], of consecutive hours that begin at a midnight. Hour number `begin` is
    the first that the store has seen as a whole; 0 if it had begun before these hours.
    """
    series, hours = counts.shape
    shape = (series, hours - first)
    hourly, daily, level, alpha = (np.full(shape, np.nan) for _ in range(4))
    for midnight in range(first // DAY * DAY, hours, DAY):
        start = max(begin, midnight - HISTORY)
        if start >= midnight:
            continue
        chosen = np.arange(max(midnight, first), min(midnight + DAY, hours))
        past = counts[:, start:midnight]
        levels = (past.sum(axis=1) + 1.0) / (past.shape[1] + DAY)
        of_day = _shrunk(counts, start, chosen, DAY, DAYS, levels[:, None])
        out = slice(chosen[0] - first, chosen[-1] - first + 1)
        hourly[:, out] = _shrunk(counts, start, chosen, 7 * DAY, WEEKS, of_day)
        daily[:, out] = of_day
        level[:, out] = levels[:, None]
        alpha[:, out] = dispersion(past, start, levels)[:, None]
    return Expectation(hourly, daily, level, alpha)


def _shrunk(counts: Floats, start: int, chosen: NDArray[np.int64], apart: int, times: int, prior: Floats) -> Floats:
    """Means of the counts `apart`, 2 `apart`, ... hours before the `chosen` hours, shrunk to `prior`."""
    total = np.zeros((counts.shape[0], len(chosen)))
    seen = np.zeros(len(chosen))
    for number in range(1, times + 1):
        earlier = chosen - number * apart
        known = earlier >= start
        total[:, known] += counts[:, earlier[known]]
        seen += known
    shrunk: Floats = (total + WEIGHT * prior) / (seen + WEIGHT)
    return shrunk


def dispersion(past: Floats, start: int, levels: Floats) -> Floats:
    """Alpha of each series: of `past`, [series, hour], whose first hour is number `start` after a midnight."""
    hours = np.arange(start, start + past.shape[1]) % DAY
    seen = np.bincount(hours, minlength=DAY)
    total = np.zeros((past.shape[0], DAY))
    for hour in range(DAY):
        total[:, hour] = past[:, hours == hour].sum(axis=1)
    means = ((total + WEIGHT * levels[:, None]) / (seen + WEIGHT))[:, hours]
    excess = ((past - means) ** 2 - means).sum(axis=1)
    shrunk: Floats = (excess + WEIGHT * _ALPHA) / ((means**2).sum(axis=1) + WEIGHT)
    return np.clip(shrunk, _LEAST_ALPHA, _MOST_ALPHA)


def in_steps(hourly: Floats, hours: int) -> Floats:
    """Sums over steps of so many hours; the number of hours is a multiple of that."""
    summed: Floats = hourly.reshape(hourly.shape[0], -1, hours).sum(axis=2)
    return summed


def upper_tail(observed: Floats, mean: Floats, alpha: Floats) -> Floats:
    """P(X >= observed) = I_q(observed, 1/alpha), q = alpha mean / (1 + alpha mean) (DLMF 8.17.5); 1 for 0 observed."""
    q = alpha * mean / (1.0 + alpha * mean)
    tail: Floats = np.where(observed > 0, betainc(np.maximum(observed, 1.0), 1.0 / alpha, q), 1.0)
    return np.where(np.isnan(mean), np.nan, tail)


def lower_tail(observed: Floats, mean: Floats, alpha: Floats) -> Floats:
    """P(X <= observed) = I_(1-q)(1/alpha, observed + 1)."""
    tail: Floats = betainc(1.0 / alpha, observed + 1.0, 1.0 / (1.0 + alpha * mean))
    return tail


def surprise(observed: Floats, mean: Floats, alpha: Floats) -> Floats:
    """-log10 of the tail that `observed` lies in: positive above the mean, negative below it, NaN without one."""
    signed = np.full(mean.shape, np.nan)
    for side, sign, chosen in ((upper_tail, -1.0, observed >= mean), (lower_tail, 1.0, observed < mean)):
        tail = side(observed[chosen], mean[chosen], alpha[chosen])
        signed[chosen] = sign * np.log10(np.maximum(tail, _LEAST_TAIL))
    return signed


def band(mean: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """The counts between which BAND lies, as real numbers: quantiles of the continued distribution, never below 0."""
    shape, chance = 1.0 / alpha, 1.0 / (1.0 + alpha * mean)
    low, high = (np.maximum(np.nan_to_num(nbdtrik(q, shape, chance), nan=0.0), 0.0) for q in BAND)
    missing = np.isnan(mean)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)
