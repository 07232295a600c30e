"""Detector of surges, version 1: tail tests over several windows against each series' seasonal baseline.

A day is judged by a `Plan` made from the days before it, so whole days are tested at once. Raw scores are the tests'
-log10 tail probabilities; a score is the raw one times 2 / q, q being the 99% quantile of the series' own past raw
scores (at least 2, where calibrated scores have it): real counts are burstier than any model says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import NOMINAL, Baseline, Judged
from alerting.detection.candidates import Candidate, Candidates, Sighting
from alerting.detection.codec import pack, unpack
from alerting.detection.detector import Counts, Listener, Reading, Series, Sizes, Surge, SurgeChange, Trace
from alerting.detection.episodes import Episodes, StepScores
from alerting.detection.shape import Shape
from alerting.detection.tail import tail_scores
from core.errors import InputError
from core.settings import AlertingSettings

VOLUME = Series("volume", "")  # row 0: all messages; it gives the rhythm and shows outages, and is never judged

_FORMAT = 2
_NORMAL_DAYS = 3  # a surge as old as this is the new normal, and is learnt as such
_FORGET_DAYS = 14  # without any message for so long, what comes next is another stream
_SILENCE = 3.0  # -log10 of how unlikely an hour without any message must be to count as an outage
_FEW_STORIES = 3  # negative stories from which on a series is followed, where fewer can't make an alert
_CANDIDATES = 10  # names noted for each series that may be followed
_ROWS_AT_ONCE = 1024  # judged together: bounds the memory of a day with many series


class SurgeDetector:
    """The `Detector` of newstide. `start` is the first step it will judge, in steps since 1970.

    A series has a row of state from its first few negative stories on (see `Candidates`). `listener`, if given, is
    called each time some steps of a series were judged; scores are 0 before the end of the warm-up and below the least
    excess.
    """

    def __init__(self, settings: AlertingSettings, start: int, listener: Listener | None = None) -> None:
        self.shape = Shape.of(settings)
        self._most = settings.max_series
        self._listener = listener
        self._day = start // self.shape.steps_per_day
        self._done = start - self._day * self.shape.steps_per_day  # steps of the day that were judged
        self._quiet_days = 0
        self._reset()
        self._outage[:] = (
            np.arange(self.shape.steps_per_day) < self._done
        )  # nothing is known of the first day before `start`

    def _reset(self) -> None:
        shape = self.shape
        self._baseline = Baseline(shape.steps_per_day, shape.windows, shape.history_days)
        self._episodes = Episodes(shape.rules, shape.windows)
        # fewer stories than the least excess can't fire, so nothing is missed before a series is followed
        few = min(_FEW_STORIES, max(1, math.ceil(shape.least_excess)))
        self._candidates = Candidates(few, _CANDIDATES * self._most)
        self._rows: dict[Series, int] = {}
        self._learnt = 0  # rows that the day's plan pools: those that were there when the day began
        self._born: list[int] = []
        self._followed: list[int] = []
        self._back = max(shape.windows)
        width = self._back + shape.steps_per_day
        self._counts = np.zeros((0, width))
        self._expected = np.zeros((0, width))
        self._raw = np.zeros((0, shape.steps_per_day), np.float32)
        self._surging: NDArray[np.bool_] = np.zeros((0, shape.steps_per_day), np.bool_)
        self._outage: NDArray[np.bool_] = np.zeros(shape.steps_per_day, np.bool_)
        self._latest: list[Reading] = []
        self._enlist([(VOLUME, 0, Candidate(0, 0))])
        self._expected[0, : self._back] = 0.0

    @property
    def position(self) -> int:
        return self._day * self.shape.steps_per_day + self._done

    def open_surges(self) -> list[tuple[Series, Surge]]:
        return list(self._episodes.open.items())

    def readings(self) -> list[Reading]:
        return list(self._latest)

    def sizes(self) -> Sizes:
        return Sizes(len(self._rows) - 1, len(self._candidates), self._candidates.refused)

    def judge(self, counts: Counts) -> list[SurgeChange]:
        """See `Detector.judge`. Raises InputError if `counts` does not start at `position`."""
        if counts.start != self.position:
            raise InputError(f"counts start at step {counts.start}; the detector stands at {self.position}")
        changes: list[SurgeChange] = []
        while self.position < counts.end:
            day_end = (self._day + 1) * self.shape.steps_per_day
            changes += self._judge_within_day(counts.cut(self.position, min(day_end, counts.end)))
            if self._done == self.shape.steps_per_day:
                changes += self._end_day()
        return changes

    def _judge_within_day(self, counts: Counts) -> list[SurgeChange]:
        steps = slice(self._done, self._done + counts.end - counts.start)
        self._take_in(counts)
        self._done = steps.stop
        active = np.flatnonzero(self._active(steps))
        names = list(self._rows)
        changes: list[SurgeChange] = []
        self._latest = []
        for first in range(0, len(active), _ROWS_AT_ONCE):
            rows = active[first : first + _ROWS_AT_ONCE]
            changes += self._judge_rows(counts.start, steps, rows, [names[row] for row in rows])
        if self._listener is not None:
            idle = set(range(len(names))) - set(active.tolist())
            for row in sorted(idle - {0}):
                self._listener(self._trace(names[row], counts.start, steps, np.zeros(steps.stop - steps.start)))
        return sorted(changes, key=lambda change: change[:2])

    def _judge_rows(self, start: int, steps: slice, rows: NDArray[np.int64], names: list[Series]) -> list[SurgeChange]:
        """Test the `steps` of some active rows; the first rows of all come first, since they show outages."""
        observed, expected = self._sums(self._counts[rows], steps), self._sums(self._expected[rows], steps)
        alpha = np.broadcast_to(self._plan.alpha.T[:, rows, None], observed.shape)
        raw = tail_scores(observed, expected, alpha)
        followed = np.array(self._followed)[rows, None] <= start + np.arange(steps.stop - steps.start)
        self._raw[rows, steps] = raw.max(axis=0) * followed
        if rows[0] == 0:
            self._outage[steps] = self._silent(observed[:, 0], expected[:, 0], alpha[:, 0, 0])
        scores = raw * (NOMINAL / self._plan.scale[rows])[:, None]
        self._latest += self._read(names, scores[:, :, -1], observed[:, :, -1], expected[:, :, -1])
        return self._follow(start, steps, names, scores, observed, expected)

    def _active(self, steps: slice) -> NDArray[np.bool_]:
        """Mask of the rows worth testing. Most series of a market have no bad news in any window, and score 0."""
        seen = slice(steps.start + 1, self._back + steps.stop)
        active: NDArray[np.bool_] = np.asarray(self._counts[:, seen].any(axis=1))
        active[0] = True
        active[[self._rows[series] for series in self._episodes.open]] = True
        return active

    def _follow(
        self, start: int, steps: slice, names: list[Series], scores: Any, observed: Any, expected: Any
    ) -> list[SurgeChange]:
        shape, outage = self.shape, self._outage[steps]
        large = np.where(observed - expected >= shape.least_excess, scores, 0.0)
        firing, standing = large.max(axis=0), scores.max(axis=0)
        born = np.array([self._born[self._rows[series]] for series in names])
        ready = start + np.arange(len(outage)) >= born[:, None] + shape.warmup
        firing = np.where(ready, firing, 0.0)
        eventful = set(np.nonzero(firing >= shape.rules.threshold)[0].tolist())
        changes: list[SurgeChange] = []
        for place, series in enumerate(names):
            if series != VOLUME and (place in eventful or self._episodes.concerns(series)):
                of_steps = StepScores(
                    start,
                    firing[place],
                    standing[place],
                    outage,
                    large[:, place],
                    observed[:, place],
                    expected[:, place],
                )
                found = list(self._episodes.follow(series, of_steps))
                self._mark_surging(series, self._rows[series], start, start + len(outage), found)
                changes += found
            if self._listener is not None and series != VOLUME:
                first = start - self._day * shape.steps_per_day
                steps = slice(first, first + len(outage))
                self._listener(self._trace(series, start, steps, firing[place]))
        return changes

    def _trace(self, series: Series, start: int, steps: slice, score: NDArray[np.float64]) -> Trace:
        row = self._rows[series]
        expected = self._expected[row, self._back :][steps]
        dispersion, threshold = self._plan.alpha[row, 0], self.shape.rules.threshold
        return Trace(
            series, "negative", start, expected, np.full(len(score), dispersion), score, np.full(len(score), threshold)
        )

    def _read(self, names: list[Series], scores: Any, observed: Any, expected: Any) -> list[Reading]:
        leading = scores.argmax(axis=0)
        return [
            Reading(
                series,
                float(scores[leading[place], place]),
                float(observed[leading[place], place]),
                float(expected[leading[place], place]),
            )
            for place, series in enumerate(names)
            if series != VOLUME
        ]

    def _mark_surging(self, series: Series, row: int, start: int, end: int, found: list[SurgeChange]) -> None:
        """Note the steps from `start` to `end` in which a surge was open: `found` tells of those that closed."""
        spans = [(change.surge.start, change.step) for change in found if change.kind == "closed"]
        if series in self._episodes.open:
            spans.append((self._episodes.open[series].start, end))
        midnight = self._day * self.shape.steps_per_day
        for opened, closed in spans:
            self._surging[row, max(opened, start) - midnight : closed - midnight] = True

    def _silent(self, observed: Any, expected: Any, alpha: Any) -> NDArray[np.bool_]:
        """Steps after an hour (or the window next to it) without any message, where messages were to be expected."""
        window = min(
            range(len(self.shape.windows)), key=lambda i: abs(self.shape.windows[i] * self.shape.step_minutes - 60)
        )
        mean, spread = expected[window], float(alpha[window])
        unlikely = np.log10(1.0 + spread * mean) / spread >= _SILENCE
        silent: NDArray[np.bool_] = (observed[window] == 0) & unlikely & (self._baseline.age[0] > 0)
        return silent

    def _sums(self, values: NDArray[np.float64], steps: slice) -> NDArray[np.float64]:
        """Sums over each window that ends with a step of `steps`, (windows, n, steps)."""
        total = np.cumsum(values, axis=1)
        total = np.concatenate([np.zeros((len(values), 1)), total], axis=1)
        end = np.arange(steps.start, steps.stop) + self._back + 1
        return np.stack([total[:, end] - total[:, end - window] for window in self.shape.windows])

    def _take_in(self, counts: Counts) -> None:
        """Put `counts` into the rows, and open rows for the series that are worth following now."""
        order = np.lexsort((counts.step, counts.series))
        series, step, negative = counts.series[order], counts.step[order], counts.negative[order]
        places, first = np.unique(series, return_index=True)
        unknown: list[Sighting] = []
        ends = np.append(first, len(series))[1:]
        for place, begin, end in zip(places.tolist(), first.tolist(), ends.tolist(), strict=True):
            name = counts.names[place]
            if name in self._rows:
                self._baseline.idle[self._rows[name]] = 0
            else:
                stories = [(int(step[i]), float(negative[i])) for i in range(begin, end) if negative[i]]
                unknown.append(Sighting(int(step[begin]), name, stories))
        room = self._most - (len(self._rows) - 1)
        self._enlist(self._candidates.promote(unknown, self._day, room))
        columns = step - self._day * self.shape.steps_per_day + self._back
        rows = np.full(len(counts.names), -1)
        rows[places] = [self._rows.get(counts.names[place], -1) for place in places.tolist()]
        mine = rows[series] >= 0
        self._counts[rows[series[mine]], columns[mine]] = negative[mine]
        self._counts[0, self._back + self._done : self._back + self._done + counts.end - counts.start] = counts.volume

    def _enlist(self, found: list[tuple[Series, int, Candidate]]) -> None:
        if not found:
            return
        first, midnight = len(self._rows), self._day * self.shape.steps_per_day
        self._rows.update({series: first + i for i, (series, _, _) in enumerate(found)})
        self._baseline.grow(len(found))

        def with_rows(array: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([array, np.zeros((len(found), *array.shape[1:]), array.dtype)])

        self._counts, self._expected = with_rows(self._counts), with_rows(self._expected)
        self._raw, self._surging = with_rows(self._raw), with_rows(self._surging)
        for row, (_, followed, candidate) in enumerate(found, start=first):
            self._born.append(candidate.born)
            self._followed.append(followed)
            if row:
                self._baseline.backfill(row, self._day, candidate.born // self.shape.steps_per_day, candidate.stories)
            for step, count in candidate.stories:
                if step >= midnight - self._back:
                    self._counts[row, step - midnight + self._back] = count
        self._plan = self._baseline.plan(self._day, self._learnt)
        self._expected[first:, self._back :] = self._plan.expected[first:]
        before = np.arange(midnight - self._back, midnight)
        known = before >= np.array(self._born[first:])[:, None]
        self._expected[first:, : self._back] = known * self._plan.expected[first:, before % self.shape.steps_per_day]

    def _end_day(self) -> list[SurgeChange]:
        shape = self.shape
        today = slice(self._back, None)
        self._quiet_days = 0 if self._counts[0, today].any() else self._quiet_days + 1
        end = self.position
        began = {series: surge.start for series, surge in self._episodes.open.items()}
        settled = np.array([end - began.get(s, end) >= _NORMAL_DAYS * shape.steps_per_day for s in self._rows])
        trusting = settled | (end - np.array(self._born) <= max(shape.warmup, shape.steps_per_day))
        ongoing = np.array([series in began for series in self._rows]) & ~settled
        judged = Judged(self._raw, self._surging, self._outage, trusting, ongoing)
        self._baseline.learn(self._day, self._counts, self._expected, self._plan, judged)
        self._baseline.idle += 1
        self._day, self._done = self._day + 1, 0
        self._candidates.end_day(self._day - 2 * shape.history_days)
        changes = self._forget(self._baseline.idle > 2 * shape.history_days)
        if self._quiet_days >= _FORGET_DAYS and len(self._rows) + len(self._candidates) > 1:
            changes = self._forget(np.ones(len(self._rows), np.bool_))
            self._reset()
            return changes
        self._learnt = len(self._rows)
        self._plan = self._baseline.plan(self._day, self._learnt)
        self._counts = self._shifted(self._counts)
        self._expected = self._shifted(self._expected)
        self._expected[:, today] = self._plan.expected
        self._raw, self._surging = np.zeros_like(self._raw), np.zeros_like(self._surging)
        self._outage = np.zeros_like(self._outage)
        return changes

    def _shifted(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = np.zeros_like(array)
        moved[:, : self._back] = array[:, -self._back :]
        return moved

    def _forget(self, gone: NDArray[np.bool_]) -> list[SurgeChange]:
        gone = gone.copy()
        gone[0] = False
        if not gone.any():
            return []
        lost = [series for series, row in self._rows.items() if gone[row]]
        changes = [change for series in sorted(lost) for change in self._episodes.forget(series, self.position - 1)]
        kept = [series for series, row in self._rows.items() if not gone[row]]
        self._born = [self._born[self._rows[series]] for series in kept]
        self._followed = [self._followed[self._rows[series]] for series in kept]
        self._rows = {series: i for i, series in enumerate(kept)}
        self._baseline.keep(~gone)
        self._counts, self._expected = self._counts[~gone], self._expected[~gone]
        self._raw, self._surging = self._raw[~gone], self._surging[~gone]
        return changes

    def dump(self) -> bytes:
        header = {
            "format": _FORMAT,
            "shape": self._fingerprint(),
            "day": self._day,
            "done": self._done,
            "quiet_days": self._quiet_days,
            "learnt": self._learnt,
            "rows": [
                [*series, born, followed]
                for series, born, followed in zip(self._rows, self._born, self._followed, strict=True)
            ],
            "candidates": self._candidates.dump(),
            "episodes": self._episodes.dump(),
        }
        arrays = {
            **self._baseline.arrays(),
            "counts": self._counts[:, : self._back + self._done],
            "expected_before": self._expected[:, : self._back],
            "raw": self._raw[:, : self._done],
            "surging": self._surging[:, : self._done],
            "outage": self._outage,
        }
        return pack(header, arrays)

    @classmethod
    def restored(cls, settings: AlertingSettings, body: bytes) -> SurgeDetector:
        """The detector that `dump` was called on. Raises InputError if it is damaged or does not fit `settings`."""
        header, arrays = unpack(body)
        try:
            if header["format"] != _FORMAT:
                raise InputError("the detector's stored state is of another version")
            detector = cls(settings, header["day"] * Shape.of(settings).steps_per_day)
            if header["shape"] != detector._fingerprint():
                raise InputError(
                    "the detector's stored state was made with another step, other windows or another history"
                )
            detector._resume(header, arrays)
        except KeyError as error:
            raise InputError(f"the detector's stored state lacks {error}") from error
        return detector

    def _resume(self, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._done, self._quiet_days, self._learnt = header["done"], header["quiet_days"], header["learnt"]
        self._rows = {Series(kind, name): i for i, (kind, name, _, _) in enumerate(header["rows"])}
        self._born = [born for _, _, born, _ in header["rows"]]
        self._followed = [followed for _, _, _, followed in header["rows"]]
        self._candidates.load(header["candidates"])
        self._episodes.load(header["episodes"])
        self._baseline.restore(arrays)
        self._plan = self._baseline.plan(self._day, self._learnt)
        self._outage = arrays["outage"]
        for name in ("counts", "raw", "surging"):
            kept = arrays[name]
            whole = self._back + self.shape.steps_per_day if name == "counts" else self.shape.steps_per_day
            setattr(self, f"_{name}", np.pad(kept, ((0, 0), (0, whole - kept.shape[1]))))
        self._expected = np.concatenate([arrays["expected_before"], self._plan.expected], axis=1)

    def _fingerprint(self) -> list[Any]:
        return [self.shape.step_minutes, self.shape.windows, self.shape.history_days]
