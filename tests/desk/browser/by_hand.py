"""What is expected of an hour, and how surprising it is: from plain SQL, by the sums that docs/desk.md names."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from scipy.special import betainc

HOUR_S, DAY = 3600, 24


@dataclass(frozen=True)
class Hour:
    """What is expected of one hour, and what it follows from."""

    level_sum: int
    level_hours: int
    level: float
    days: list[int]
    daily: float
    weeks: list[int]
    mean: float
    alpha: float


class History:
    """Negative stories of all series of one kind by hour, each hour by its number since 1970."""

    def __init__(self, store: psycopg.Connection[Any], kind: str) -> None:
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)
        query = (
            "SELECT name, floor(extract(epoch FROM minute) / 3600)::int, sum(negative_stories)::int FROM trend "
            "WHERE kind = %s GROUP BY 1, 2"
        )
        for name, hour, negative in store.execute(query, (kind,)):
            self._counts[name][hour] = negative
        found = store.execute("SELECT ceil(extract(epoch FROM min(minute)) / 3600)::int FROM trend WHERE kind = 'all'")
        (self._begin,) = found.fetchone() or (0,)

    def negative(self, name: str, hours: range) -> int:
        counts = self._counts[name]
        return sum(counts.get(hour, 0) for hour in hours)

    def expected(self, name: str, at: datetime) -> Hour | None:
        """Of the hour that begins `at`; None where no earlier day was seen."""
        hour = int(at.timestamp()) // HOUR_S
        midnight = hour // DAY * DAY
        start = max(self._begin, midnight - 28 * DAY)
        past = [self._counts[name].get(each, 0) for each in range(start, midnight)]
        if not past:
            return None
        level = (sum(past) + 1) / (len(past) + 24)
        days, weeks = (
            [self._counts[name].get(each, 0) for n in range(1, count + 1) if (each := hour - step * n) >= start]
            for count, step in ((7, DAY), (4, 7 * DAY))
        )
        daily = (sum(days) + 4 * level) / (len(days) + 4)
        mean = (sum(weeks) + 4 * daily) / (len(weeks) + 4)
        means = []
        for clock in range(DAY):
            same = [x for each, x in enumerate(past, start) if each % DAY == clock]
            means.append((sum(same) + 4 * level) / (len(same) + 4))
        usual = [means[each % DAY] for each in range(start, midnight)]
        excess = sum((x - m) ** 2 - m for x, m in zip(past, usual, strict=True)) + 4 * 0.25
        alpha = min(5.0, max(0.01, excess / (sum(m**2 for m in usual) + 4)))
        return Hour(sum(past), len(past), level, days, daily, weeks, mean, alpha)


def tail(observed: int, mean: float, alpha: float) -> float:
    """P(X >= observed) where more was observed than expected, else P(X <= observed): a sum of probabilities."""
    size, chance = 1 / alpha, 1 / (1 + alpha * mean)

    def probability(count: int) -> float:
        ways = math.lgamma(count + size) - math.lgamma(size) - math.lgamma(count + 1)
        return math.exp(ways + size * math.log(chance) + count * math.log1p(-chance))

    counts = range(observed, observed + 3000) if observed >= mean else range(observed + 1)
    return math.fsum(map(probability, counts))


def surprise(observed: int, mean: float, alpha: float) -> float:
    return math.log10(tail(observed, mean, alpha)) * (-1 if observed >= mean else 1)


def band(mean: float, alpha: float) -> tuple[float, float]:
    """The real numbers between which nine of ten counts lie: where I_p(1/alpha, x + 1) is 5% and 95%, but never below
    zero."""
    size, chance = 1 / alpha, 1 / (1 + alpha * mean)
    low, high = (_root(lambda x, q=q: float(betainc(size, x + 1, chance)) - q) for q in (0.05, 0.95))  # type: ignore[misc]
    return low, high


def _root(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1e5
    if rising(low) >= 0:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return low


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Both roots of (share - x)^2 = z^2 x (1 - x) / whole, as a quadratic in x (Wilson, JASA 1927)."""
    z2, share = 1.959964**2, part / whole
    a, b, c = 1 + z2 / whole, -(2 * share + z2 / whole), share**2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)
