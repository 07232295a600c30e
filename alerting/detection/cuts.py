"""A day cut into windows of each length, one after the other: what was seen and what is expected in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.rows import begins, cells_of
from alerting.detection.shape import Shape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Stories(NamedTuple):
    """The steps of a day with a story, by row and step, each (cells,), and the `number` of them there."""

    row: Ints
    step: Ints
    number: Floats

    @classmethod
    def of(cls, counts: NDArray[np.float32]) -> Stories:
        """Those in `counts`, (n, steps)."""
        row, step = cells_of(counts)
        return cls(row, step, counts[row, step].astype(np.float64))


class Cut(NamedTuple):
    """A day cut into `windows` of `window` steps. `alike` of them in a row expect the same and stand together in one of
    the `columns`."""

    window: int
    windows: int
    alike: int
    columns: slice


class Cuts:
    """The day of `shape`, cut once for each length of window.

    column: (cuts, steps) that of each window of each cut; 0 for what is no whole window.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._per_part = shape.steps_per_day // shape.parts
        self._cuts = self._cut()
        self._windows = np.array(shape.windows)[:, None]
        self._first_columns = np.array([cut.columns.start for cut in self._cuts])
        self.column = self._columns()
        self._all_complete = self._complete(np.ones(shape.steps_per_day, np.bool_))

    def __len__(self) -> int:
        return len(self._cuts)

    def by_window(self, stories: Stories, rows: int) -> tuple[Ints, Ints, Ints, Floats]:
        """Row, cut and place of the windows with a story, of so many `rows`, and their stories, each (windows,)."""
        cuts, cells = len(self._cuts), len(stories.row)
        if not cells:
            return stories.row, stories.row, stories.step, stories.number
        place = stories.step // self._windows
        key = place + stories.row * self.shape.steps_per_day
        key += np.arange(cuts)[:, None] * (rows * self.shape.steps_per_day)
        first = begins(key.ravel()).nonzero()[0]
        which, at = np.divmod(first, cells)
        number = np.add.reduceat(np.concatenate([stories.number] * cuts), first)
        return stories.row[at], which, place[which, at], number

    def expected(self, rates: Floats) -> Floats:
        """Stories expected in the windows of all cuts, (n, columns)."""
        expected = np.empty((len(rates), self._cuts[-1].columns.stop))
        for cut in self._cuts:
            target = expected[:, cut.columns]
            if self._per_part % cut.window == 0:
                np.multiply(rates, cut.window, out=target)
                continue
            parts = cut.window // self._per_part
            if parts * self._per_part == cut.window:
                first = np.arange(0, cut.windows * parts, parts)
                np.add.reduceat(rates[:, : cut.windows * parts], first, axis=1, out=target)
                target *= self._per_part
                continue
            part, within = np.divmod(np.arange(cut.windows + 1) * cut.window, self._per_part)
            edges = np.zeros((len(rates), self.shape.parts + 1))
            np.cumsum(rates * self._per_part, axis=1, out=edges[:, 1:])
            until = edges[:, part] + rates[:, np.minimum(part, self.shape.parts - 1)] * within
            np.subtract(until[:, 1:], until[:, :-1], out=target)
        return expected

    def sums(self, values: Floats) -> Floats:
        """Of `values`, (n, columns), over the columns of each cut, (n, cuts)."""
        return np.add.reduceat(values, self._first_columns, axis=1)

    def complete(self, valid: NDArray[np.bool_] | None) -> tuple[NDArray[np.bool_], Ints]:
        """Whether each window of each cut is `valid`, (steps,), throughout, (cuts, steps); and how many of each column
        are, (columns,). None: all steps are valid."""
        return self._all_complete if valid is None else self._complete(valid)

    def _complete(self, valid: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Ints]:
        complete = np.zeros((len(self._cuts), len(valid)), np.bool_)
        for whole, cut in zip(complete, self._cuts, strict=True):
            valid[: cut.windows * cut.window].reshape(-1, cut.window).all(axis=1, out=whole[: cut.windows])
        windows = [
            whole[: cut.windows].reshape(-1, cut.alike).sum(axis=1)
            for whole, cut in zip(complete, self._cuts, strict=True)
        ]
        return complete, np.concatenate(windows)

    def _cut(self) -> list[Cut]:
        cuts: list[Cut] = []
        for window in self.shape.windows:
            windows = self.shape.steps_per_day // window
            alike = max(self._per_part // window, 1) if self._per_part % window == 0 else 1
            first = cuts[-1].columns.stop if cuts else 0
            cuts.append(Cut(window, windows, alike, slice(first, first + windows // alike)))
        return cuts

    def _columns(self) -> Ints:
        columns = np.zeros((len(self._cuts), self.shape.steps_per_day), np.int64)
        for mine, cut in zip(columns, self._cuts, strict=True):
            mine[: cut.windows] = cut.columns.start + np.arange(cut.windows) // cut.alike
        return columns
