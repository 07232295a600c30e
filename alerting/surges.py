"""Detector of surges, version 1: tail tests over several windows against each series' seasonal baseline.

A day is judged by a `Plan` made from the days before it, so whole days are tested at once. Raw scores are the tests'
-log10 tail probabilities; a score is the raw one times 2 / q, q being the 99% quantile of the series' own past raw
scores (at least 2, where calibrated scores have it): real counts are burstier than any model says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.baseline import NOMINAL, Baseline, Judged
from alerting.codec import pack, unpack
from alerting.detector import Change, Counts, Reading, Series, Surge
from alerting.episodes import Episodes, Evidence
from alerting.shape import Shape
from alerting.tail import tail_scores
from core.errors import InputError
from core.settings import AlertingSettings

VOLUME = Series("volume", "")  # row 0: all messages; it gives the rhythm and shows outages, and is never judged

_FORMAT = 1
_NORMAL_DAYS = 3  # a surge as old as this is the new normal, and is learnt as such
_FORGET_DAYS = 14  # without any message for so long, what comes next is another stream
_SILENCE = 3.0  # -log10 of how unlikely an hour without any message must be to count as an outage

Listener = Callable[[Series, NDArray[np.float64]], None]


class SurgeDetector:
    """The `Detector` of newstide. `start` is the first step it will judge, in steps since 1970.

    `listener`, if given, is called with a series and its scores, (steps,), each time some of its steps were judged;
    scores are 0 before the end of the warm-up and below the least excess.
    """

    def __init__(self, settings: AlertingSettings, start: int, listener: Listener | None = None) -> None:
        self.shape = Shape.of(settings)
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
        self._rows: dict[Series, int] = {}
        self._born: list[int] = []
        self._back = max(shape.windows)
        width = self._back + shape.steps_per_day
        self._counts = np.zeros((0, width))
        self._expected = np.zeros((0, width))
        self._raw = np.zeros((0, shape.steps_per_day), np.float32)
        self._surging: NDArray[np.bool_] = np.zeros((0, shape.steps_per_day), np.bool_)
        self._outage: NDArray[np.bool_] = np.zeros(shape.steps_per_day, np.bool_)
        self._plan = self._baseline.plan(self._day)
        self._history: bytes | None = None
        self._latest: list[Reading] = []
        self._enlist([VOLUME], [0])

    @property
    def position(self) -> int:
        return self._day * self.shape.steps_per_day + self._done

    def open_surges(self) -> dict[Series, Surge]:
        return dict(self._episodes.open)

    def readings(self) -> list[Reading]:
        return list(self._latest)

    def judge(self, counts: Counts) -> list[Change]:
        """See `Detector.judge`. Raises InputError if `counts` does not start at `position`."""
        if counts.start != self.position:
            raise InputError(f"counts start at step {counts.start}; the detector stands at {self.position}")
        changes: list[Change] = []
        while self.position < counts.end:
            day_end = (self._day + 1) * self.shape.steps_per_day
            changes += self._judge_within_day(counts.cut(self.position, min(day_end, counts.end)))
            if self._done == self.shape.steps_per_day:
                changes += self._end_day()
        return changes

    def _judge_within_day(self, counts: Counts) -> list[Change]:
        self._meet(counts)
        steps = slice(self._done, self._done + len(counts.volume))
        held = slice(self._back + steps.start, self._back + steps.stop)
        self._counts[0, held] = counts.volume
        for series, values in counts.negative.items():
            self._counts[self._rows[series], held] = values
        self._done = steps.stop
        active = self._active(steps)
        observed, expected = self._sums(self._counts[active], steps), self._sums(self._expected[active], steps)
        alpha = np.broadcast_to(self._plan.alpha.T[:, self._plan_rows()[active], None], observed.shape)
        raw = tail_scores(observed, expected, alpha)
        self._raw[active, steps] = raw.max(axis=0)
        self._outage[steps] = self._silent(observed[:, 0], expected[:, 0], alpha[:, 0, 0])
        scale = NOMINAL / self._plan.scale[self._plan_rows()[active]]
        names = [series for series, judged in zip(self._rows, active.tolist(), strict=True) if judged]
        changes = self._follow(counts.start, steps, names, raw * scale[:, None], observed, expected)
        self._latest = self._read(names, raw[:, :, -1] * scale, observed[:, :, -1], expected[:, :, -1])
        return sorted(changes, key=lambda change: change[:2])

    def _active(self, steps: slice) -> NDArray[np.bool_]:
        """Mask of the rows worth testing. Most series of a market have no bad news in any window, and score 0."""
        seen = slice(steps.start + 1, self._back + steps.stop)
        active: NDArray[np.bool_] = np.asarray(self._counts[:, seen].any(axis=1))
        active[0] = True
        for series, row in self._rows.items():
            active[row] |= self._episodes.concerns(series)
        return active

    def _follow(
        self, start: int, steps: slice, names: list[Series], scores: Any, observed: Any, expected: Any
    ) -> list[Change]:
        shape, outage = self.shape, self._outage[steps]
        large = np.where(observed - expected >= shape.least_excess, scores, 0.0)
        firing, standing = large.max(axis=0), scores.max(axis=0)
        born = np.array([self._born[self._rows[series]] for series in names])
        ready = start + np.arange(len(outage)) >= born[:, None] + shape.warmup
        firing = np.where(ready, firing, 0.0)
        eventful = set(np.nonzero(firing >= shape.rules.threshold)[0].tolist()) - {0}
        changes: list[Change] = []
        for place, series in enumerate(names):
            if place in eventful or self._episodes.concerns(series):
                evidence = Evidence(
                    start,
                    firing[place],
                    standing[place],
                    outage,
                    large[:, place],
                    observed[:, place],
                    expected[:, place],
                )
                found = list(self._episodes.follow(series, evidence))
                self._mark_surging(series, self._rows[series], start, start + len(outage), found)
                changes += found
        if self._listener is not None:
            self._tell(dict(zip(names, firing, strict=True)), len(outage))
        return changes

    def _tell(self, firing: dict[Series, NDArray[np.float64]], steps: int) -> None:
        for series, row in self._rows.items():
            if self._listener is not None and row:
                self._listener(series, firing.get(series, np.zeros(steps)))

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
            if place
        ]

    def _mark_surging(self, series: Series, row: int, start: int, end: int, found: list[Change]) -> None:
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

    def _meet(self, counts: Counts) -> None:
        fresh = [
            (counts.start + int(np.flatnonzero(values)[0]), series)
            for series, values in counts.messages.items()
            if series not in self._rows
        ]
        fresh.sort()
        self._enlist([series for _, series in fresh], [born for born, _ in fresh])
        for series in counts.messages:
            self._baseline.idle[self._rows[series]] = 0

    def _enlist(self, series: list[Series], born: list[int]) -> None:
        if not series:
            return
        first = len(self._rows)
        self._rows.update({met: first + i for i, met in enumerate(series)})
        self._born += born
        self._baseline.grow(len(series))

        def with_rows(array: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([array, np.zeros((len(series), *array.shape[1:]), array.dtype)])

        self._counts, self._expected = with_rows(self._counts), with_rows(self._expected)
        self._raw, self._surging = with_rows(self._raw), with_rows(self._surging)
        self._expected[-len(series) :, self._back :] = self._plan.expected[-1]

    def _plan_rows(self) -> NDArray[np.int64]:
        """Row of the plan for each series: those met since it was made share its last row."""
        return np.minimum(np.arange(len(self._rows)), len(self._plan.scale) - 1)

    def _end_day(self) -> list[Change]:
        shape = self.shape
        today = slice(self._back, None)
        self._quiet_days = 0 if self._counts[0, today].any() else self._quiet_days + 1
        rows = self._plan_rows()
        plan = type(self._plan)(self._plan.expected[rows], self._plan.alpha[rows], self._plan.scale[rows])
        end = self.position
        began = {series: surge.start for series, surge in self._episodes.open.items()}
        settled = np.array([end - began.get(s, end) >= _NORMAL_DAYS * shape.steps_per_day for s in self._rows])
        trusting = settled | (end - np.array(self._born) <= max(shape.warmup, shape.steps_per_day))
        ongoing = np.array([series in began for series in self._rows]) & ~settled
        judged = Judged(self._raw, self._surging, self._outage, trusting, ongoing)
        self._baseline.learn(self._day, self._counts, self._expected, plan, judged)
        self._baseline.idle += 1
        self._day, self._done, self._history = self._day + 1, 0, None
        changes = self._forget(self._baseline.idle > 2 * shape.history_days)
        if self._quiet_days >= _FORGET_DAYS and len(self._rows) > 1:
            changes = self._forget(np.ones(len(self._rows), np.bool_))
            self._reset()
            return changes
        self._plan = self._baseline.plan(self._day)
        self._counts = self._shifted(self._counts)
        self._expected = self._shifted(self._expected)
        self._expected[:, today] = self._plan.expected[:-1]
        self._raw, self._surging = np.zeros_like(self._raw), np.zeros_like(self._surging)
        self._outage = np.zeros_like(self._outage)
        return changes

    def _shifted(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = np.zeros_like(array)
        moved[:, : self._back] = array[:, -self._back :]
        return moved

    def _forget(self, gone: NDArray[np.bool_]) -> list[Change]:
        gone = gone.copy()
        gone[0] = False
        if not gone.any():
            return []
        lost = [series for series, row in self._rows.items() if gone[row]]
        changes = [change for series in sorted(lost) for change in self._episodes.forget(series, self.position - 1)]
        kept = [series for series, row in self._rows.items() if not gone[row]]
        self._born = [self._born[self._rows[series]] for series in kept]
        self._rows = {series: i for i, series in enumerate(kept)}
        self._baseline.keep(~gone)
        self._counts, self._expected = self._counts[~gone], self._expected[~gone]
        self._raw, self._surging = self._raw[~gone], self._surging[~gone]
        return changes

    def dump(self) -> dict[str, bytes]:
        """Parts `history`, which changes once a day, and `day`."""
        if self._history is None:
            learnt = len(self._plan.scale) - 1
            arrays = {name: array[:learnt] for name, array in self._baseline.arrays().items() if name != "idle"}
            self._history = pack({"format": _FORMAT, "day": self._day}, arrays)
        header = {
            "format": _FORMAT,
            "shape": self._fingerprint(),
            "day": self._day,
            "done": self._done,
            "quiet_days": self._quiet_days,
            "rows": [[*series, born] for series, born in zip(self._rows, self._born, strict=True)],
            "episodes": self._episodes.dump(),
        }
        arrays = {
            "idle": self._baseline.idle,
            "counts": self._counts,
            "expected_before": self._expected[:, : self._back],
            "raw": self._raw,
            "surging": self._surging,
            "outage": self._outage,
        }
        return {"history": self._history, "day": pack(header, arrays)}

    @classmethod
    def restored(cls, settings: AlertingSettings, parts: dict[str, bytes]) -> SurgeDetector:
        """The detector that `dump` was called on. Raises InputError if parts are damaged or don't fit `settings`."""
        try:
            past, learnt = unpack(parts["history"])
            header, now = unpack(parts["day"])
            if past["day"] != header["day"] or header["format"] != _FORMAT:
                raise InputError("the stored parts of the detector's state are of different days or of another version")
            detector = cls(settings, header["day"] * Shape.of(settings).steps_per_day)
            if header["shape"] != detector._fingerprint():
                raise InputError(
                    "the detector's stored state was made with another step, other windows or another history"
                )
            detector._resume(header, now, learnt)
        except KeyError as error:
            raise InputError(
                f"the detector's stored state lacks {error}; empty table `series_state` to learn again"
            ) from error
        return detector

    def _resume(self, header: dict[str, Any], now: dict[str, Any], learnt: dict[str, Any]) -> None:
        self._done, self._quiet_days = header["done"], header["quiet_days"]
        self._rows = {Series(kind, name): i for i, (kind, name, _) in enumerate(header["rows"])}
        self._born = [born for _, _, born in header["rows"]]
        self._episodes.load(header["episodes"])
        known = len(learnt["age"])
        self._baseline.restore({**learnt, "idle": now["idle"][:known]})
        self._plan = self._baseline.plan(self._day)
        self._baseline.grow(len(self._rows) - known)
        self._baseline.idle = now["idle"]
        self._counts, self._raw, self._surging, self._outage = (now[n] for n in ("counts", "raw", "surging", "outage"))
        self._expected = np.concatenate([now["expected_before"], self._plan.expected[self._plan_rows()]], axis=1)

    def _fingerprint(self) -> list[Any]:
        return [self.shape.step_minutes, self.shape.windows, self.shape.history_days]
