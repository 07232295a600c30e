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
    days, first_day = -(-hours // DAY), first // DAY
    by_day = np.zeros((series, days * DAY))
    by_day[:, begin:hours] = counts[:, begin:]
    by_day = by_day.reshape(series, days, DAY)
    seen = (np.arange(days * DAY) >= begin).astype(np.float64).reshape(1, days, DAY)
    asked = np.arange(first_day, days)
    past, past_seen = (_days_before(each, asked, WEEKS * 7) for each in (by_day, seen))
    levels = (past.sum(axis=2, keepdims=True) + 1.0) / (past_seen.sum(axis=2, keepdims=True) + DAY)
    days_before, days_seen = (_days_before(each, asked, DAYS) for each in (by_day, seen))
    daily = (days_before + WEIGHT * levels) / (days_seen + WEIGHT)
    weeks_before, weeks_seen = (_weeks_before(each, asked) for each in (by_day, seen))
    hourly = (weeks_before + WEIGHT * daily) / (weeks_seen + WEIGHT)
    squares = _days_before((by_day**2).sum(axis=2, keepdims=True), asked, WEEKS * 7)
    alpha = _dispersion(past, squares, past_seen, levels)
    known = past_seen.any(axis=2, keepdims=True)
    asked_hours = slice(first - first_day * DAY, hours - first_day * DAY)
    shape = (series, len(asked), DAY)
    return Expectation(
        *(
            np.broadcast_to(np.where(known, each, np.nan), shape).reshape(series, len(asked) * DAY)[:, asked_hours]
            for each in (hourly, daily, levels, alpha)
        )
    )


def _days_before(by_day: Floats, asked: NDArray[np.int64], days: int) -> Floats:
    """Sums over so many days before each of those `asked`: [..., day asked, ...] of [..., day, ...]."""
    until = np.concatenate([np.zeros_like(by_day[:, :1]), by_day.cumsum(axis=1)], axis=1)
    summed: Floats = until[:, asked] - until[:, np.maximum(asked - days, 0)]
    return summed


def _weeks_before(by_day: Floats, asked: NDArray[np.int64]) -> Floats:
    """Sums over the same day of the WEEKS before, like `_days_before`."""
    total = np.zeros((by_day.shape[0], len(asked), by_day.shape[2]))
    for days in range(7, WEEKS * 7 + 1, 7):
        known = asked >= days
        total[:, known] += by_day[:, asked[known] - days]
    return total


def _dispersion(past: Floats, squares: Floats, seen: Floats, levels: Floats) -> Floats:
    """Alpha, [..., day, 1], from sums by hour of the day, [..., day, hour], the sum of all squares, [..., day, 1], how
    many hours these are of, and levels."""
    means = (past + WEIGHT * levels) / (seen + WEIGHT)
    weight = (seen * means**2).sum(axis=2, keepdims=True)
    # The sum of (x - mean)^2 - mean; counts are whole numbers, so that nothing is lost in the difference.
    excess = squares + weight - ((2.0 * past + seen) * means).sum(axis=2, keepdims=True)
    shrunk: Floats = (excess + WEIGHT * _ALPHA) / (weight + WEIGHT)
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
