"""A share of a count, with its interval. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959964  # the 97.5% quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A share and the 95% interval it lies in."""

    value: float
    low: float
    high: float


def wilson(part: int, whole: int) -> Share | None:
    """`part` of `whole` with Wilson's score interval (Wilson, JASA 1927); None of nothing."""
    if whole == 0:
        return None
    share, squared = part / whole, _Z**2
    middle = (share + squared / (2 * whole)) / (1 + squared / whole)
    half = _Z / (1 + squared / whole) * math.sqrt(share * (1 - share) / whole + squared / (4 * whole**2))
    low = 0.0 if part == 0 else middle - half
    high = 1.0 if part == whole else middle + half
    return Share(share, low, high)
