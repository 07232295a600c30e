"""What the detector is compared with: scores of every step from earlier steps and the present one, high where counts
are. All take counts of shape (n, steps) and give scores of the same shape; scores of the first four weeks mean nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.simulation import PER_DAY, PER_WEEK, Floats

HOUR = 12
_EPSILON = 1e-9


def last_hour(counts: Floats) -> Floats:
    """Sums over the hour that ends with each step."""
    return _moving_sum(counts, HOUR)


def seasonal_z(counts: Floats) -> Floats:
    """Deviation of the last hour from the same time of the week in the four weeks before, half an hour to either side,
    in standard deviations of it."""
    hours = last_hour(counts)
    weeks = hours.reshape(len(hours), -1, PER_WEEK)
    mean, square = _smooth_circular(weeks, HOUR + 1), _smooth_circular(weeks**2, HOUR + 1)
    centre, spread = np.zeros_like(weeks), np.ones_like(weeks)
    for week in range(4, weeks.shape[1]):
        centre[:, week] = mean[:, week - 4 : week].mean(axis=1)
        variance = square[:, week - 4 : week].mean(axis=1) - centre[:, week] ** 2
        spread[:, week] = np.sqrt(np.maximum(variance, 0.0) + centre[:, week] / 4.0 + 0.25)
    return ((weeks - centre) / spread).reshape(hours.shape)


def mad(counts: Floats) -> Floats:
    """Deviation of the last hour from the median hour of the 24 before, over their median absolute deviation."""
    hours = last_hour(counts)
    before = np.stack([_lagged(hours, HOUR * lag).astype(np.float32) for lag in range(1, 25)], axis=-1)
    median = _median(before)
    before -= median[..., None].astype(np.float32)
    deviation = 1.4826 * _median(np.abs(before, out=before))
    return (hours - median) / np.maximum(deviation, 1.0)


def ears_c2(counts: Floats) -> Floats:
    """EARS C2 (Hutwagner et al. 2003) on the counts of the last hour at the same time of day: seven days as the
    baseline, two days' gap before the present one."""
    hours = last_hour(counts)
    before = np.stack([_lagged(hours, PER_DAY * lag) for lag in range(3, 10)])
    mean, deviation = before.mean(axis=0), before.std(axis=0, ddof=1)
    return (hours - mean) / np.maximum(deviation, 1.0)


def promql_bands(counts: Floats) -> Floats:
    """The multiple of standard deviations at which the adaptive bands of Grafana's PromQL anomaly detection let a step
    pass (https://github.com/grafana/promql-anomaly-detection, `rules/adaptive.yml` as of 2026): the level of five
    minutes above the largest of the short-term, margin and seasonal upper bands, for two steps in a row. As shipped the
    multiple is 2, and the rule fires; below the margin band nothing does."""
    mean = last_hour(counts) / HOUR
    deviation = np.sqrt(np.maximum(_moving_sum(counts**2, HOUR) / HOUR - mean**2, 0.0))
    varied = deviation > 0.5 * mean
    present = _moving_sum(varied.astype(np.float64), 26 * HOUR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no varied hour in 26: the band is absent
        short = _moving_sum(np.where(varied, deviation, 0.0), 26 * HOUR) / present
        multiple = np.where(present > 0.5, (counts - mean) / np.maximum(short, _EPSILON), np.inf)
    for lag in (PER_DAY - HOUR // 2, PER_WEEK - HOUR // 2):
        seasonal = (counts - _lagged(mean, lag)) / np.maximum(_lagged(deviation, lag), _EPSILON)
        multiple = np.minimum(multiple, seasonal)
    multiple = np.where((counts > 1.5 * mean) & (counts > 0), multiple, 0.0)
    multiple[:, 1:] = np.minimum(multiple[:, 1:], multiple[:, :-1])
    return np.minimum(multiple, 1e6)


METHODS: dict[str, Callable[[Floats], Floats]] = {
    "seasonal z-score": seasonal_z,
    "MAD, 24 h": mad,
    "EARS-C2": ears_c2,
    "PromQL bands": promql_bands,
}


def _moving_sum(values: Floats, width: int) -> Floats:
    total = np.cumsum(values, axis=1)
    total[:, width:] -= total[:, :-width].copy()
    return total


def _smooth_circular(weeks: Floats, width: int) -> Floats:
    """Means over `width` places of the last axis, centred, round the week."""
    half = width // 2
    padded = np.concatenate([weeks[..., -half:], weeks, weeks[..., :half]], axis=-1)
    total = np.cumsum(padded, axis=-1)
    total[..., width:] -= total[..., :-width].copy()
    return total[..., width - 1 :] / width


def _median(values: NDArray[np.float32]) -> Floats:
    """Along the last axis, of even length. It sorts in place: several times as fast as `np.median` on short rows."""
    values.sort(axis=-1)
    middle = values.shape[-1] // 2
    return values[..., middle - 1 : middle + 1].mean(axis=-1, dtype=np.float64)


def _lagged(values: Floats, lag: int) -> Floats:
    moved = np.zeros_like(values)
    moved[:, lag:] = values[:, :-lag]
    return moved
