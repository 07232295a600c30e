"""Score intervals of shares, which hold for few trials too. Pure."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054  # two-sided 95% quantile of the normal distribution


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95% score interval of a share (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, z2 = successes / trials, _Z95 * _Z95
    middle = share + z2 / (2 * trials)
    spread = _Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    low, high = (middle - spread) / (1 + z2 / trials), (middle + spread) / (1 + z2 / trials)
    return low if successes else 0.0, high if successes < trials else 1.0  # which rounding would miss by a little


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """95% interval of the first share less the second, of independent trials; each is (successes, trials).

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10: from the score
    intervals of the two. (-1, 1) where one of them has no trials.
    """
    if not first[1] or not second[1]:
        return -1.0, 1.0
    share, other = first[0] / first[1], second[0] / second[1]
    (low, high), (other_low, other_high) = wilson_interval(*first), wilson_interval(*second)
    gap = share - other
    return gap - math.hypot(share - low, other_high - other), gap + math.hypot(high - share, other - other_low)
