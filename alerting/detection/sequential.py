"""Sequential tests for build-ups: a surge too small for any window shows in time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Plan
from alerting.detection.rows import Rows, cells_of
from alerting.detection.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATIOS = (1.5, 2.0, 3.0, 5.0)
_RATIOS, _LOG_RATIOS = np.array(RATIOS), np.log(RATIOS)

MOST, ALONE_MOST, _LARGEST_STEP = (
    1e60,
    1e25,
    130.0,
)  # of a Shiryaev-Roberts statistic, and of its log in a step: beyond all thresholds


class SequentialTest(Rows):
    """Shiryaev-Roberts statistics of n series against surges at RATIOS times the expected rate:
    R <- (1 + R) times the likelihood ratio of a step (Pollak 1985), negative binomial with the plan's dispersion.

    statistic: (n, ratios) after the last step of the day that the row was brought up to: none of it if it is not
    `awake`, (n,). A row wakes with its first story of the day, since without one its statistics only fall.
    """

    FIELDS = ("statistic", "awake")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.statistic = np.zeros((0, len(RATIOS)))
        self.most = MOST
        self.awake = np.zeros(0, np.bool_)

    def run(self, rows: Ints, plan: Plan, counts: NDArray[np.float32], start: int, end: int) -> Floats:
        """Take the steps `start` to `end` of the day in `counts`, (rows, steps of the day), by the `plan` of all rows;
        returns the statistics after each, (steps, rows, ratios)."""
        new = ~self.awake[rows]
        if start and new.any():
            self._advance(rows[new], plan, counts[new], 0, start)
        self.awake[rows] = True
        return self._advance(rows, plan, counts, start, end)

    def _advance(self, rows: Ints, plan: Plan, counts: NDArray[np.float32], start: int, end: int) -> Floats:
        part = np.arange(start, end) * self.shape.parts // self.shape.steps_per_day
        first = int(part[0])
        slope, silence = _log_likelihood(plan.rates[rows, first : part[-1] + 1], plan.alpha[rows, :1])
        ratio = np.exp(silence.transpose(1, 0, 2)).take(part - first, axis=0)
        row, step = cells_of(counts[:, start:end])
        story = counts[row, start + step, None].astype(np.float64)
        log = story * slope[row, part[step] - first] + silence[row, part[step] - first]
        ratio[step, row] = np.exp(np.minimum(log, _LARGEST_STEP))
        now = self.statistic[rows] + 1.0
        # each statistic is at most (R + steps) times the product of all ratios above 1
        gain = np.bincount(row, np.clip(log, 0.0, _LARGEST_STEP).max(axis=1), len(rows))
        bounded = (np.log(now.max(axis=1) + len(part)) + gain).max(initial=0.0) > math.log(self.most) - 1.0
        # flat, and with an array of ones: hundreds of tiny operations, of which most is what is around them
        now = now.ravel()
        one, multiply, add = np.ones_like(now), np.multiply, np.add
        for after in ratio.reshape(len(part), now.size):  # turned from the ratio of a step into the statistic after it
            multiply(after, now, after)
            if bounded:
                np.minimum(after, self.most, out=after)
            add(after, one, now)
        self.statistic[rows] = ratio[-1]
        return ratio

    def restart(self, row: int) -> None:
        """Begin anew with the next step, as after a surge."""
        self.statistic[row] = 0.0
        self.awake[row] = True

    def end_day(self, plan: Plan) -> None:
        """Bring rows without a story up to the end of the day, as if its stories were expected evenly."""
        asleep = ~self.awake
        steps = self.shape.steps_per_day
        _, silence = _log_likelihood(plan.rates[asleep].mean(axis=1, keepdims=True), plan.alpha[asleep, :1])
        fall = np.exp(silence[:, 0])
        left = fall**steps
        # a geometric series of all steps of the day, which has as many terms where nothing falls but for rounding
        gain = np.where(fall < 1 - 1e-9, fall * (1.0 - left) / np.maximum(1.0 - fall, 1e-9), float(steps))
        self.statistic[asleep] = self.statistic[asleep] * left + gain
        self.awake[:] = False


def _log_likelihood(rates: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Slope and silence of the log likelihood ratios of RATIOS, x slope + silence for x stories in a step, each
    (rows, parts, ratios), for `rates`, (rows, parts), and `alpha`, (rows, 1)."""
    a = alpha[:, :, None]
    mean = a * rates[:, :, None]
    grown = np.log1p(mean * _RATIOS)
    grown -= np.log1p(mean)
    return _LOG_RATIOS - grown, grown / -a
