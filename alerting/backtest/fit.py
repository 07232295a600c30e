"""A threshold for a budget, fitted to a whole series."""

from __future__ import annotations

import math

import numpy as np

from alerting.backtest.table import Table
from alerting.detection.detector import Counts, Floats, Trace
from alerting.detection.shape import MINUTES_PER_DAY
from alerting.detection.surges import SurgeDetector
from core.settings import AlertingSettings

_LOWEST = 1.5  # scores from here on are tail enough to fit a budget to


def with_threshold(table: Table, counts: Counts, settings: AlertingSettings, per_week: float) -> AlertingSettings:
    """Settings whose threshold ordinary fluctuations pass about `per_week` times a week: an exponential tail (Pickands
    1975, shape 0) fitted to the median of the highest scores of each day."""
    traces: list[Trace] = []
    SurgeDetector(settings, counts.start, traces.append).judge(counts)
    scores: Floats = np.concatenate([np.zeros(0), *(trace.score for trace in traces)])
    per_day = MINUTES_PER_DAY // table.step_minutes
    days = max(1, -(-len(scores) // per_day))
    daily = np.pad(scores, (0, days * per_day - len(scores))).reshape(days, per_day).max(axis=1)
    peaks = daily[daily >= _LOWEST]
    threshold = _LOWEST
    if peaks.size:
        beta = max(float(np.median(peaks) - _LOWEST) / math.log(2.0), 0.05)
        threshold = max(_LOWEST, _LOWEST + beta * math.log(7.0 * peaks.size / days / per_week))
    clear = min(settings.clear_threshold, threshold)
    return settings.model_copy(update={"threshold": threshold, "clear_threshold": clear})
