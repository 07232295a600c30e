"""Intervals of shares and of their differences are the published ones."""

from __future__ import annotations

import pytest

from core.intervals import difference_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval(successes: int, trials: int, low: float, high: float) -> None:
    """The last line is the example of Newcombe (1998), table I."""
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((5, 5), (0, 0), -1, 1),
    ],
)
def test_interval_of_a_difference(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    """Examples (a), (b) and (g) of Newcombe (1998), table II, method 10."""
    assert difference_interval(first, second) == pytest.approx((low, high), abs=5e-5)
    assert difference_interval(second, first) == pytest.approx((-high, -low), abs=5e-5)
