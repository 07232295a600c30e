"""Windows that end with a step of today and may begin yesterday: what was seen and what is expected in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alerting.detection.rows import begins

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Sums:
    """Sums over the windows that end with a step of today, of `values`, (n, 2 days), which begin with yesterday, in the
    rows of cells, (cells,) and in order."""

    def __init__(self, windows: Sequence[int], values: NDArray[np.float32], rows: Ints, end: int) -> None:
        self._windows = np.array(windows)
        other = begins(rows)
        self._place = np.cumsum(other) - 1
        some = rows[other]
        self._total = np.zeros((len(some), end + 1))
        np.cumsum(values[some, :end], axis=1, dtype=np.float64, out=self._total[:, 1:])

    def at(self, last: Ints, first: Ints) -> Floats:
        """Sums up to the step `last`, but of none before `first`, both (cells,) from yesterday on: (cells, windows)."""
        begin = np.maximum(last[:, None] + 1 - self._windows, first[:, None])
        sums: Floats = self._total[self._place, last + 1][:, None] - self._total[self._place[:, None], begin]
        return sums


class Expectations:
    """Stories expected in the windows that end with a step of today, in the rows of cells, (cells,) and in order.
    `before` and `rates`: of all rows, per step in each part of yesterday and today, (n, parts)."""

    def __init__(self, windows: Sequence[int], before: Floats, rates: Floats, rows: Ints, per_part: int) -> None:
        self._windows, self._per_part = np.array(windows), per_part
        other = begins(rows)
        self._place = np.cumsum(other) - 1
        some = rows[other]
        today, yesterday = rates[some], before[some]
        unknown = yesterday <= 0
        yesterday[unknown] = today[unknown]
        # beyond the last part is nothing
        self._rates = np.concatenate([yesterday, today, np.zeros((len(some), 1))], axis=1)
        self._edges = np.zeros_like(self._rates)
        np.cumsum(self._rates[:, :-1] * per_part, axis=1, out=self._edges[:, 1:])

    def at(self, last: Ints, first: Ints) -> Floats:
        """As `Sums.at`."""
        begin = np.maximum(last[:, None] + 1 - self._windows, first[:, None])
        return np.maximum(self._until(self._place, last + 1)[:, None] - self._until(self._place[:, None], begin), 1e-9)

    def _until(self, place: Ints, step: Ints) -> Floats:
        part = step // self._per_part
        within = step - part * self._per_part
        until: Floats = self._edges[place, part] + within * self._rates[place, part]
        return until
