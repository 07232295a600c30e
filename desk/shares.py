"""A share of a count, with its interval. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core.intervals import wilson_interval


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
    return Share(part / whole, *wilson_interval(part, whole))
