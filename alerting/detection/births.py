"""How many series are seen for the first time: a few are news, many at once a change of what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Baseline, Profile
from alerting.detection.cuts import Stories
from alerting.detection.shape import Shape
from alerting.detection.tail import tail_scores
from alerting.detection.trailing import Expectations, Sums

_CROWD = 3.0  # -log10 of how unlikely so many births must be in a window,
_MANY = 5.0  # and how many more than expected


class Births:
    """The births of all series, a count like any other.

    counts: (1, 2 days) those of yesterday and today.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.baseline = Baseline(shape)
        self.baseline.grow(1)
        self.counts = np.zeros((1, 2 * shape.steps_per_day), np.float32)

    def plan(self, day: int, profile: Profile) -> None:
        """Judge by the days before `day`."""
        self._day = day
        self._plan = self.baseline.plan(day, 1, np.zeros(1, np.int64), profile)

    def note(self, steps: list[int]) -> None:
        """Take in series first seen in the `steps`, since 1970, of today."""
        if steps:
            places = np.array(steps, np.int64) - (self._day - 1) * self.shape.steps_per_day
            self.counts[0] += np.bincount(places, minlength=self.counts.shape[1])

    def crowded(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether there were too many for news in a window that ends with each of the `steps` of today, since 1970."""
        last, windows = steps - (self._day - 1) * self.shape.steps_per_day, self.shape.windows
        row = none = np.zeros_like(last)
        observed = Sums(windows, self.counts, row, self.counts.shape[1]).at(last, none)
        per_part = self.shape.steps_per_day // self.shape.parts
        expected = Expectations(windows, self.baseline.before, self._plan.rates, row, per_part).at(last, none)
        tails = tail_scores(observed, expected, self._plan.alpha[row])
        crowded: NDArray[np.bool_] = np.any((tails >= _CROWD) & (observed - expected >= _MANY), axis=1)
        return crowded

    def learn(self, outage: NDArray[np.bool_], *, usual: bool) -> None:
        """Take in the day, which is over, but for the steps in `outage`. The first days of a store, in which most names
        are new, are not `usual`: nothing is learnt of them."""
        per_day = self.shape.steps_per_day
        if usual:
            self.baseline.learn(self._day, Stories.of(self.counts[:, per_day:]), self._plan, outage)
        self.counts[:, :per_day] = self.counts[:, per_day:]
        self.counts[:, per_day:] = 0.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its state in arrays."""
        return {"counts": self.counts, **{f"baseline.{name}": array for name, array in self.baseline.arrays().items()}}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave; `plan` has to follow."""
        self.counts = arrays["counts"]
        self.baseline.restore({name: arrays[f"baseline.{name}"] for name in self.baseline.FIELDS})
