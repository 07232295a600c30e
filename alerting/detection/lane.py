"""One signal of all series: a statistic, its calibration and its surges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Profile
from alerting.detection.calibration import Calibration, Groups
from alerting.detection.detector import Reading, Series, Signal, SurgeChange, Trace
from alerting.detection.episodes import Episodes, Judged
from alerting.detection.followed import Known
from alerting.detection.rows import Rows
from alerting.detection.shape import Shape
from alerting.detection.statistic import CountStatistic, Day, ShareStatistic

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Steps `start` to `end` of a `day` that are judged at once. `names`: of the rows, and `rows`, their places.
    `outage`: (steps of the day,) that say nothing. `fired`: (n, steps) to note the scores that could fire in, or None.
    """

    day: Day
    start: int
    end: int
    names: list[Series]
    rows: Mapping[Series, int]
    known: Known
    outage: NDArray[np.bool_]
    fired: NDArray[np.float64] | None

    @property
    def midnight(self) -> int:
        """The first step of the day, since 1970."""
        return self.day.day * len(self.outage)


_UNUSUAL = 1.3  # an excess fires in a window that is rare itself (5%): a day still holds what its morning left
_ROWS_AT_ONCE = 1024  # judged together: bounds the memory of a day with many series


class Lane:
    """Judges the days of one `signal`, for the rows of the detector.

    since: (n,) the step from which on stories count: when the series was first seen, or its last surge ended.
    """

    def __init__(self, shape: Shape, signal: Signal) -> None:
        self.shape, self.signal = shape, signal
        self.statistic = ShareStatistic(shape) if signal == "share" else CountStatistic(shape)
        self.calibration = Calibration(shape, self.statistic.WEIGHTS)
        self.episodes = Episodes(shape, self.statistic.windows, signal)
        self.since = np.zeros(0, np.int64)
        none = np.zeros(0)
        wide = np.zeros((0, len(self.statistic.windows)))
        self._nothing = Judged(np.zeros(0, np.int64), wide, none, none, none, wide, wide, wide, wide > 0)

    @property
    def parts(self) -> dict[str, Rows]:
        """Where its state is, beside `since` and the episodes."""
        return {**self.statistic.parts, "calibration": self.calibration}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its state in arrays; the rest is in `episodes`."""
        found = {f"{name}.{key}": array for name, part in self.parts.items() for key, array in part.arrays().items()}
        newcomers = {f"newcomers.{name}": array for name, array in self.calibration.newcomers.arrays().items()}
        return {"since": self.since, **found, **newcomers}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave; `plan` has to follow."""
        self.since = arrays["since"]
        for name, part in self.parts.items():
            part.restore({key: arrays[f"{name}.{key}"] for key in part.FIELDS})
        newcomers = self.calibration.newcomers
        newcomers.restore({key: arrays[f"newcomers.{key}"] for key in newcomers.FIELDS})

    def grow(self, born: Ints) -> None:
        """Add a row for each series, seen first in the step `born`."""
        for part in self.parts.values():
            part.grow(len(born))
        self.since = np.concatenate([self.since, born])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget all rows but those in the mask; `plan` has to follow."""
        for part in self.parts.values():
            part.keep(rows)
        self.since = self.since[rows]

    def backfill(self, row: int, day: int, born: int, stories: Sequence[tuple[int, float, float]]) -> None:
        """Let the new `row` know what it would have learnt since the step `born`: silence but for a few `stories`,
        triples of step, stories of the signal and all stories."""
        first_day = born // self.shape.steps_per_day
        self.statistic.backfill(row, day, first_day, stories)
        self.calibration.backfill(row, max(day - first_day, 0))

    def plan(self, day: int, learnt: int, groups: Groups, profile: Profile, first: int = 0) -> None:
        """Judge the rows from `first` on by the days before `day`, the first `learnt` rows of all series."""
        self.statistic.plan(day, learnt, groups.kind, profile, first)
        self.calibration.plan(day, learnt, self.statistic.rates, groups, first)

    def judge(self, block: Block, start: int) -> list[SurgeChange]:
        """Judge the steps of the block from `start` on."""
        row, step, _ = block.day.stories_within(start, block.end)
        active = self.statistic.awake.copy()
        active[row] = True
        rows = np.flatnonzero(active)
        changes: list[SurgeChange] = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            mine = slice(*np.searchsorted(row, [some[0], some[-1] + 1]))
            changes += self._judge_rows(block, some, row[mine], step[mine], start)
        for held in self._held(block):
            if not active[held]:
                changes += self._follow(block, held, None, start)
        return changes

    def _held(self, block: Block) -> list[int]:
        """Rows with an open surge."""
        return sorted(block.rows[series] for series in self.episodes.open)

    def _judge_rows(self, block: Block, rows: Ints, row: Ints, step: Ints, start: int) -> list[SurgeChange]:
        """Judge `rows` from the step `start` on, by their cells with a story, `row` and `step`, (cells,)."""
        today, known = self.shape.steps_per_day, block.known
        followed = block.midnight + step >= known.followed[row]
        row, step = row[followed], step[followed]
        since = np.maximum(self.since[row] - block.midnight + today, 0)
        cells = self.statistic.measure(block.day, rows, row, step, since, start, block.end)
        scores = self.calibration.scores(row, cells.statistics)
        large = cells.observed - cells.expected >= self.shape.least_excess
        large_scores = np.where(large.any(axis=1), scores, 0.0)
        unusual = large & (cells.tails >= _UNUSUAL)
        firing = np.where((block.midnight + step >= known.ready[row]) & unusual.any(axis=1), large_scores, 0.0)
        if block.fired is not None:
            block.fired[row, step - block.start] = firing
        eventful = np.zeros(len(self.since), np.bool_)
        judged = np.zeros(len(self.since), np.bool_)
        judged[rows] = True
        held = np.array(self._held(block), np.int64)
        eventful[held[judged[held]]] = True
        eventful[row[firing >= self.calibration.threshold[row]]] = True
        plain = ~eventful[row]
        self.calibration.note(row[plain], cells.statistics[plain], np.zeros(plain.sum(), np.bool_), large_scores[plain])
        changes: list[SurgeChange] = []
        for each in np.flatnonzero(eventful).tolist():
            mine = slice(*np.searchsorted(row, [each, each + 1]))
            # by its rank, or by the model: ranks of days gone by must not end what is still far from normal
            short = np.maximum(self.calibration.tail_scores(row[mine], cells.short[mine]), cells.short[mine])
            of_row = Judged(
                block.midnight + step[mine],
                cells.statistics[mine],
                large_scores[mine],
                firing[mine],
                short,
                cells.tails[mine],
                cells.observed[mine],
                cells.expected[mine],
                large[mine],
            )
            changes += self._follow(block, each, of_row, start)
        return changes

    def _follow(self, block: Block, row: int, cells: Judged | None, start: int) -> list[SurgeChange]:
        """Follow a surge of the series through its cells, if any; what comes after its end is judged afresh."""
        series, midnight = block.names[row], block.midnight
        threshold = float(self.calibration.threshold[row])
        began = midnight if series in self.episodes.open else None
        outage = block.outage[start : block.end]
        changes = list(self.episodes.follow(series, cells or self._nothing, threshold, midnight + start, outage))
        closed = changes[-1].step if changes and changes[-1].kind == "closed" else None
        if cells is not None:
            if began is None:
                began = changes[0].step if changes else midnight + block.end
            done = slice(int(np.searchsorted(cells.step, midnight + block.end if closed is None else closed + 1)))
            of_row = np.full(done.stop, row)
            self.calibration.note(of_row, cells.statistics[done], cells.step[done] >= began, cells.score[done])
        if closed is not None:
            self.calibration.settle(row, changes[-1].surge.score)
            self.since[row] = closed + 1
            self.statistic.restart(row)
            later = closed + 1 - midnight
            if later < block.end:
                today = self.shape.steps_per_day
                step = later + np.flatnonzero(block.day.of[row, today + later : today + block.end])
                changes += self._judge_rows(block, np.array([row]), np.full(len(step), row), step, later)
        return changes

    def traces(self, block: Block) -> list[Trace]:
        """How the series that may fire were judged in the block."""
        assert block.fired is not None
        expected, dispersion = self.statistic.normal(block.day, block.start, block.end)
        steps = np.ones(block.end - block.start)
        return [
            Trace(
                block.names[row],
                self.signal,
                block.midnight + block.start,
                expected[row],
                dispersion[row] * steps,
                block.fired[row],
                self.calibration.threshold[row] * steps,
            )
            for row in np.flatnonzero(np.isfinite(self.calibration.threshold)).tolist()
        ]

    def readings(self, day: Day, names: list[Series], end: int) -> list[Reading]:
        """Where the series with a story in the longest window stand after the step before `end`, the last judged."""
        today = self.shape.steps_per_day
        recent = slice(max(today + end - max(self.statistic.windows), 0), today + end)
        row = np.flatnonzero((day.of[:, recent] > 0).any(axis=1))
        since = np.maximum(self.since[row] - (day.day - 1) * today, 0)
        cells = self.statistic.peek(day, row, end - 1, since)
        scores = self.calibration.scores(row, cells.statistics)
        leading = cells.tails.argmax(axis=1)
        at = np.arange(len(row)), leading
        found = zip(
            row.tolist(), scores.tolist(), cells.observed[at].tolist(), cells.expected[at].tolist(), strict=True
        )
        return [Reading(names[each], score, observed, expected) for each, score, observed, expected in found]

    def learn(self, day: Day, known: Known, outage: NDArray[np.bool_]) -> None:
        """Take in the day, which is over."""
        midnight = day.day * self.shape.steps_per_day
        settled = known.born < midnight  # a first day is compared with a guess
        self.calibration.learn(day.day, int((~outage).sum()), settled)
        self.statistic.learn(day, outage)
        for row in np.flatnonzero(~settled).tolist():
            self.statistic.restart(row)
        self.episodes.end_day(midnight + self.shape.steps_per_day)
