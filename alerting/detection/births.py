"""How many series are seen for the first time: a few are news, many at once a change of what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Profile
from alerting.detection.shape import Shape
from alerting.detection.statistic import CountStatistic, Day

_CROWD = 3.0  # -log10 of how unlikely so many births must be in a window,
_MANY = 5.0  # and how many more than expected


class Births:
    """The births of all series, a count like any other.

    counts: (1, 2 days) those of yesterday and today.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.statistic = CountStatistic(shape)
        for part in self.statistic.parts.values():
            part.grow(1)
        self.counts = np.zeros((1, 2 * shape.steps_per_day), np.float32)

    def plan(self, day: int, profile: Profile) -> None:
        """Judge by the days before `day`."""
        self._day = day
        self.statistic.plan(day, 1, np.zeros(1, np.int64), profile)

    def note(self, steps: list[int]) -> None:
        """Take in series first seen in the `steps`, since 1970, of today."""
        places = np.array(steps, np.int64) - (self._day - 1) * self.shape.steps_per_day
        np.add.at(self.counts[0], places, 1.0)

    def crowded(self, step: int) -> bool:
        """Whether there were too many for news in a window that ends with the `step` of today, since 1970."""
        day = Day(self._day, self.counts, self.counts)
        row, none = np.zeros(1, np.int64), np.zeros(1, np.int64)
        cells = self.statistic.peek(day, row, step - self._day * self.shape.steps_per_day, none)
        return bool(((cells.tails >= _CROWD) & (cells.observed - cells.expected >= _MANY)).any())

    def learn(self, outage: NDArray[np.bool_], *, usual: bool) -> None:
        """Take in the day, which is over, but for the steps in `outage`. The first days of a store, in which most names
        are new, are not `usual`: nothing is learnt of them."""
        if usual:
            self.statistic.learn(Day(self._day, self.counts, self.counts), outage)
        per_day = self.shape.steps_per_day
        self.counts[:, :per_day] = self.counts[:, per_day:]
        self.counts[:, per_day:] = 0.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its state in arrays."""
        found = {
            f"{name}.{key}": array
            for name, part in self.statistic.parts.items()
            for key, array in part.arrays().items()
        }
        return {"counts": self.counts, **found}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave; `plan` has to follow."""
        self.counts = arrays["counts"]
        for name, part in self.statistic.parts.items():
            part.restore({key: arrays[f"{name}.{key}"] for key in part.FIELDS})
