"""What a plot of a backtest shows of one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom

from alerting.backtest.run import Found
from alerting.backtest.windows import Window
from alerting.detection.detector import Floats, Trace
from alerting.steps import Steps

COLUMNS = 1500  # at most; a screen shows no more
BAND = 0.99  # how much of what is ordinary the band holds


@dataclass(frozen=True)
class Panel:
    """A series in columns of equal length, each array of shape (columns,): the highest count, the expected one with the
    `low` and `high` end of the band that holds 99% of ordinary counts, the highest score and the threshold there.

    `times` are when columns begin. Alerts and labelled windows are given as they are.
    """

    title: str
    minutes: int
    times: Sequence[datetime]
    counts: Floats
    expected: Floats
    low: Floats
    high: Floats
    score: Floats
    threshold: Floats
    alerts: Sequence[Found]
    windows: Sequence[Window]


def make_panel(
    trace: Trace, counts: Floats, start: int, steps: Steps, alerts: Sequence[Found], windows: Sequence[Window] = ()
) -> Panel:
    """`counts` has shape (steps,) from the step `start` on. Nothing is drawn where the trace has no finite value, as
    before it began and after it ended, or of a threshold that nothing can reach."""

    def whole(values: Floats) -> Floats:
        drawn = np.full(len(counts), np.nan)
        drawn[trace.start - start :][: len(values)] = np.where(np.isfinite(values), values, np.nan)
        return drawn

    per_column = -(-len(counts) // COLUMNS)
    expected = _columns(whole(trace.expected), per_column).mean(axis=1)
    size = 1.0 / np.maximum(_columns(whole(trace.dispersion), per_column).mean(axis=1), 1e-6)
    low, high = (nbinom.ppf(share, size, size / (size + expected)) for share in ((1 - BAND) / 2, (1 + BAND) / 2))
    step_minutes = round(steps.length.total_seconds() / 60)
    return Panel(
        f"{trace.series}: {trace.signal}",
        step_minutes * per_column,
        [steps.start(start + first) for first in range(0, len(counts), per_column)],
        _highest(counts, per_column),
        expected,
        low,
        high,
        _highest(whole(trace.score), per_column),
        _columns(whole(trace.threshold), per_column).mean(axis=1),
        alerts,
        windows,
    )


def _columns(values: Floats, width: int) -> NDArray[np.float64]:
    """(columns, width); the last value fills up the last column."""
    return np.pad(values, (0, -len(values) % width), mode="edge").reshape(-1, width)


def _highest(values: Floats, width: int) -> Floats:
    highest: Floats = _columns(values, width).max(axis=1)
    return highest
