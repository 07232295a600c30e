"""The counts of recent steps in memory, read anew only where the trends changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from alerting.detection.detector import Counts, Floats, Series
from alerting.judging.sql import QUERIES
from alerting.steps import Steps

_COUNTS = 4  # messages, and negative, neutral and positive stories


class Cells(NamedTuple):
    """Cells in the order of their steps: `step` and `series`, (cells,), and what was counted, (4, cells)."""

    step: NDArray[np.int64]
    series: NDArray[np.int32]
    counted: Floats

    def cut(self, start: int, end: int) -> Cells:
        """Those of the steps `start` to `end` (excluded)."""
        part = slice(*np.searchsorted(self.step, [start, end]))
        return Cells(self.step[part], self.series[part], self.counted[:, part])


_NOTHING = Cells(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros((_COUNTS, 0)))


class TrendWindow:
    """Holds the counts of the steps `start` to `end` (excluded)."""

    def __init__(self, steps: Steps, start: int) -> None:
        self._steps = steps
        self.start = self.end = start
        self._cells = _NOTHING
        self._names: list[Series] = []
        self._places: dict[tuple[str, str], int] = {}

    def extend(self, connection: psycopg.Connection[Any], end: int) -> None:
        """Read on up to the step `end`."""
        if end > self.end:
            self._cells = _joined(self._cells, self._read(connection, self.end, end))
            self.end = end

    def read_again(self, connection: psycopg.Connection[Any], changed: Iterable[int]) -> None:
        """Read the steps in `changed` that are held here."""
        inside = sorted({step for step in changed if self.start <= step < self.end})
        parts, at, first = [], self.start, 0
        for i, step in enumerate(inside):
            if i + 1 == len(inside) or inside[i + 1] > step + 1:
                parts += [self._cells.cut(at, inside[first]), self._read(connection, inside[first], step + 1)]
                at, first = step + 1, i + 1
        if parts:
            self._cells = _joined(*parts, self._cells.cut(at, self.end))

    def counts(self, start: int, end: int) -> Counts:
        """The counts of steps that are held."""
        cells = self._cells.cut(start, end)
        return Counts(start, end, self._names, cells.series, cells.step, *cells.counted)

    def forget(self, before: int) -> None:
        """Let go of the steps before `before`, and of names that are in no later one."""
        if before <= self.start:
            return
        self.start, self.end = before, max(before, self.end)
        self._cells = _joined(self._cells.cut(before, self.end))
        used = np.unique(self._cells.series)
        if 2 * len(used) < len(self._names):
            renumbered = np.zeros(len(self._names), np.int32)
            renumbered[used] = np.arange(len(used))
            self._names = [self._names[place] for place in used.tolist()]
            self._places = {series: place for place, series in enumerate(self._names)}
            self._cells = self._cells._replace(series=renumbered[self._cells.series])

    def _read(self, connection: psycopg.Connection[Any], start: int, end: int) -> Cells:
        span = {"start": self._steps.start(start), "end": self._steps.start(end)}
        step_s = self._steps.length.total_seconds()
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(QUERIES["counts"], {**span, "step_s": step_s}).fetchall()
        if not rows:
            return _NOTHING
        kinds, names, packed = zip(*rows, strict=True)
        keys = list(zip(kinds, names, strict=True))
        self._name(key for key in keys if key not in self._places)
        places = [self._places[key] for key in keys]
        cells = np.frombuffer(b"".join(packed), ">f8").reshape(-1, 1 + _COUNTS)
        series = np.repeat(np.array(places, np.int32), [len(each) // cells.strides[0] for each in packed])
        order = np.argsort(cells[:, 0], kind="stable")
        counted = np.array(cells[order, 1:].T, np.float64, order="C")  # each count lies together
        return Cells(cells[order, 0].astype(np.int64), series[order], counted)

    def _name(self, new: Iterable[tuple[str, str]]) -> None:
        """Give a place to the series of these kinds and names; a tuple of the two is equal to it, and soon made."""
        for kind, name in new:
            series = Series(kind, name)
            self._places[series] = len(self._names)
            self._names.append(series)


def _joined(*parts: Cells) -> Cells:
    """Cells of their own, out of parts that follow each other."""
    step, series, counted = zip(*parts, strict=True)
    return Cells(np.concatenate(step), np.concatenate(series), np.concatenate(counted, axis=1))
