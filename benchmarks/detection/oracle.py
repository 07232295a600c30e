"""The ceiling: Page's CUSUM of the likelihood ratio, given each series' true mean, its model and a surge's ratio.

What it can't know is the burst that a bursty series is in; its negative binomial has the variance of a step then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.scoring import QUIET
from benchmarks.detection.simulation import Floats, Model

_LEVELS = np.geomspace(1.0, 120.0, 160)


def likelihood_ratios(counts: Floats, mean: Floats, model: Model, ratio: float) -> Floats:
    """log f(x; ratio mean) - log f(x; mean) of the negative binomial with the model's marginal size, (n, steps)."""
    size = model.marginal_size
    slope = np.log(ratio * (size + mean) / (size + ratio * mean))
    return counts * slope - size * np.log((size + ratio * mean) / (size + mean))


def choose_level(ratios: Floats, alarms: float) -> float:
    """The level at which the CUSUM raises `alarms` on `ratios`, (n, steps)."""
    found = _openings(ratios, _LEVELS).sum(axis=(0, 1))
    few = np.flatnonzero(found <= alarms)
    if not few.size or not few[0]:
        raise ValueError(f"no level from {_LEVELS[0]:g} to {_LEVELS[-1]:g} gives {alarms:g} alarms: {found}")
    at = few[0]
    part = np.log(found[at - 1] / alarms) / np.log(found[at - 1] / max(found[at], 0.5))
    return float(_LEVELS[at - 1] + part * (_LEVELS[at] - _LEVELS[at - 1]))


def openings(ratios: Floats, level: float) -> NDArray[np.bool_]:
    """The steps at which an alarm begins, (n, steps)."""
    return _openings(ratios, np.array([level]))[..., 0]


def _openings(ratios: Floats, levels: Floats) -> NDArray[np.bool_]:
    """Sums start at 0 after each time they reach their level; what fires within QUIET steps is one alarm. Shape
    (n, steps, levels)."""
    opened = np.zeros((*ratios.shape, len(levels)), np.bool_)
    total = np.zeros((len(ratios), len(levels)))
    last = np.full(total.shape, -QUIET - 1)
    for place, step in enumerate(ratios.T):
        total += step[:, None]
        np.maximum(total, 0.0, out=total)
        fired = total >= levels
        opened[:, place] = fired & (place - last > QUIET)
        last[fired] = place
        total[fired] = 0.0
    return opened
