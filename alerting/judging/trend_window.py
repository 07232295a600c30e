"""The counts of recent steps in memory, read anew only where the trends changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from alerting.detection.detector import Counts, Floats, Series
from alerting.judging.sql import fetch
from alerting.steps import Steps

_COUNTS = ("messages", "negative", "neutral", "positive")

Cells = tuple[NDArray[np.int32], Floats]
"""Of one step: the series, (n,), and the counts of each, (n, 4)."""

_NOTHING: Cells = (np.zeros(0, np.int32), np.zeros((0, len(_COUNTS))))


class TrendWindow:
    """Holds the counts of the steps `start` to `end` (excluded)."""

    def __init__(self, steps: Steps, start: int) -> None:
        self._steps = steps
        self.start = self.end = start
        self._cells: dict[int, Cells] = {}
        self._names: list[Series] = []
        self._places: dict[tuple[str, str], int] = {}

    def extend(self, connection: psycopg.Connection[Any], end: int) -> None:
        """Read on up to the step `end`."""
        if end > self.end:
            self._read(connection, self.end, end)
            self.end = end

    def read_again(self, connection: psycopg.Connection[Any], changed: Iterable[int]) -> None:
        """Read the steps in `changed` that are held here."""
        inside = sorted({step for step in changed if self.start <= step < self.end})
        first = 0
        for i, step in enumerate(inside):
            if i + 1 == len(inside) or inside[i + 1] > step + 1:
                self._read(connection, inside[first], step + 1)
                first = i + 1

    def counts(self, start: int, end: int) -> Counts:
        """The counts of steps that are held."""
        steps = [step for step in range(start, end) if step in self._cells]
        cells = [self._cells[step] for step in steps] or [_NOTHING]
        series, values = (np.concatenate(column) for column in zip(*cells, strict=True))
        at = np.repeat(np.array(steps, np.int64), [len(self._cells[step][0]) for step in steps])
        return Counts(start, end, self._names, series, at, *values.T)

    def forget(self, before: int) -> None:
        """Let go of the steps before `before`, and of names that are in no later one."""
        if before <= self.start:
            return
        self.start, self.end = before, max(before, self.end)
        self._cells = {step: cells for step, cells in self._cells.items() if step >= before}
        used = np.unique(np.concatenate([np.zeros(0, np.int32), *(cells[0] for cells in self._cells.values())]))
        if 2 * len(used) < len(self._names):
            renumbered = np.zeros(len(self._names), np.int32)
            renumbered[used] = np.arange(len(used))
            self._names = [self._names[place] for place in used.tolist()]
            self._places = {series: place for place, series in enumerate(self._names)}
            self._cells = {step: (renumbered[cells[0]], cells[1]) for step, cells in self._cells.items()}

    def _read(self, connection: psycopg.Connection[Any], start: int, end: int) -> None:
        span = {"start": self._steps.start(start), "end": self._steps.start(end)}
        step_s = self._steps.length.total_seconds()
        rows = fetch(connection, "counts", {**span, "step_s": step_s})
        kinds, names, numbers, *counts = zip(*rows, strict=True) if rows else [()] * (3 + len(_COUNTS))
        series = np.array([self._place(key) for key in zip(kinds, names, strict=True)], np.int32)
        step = np.array(numbers, np.int64)
        values = np.array(counts, np.float64).T
        for gone in range(start, end):
            self._cells.pop(gone, None)
        order = np.argsort(step, kind="stable")
        present, first = np.unique(step[order], return_index=True)
        for at, mine in zip(present.tolist(), np.split(order, first[1:]), strict=False):
            self._cells[at] = (series[mine], values[mine])

    def _place(self, key: tuple[str, str]) -> int:
        """The place of the series of that kind and name: a tuple of the two is equal to it, and soon made."""
        place = self._places.get(key)
        if place is None:
            place = self._places[Series(*key)] = len(self._names)
            self._names.append(Series(*key))
        return place
