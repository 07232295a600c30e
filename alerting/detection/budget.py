"""From a budget of false pages to thresholds: the scores that the days so far pass as often as it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.calibration import Groups, day_weights
from alerting.detection.rows import cells_of
from alerting.detection.shape import Shape
from alerting.rules.policy import KINDS, Policy

Floats = NDArray[np.float64]

_MODEL_DAYS = 3.0  # of a model in which a score s is reached with probability 10^-s, beside the days so far
_MODEL_RUN = 0.25  # of the steps above a threshold, the share that begin a run of them
_LEAST_SCORE = 1.0
_MOST_DAYS = 0.5  # a threshold is found for no more than this share of days to keep a small budget,
_ALL_DAYS = 0.8  # and than this to keep any


class Tail(NamedTuple):
    """Where the days so far allow for fewer than `few` pages, the threshold is found for so many and moved on, as if a
    score s were passed with probability 10^(-`steepness` s); and 10^(-`beyond` s) where not even one is allowed for:
    no day shows how high the rarest false alarms are. `days`: those that may pass the threshold for each page allowed:
    fewer where the highest pages are taken for real and are in no day, more where what follows a surge makes none."""

    few: float
    steepness: float
    beyond: float
    days: float


_TOGETHER = Tail(3.0, 0.8, 0.8, 0.8)
_ALONE = Tail(6.0, 0.9, 0.3, 1.05)  # of a series alone, whose few days are all that there is


def share_budget(
    policy: Policy,
    highs: Sequence[NDArray[np.float32]],
    groups: Sequence[Groups],
    day: int,
    shape: Shape,
    *,
    alone: bool,
) -> Floats:
    """The threshold of each kind of series on that `day`, (kinds,). `highs`: of each signal, (n, history), the highest
    score of each day, with the `groups` of its rows. Tiers without a series leave their share to the others. `alone`:
    there is but one series."""
    found = np.full(len(KINDS), np.inf)
    if not highs:
        return found
    weights = day_weights(day, shape.history_days)
    kind = groups[0].kind
    judged = np.bincount(kind, sum(group.weight for group in groups) > 0, len(KINDS)) > 0
    for each, name in enumerate(KINDS):
        share = policy.tiers[name]
        others = sum(policy.tiers[other] for other, some in zip(KINDS, judged, strict=True) if some)
        if share <= 0:
            continue
        pages = policy.budget_per_week / 7.0 * share / (others if judged[each] else others + share)
        mine = [of[(kind == each) & (group.weight > 0)] for of, group in zip(highs, groups, strict=True)]
        found[each] = find_threshold(np.concatenate(mine), weights, pages, shape.steps_per_day, alone=alone)
    return found


def find_threshold(
    highs: NDArray[np.float32], weights: Floats, allowed: float, steps_per_day: int, *, alone: bool
) -> float:
    """The score that the days in `highs`, (series, days), each with its weight, pass `allowed` times a day together.

    Resampling whole days draws each with its weight, all series of it together, so the mean number of pages of a
    resampled day is the weighted mean over the days, which needs no draws. A few days of a model, in which a score s is
    passed with probability 10^-s a step, stand for what lies ahead of all experience. Where less than a few days may
    pass it, it is found for those few and moved up, or a single day of real news would set it.
    """
    days = weights[(highs >= -9).any(axis=0)].sum() if highs.size else 0.0
    row, day = cells_of(highs > _LEAST_SCORE)
    high = highs[row, day]
    order = np.argsort(-high, kind="stable")
    high, passed = high[order].astype(np.float64), weights[day][order].cumsum()
    series = 1 + int(np.count_nonzero((highs > 0).any(axis=1)))
    tail = _ALONE if alone else _TOGETHER
    model = _MODEL_DAYS * series * steps_per_day * _MODEL_RUN
    room = series * (days + _MODEL_DAYS)
    # a day may have several pages
    most = min(tail.days * -math.expm1(-allowed / series), _ALL_DAYS) * room
    enough = max(most, min(tail.few, _MOST_DAYS * room))
    above = passed + model * 10.0**-high > enough
    i = int(above.argmax()) if above.any() else len(high)
    left = enough - (float(passed[i - 1]) if i else 0.0)
    least = float(high[i]) if i < len(high) else _LEAST_SCORE
    found = max(least, math.log10(model / left)) if left > 0 else least
    one = max(most, min(1.0, enough))
    rarer, rarest = _times_rarer(enough, one, room), _times_rarer(one, most, room)
    return found + math.log10(rarer) / tail.steepness + math.log10(rarest) / tail.beyond


def _times_rarer(pages: float, fewer: float, room: float) -> float:
    """How many times rarer a step is that passes in `fewer` of the days in `room` than one that does in `pages`."""
    return math.log1p(-pages / room) / math.log1p(-fewer / room)
