"""Whether anything is read at all: the silence of an outage is no calm, and is reported as a surge of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.baseline import Baseline, Floats, Profile
from alerting.detection.cuts import Stories
from alerting.detection.detector import OUTAGE, Surge, SurgeChange
from alerting.detection.shape import Shape

_DOUBTFUL = 1.0  # -log10 of how unlikely a silence must be not to pass for calm,
_SILENT = 3.0  # not to be learnt,
_OUTAGE = 8.0  # and to be reported


class Ingest:
    """The volume of all messages: its rhythm, which quiet series share, and its silences.

    messages: (2 days,) yesterday's and today's. silent, doubtful: (steps of the day,), the latter of those judged last.
    surge: the outage that is open.
    """

    def __init__(self, shape: Shape, start: int) -> None:
        self.shape = shape
        self.baseline = Baseline(shape)
        self.baseline.grow(1)
        self.messages = np.zeros((1, 2 * shape.steps_per_day), np.float32)
        self.silent = np.zeros(shape.steps_per_day, np.bool_)
        self.doubtful = self.silent.copy()
        self.surge: Surge | None = None
        self._heard = start  # the last step with a message, or that before the first judged
        self._carried = 0.0  # messages expected since then on the days before

    def plan(self, day: int, alone: bool) -> Profile:
        """Judge by the days before `day`."""
        profile = self.baseline.profile(alone)
        self._plan = self.baseline.plan(day, 1, np.zeros(1, np.int64), profile)
        self.baseline.alone = alone  # its volume is that of all series
        steps = np.repeat(self._plan.rates[0], self.shape.steps_per_day // self.shape.parts)
        self._cumulated = np.append(0.0, np.cumsum(steps))  # messages expected since midnight
        return profile

    def note(self, start: int, volume: Floats) -> None:
        """Take in all messages of the steps from `start` of the day on, (steps,)."""
        first = self.shape.steps_per_day + start
        self.messages[0, first : first + len(volume)] = volume

    def judge(self, day: int, start: int, end: int) -> list[SurgeChange]:
        """Mark the steps `start` to `end` of the day, and report where an outage begins and ends."""
        midnight = day * self.shape.steps_per_day
        steps = np.arange(start, end)
        loud = self.messages[0, self.shape.steps_per_day + start : self.shape.steps_per_day + end] > 0
        since = np.maximum.accumulate(np.where(loud, steps + 1, max(self._heard + 1 - midnight, 0)))
        expected = self._cumulated[steps + 1] - self._cumulated[since] + np.where(since > 0, 0.0, self._carried)
        spread = float(self._plan.alpha[0, len(self.shape.short_windows) - 1])
        scores = np.log10(1.0 + spread * expected) / spread * (self.baseline.age[0] > 0)
        self.silent[start:end], self.doubtful[start:end] = scores >= _SILENT, scores >= _DOUBTFUL
        changes = list(self._follow(midnight + start, loud, scores, expected))
        if loud.any():
            self._heard = midnight + int(since[-1]) - 1
        return changes

    def _follow(self, first: int, loud: NDArray[np.bool_], scores: Floats, expected: Floats) -> Iterator[SurgeChange]:
        """Where an outage begins and ends in the steps from `first` on."""
        ends, begins = np.flatnonzero(loud), np.flatnonzero(scores >= _OUTAGE)
        at = 0
        while True:
            edges = begins if self.surge is None else ends
            place = int(np.searchsorted(edges, at))
            if place == len(edges):
                break
            at = int(edges[place])
            step = first + at
            if self.surge is None:
                heard = max(self._heard, first + int(ends[ends < at].max(initial=-(10**12))))
                mean, score = round(float(expected[at]), 4), round(float(scores[at]), 4)
                self.surge = Surge(step, step, step, step - heard, 0.0, mean, score, "volume")
                yield SurgeChange(step, OUTAGE, "opened", self.surge)
            else:
                yield SurgeChange(step, OUTAGE, "closed", self.surge.until(step - 1))
                self.surge = None
        if self.surge is not None:
            self.surge = self.surge.until(first + len(loud) - 1)

    def learn(self, day: int) -> None:
        """Take in the day, which is over."""
        per_day = self.shape.steps_per_day
        heard = max(self._heard + 1 - day * per_day, 0)
        self._carried = float(self._cumulated[-1] - self._cumulated[heard]) + (0.0 if heard else self._carried)
        if self.messages.any() or self.baseline.age[0] > 0:  # the silence before a stream begins is not its rhythm
            self.baseline.learn(day, Stories.of(self.messages[:, per_day:]), self._plan, self.silent)
        self.messages[:, :per_day] = self.messages[:, per_day:]
        self.messages[:, per_day:] = 0.0
        self.silent[:] = False

    def arrays(self) -> dict[str, NDArray[Any]]:
        """State in arrays."""
        return {**self.baseline.arrays(), "messages": self.messages, "silent": self.silent}

    def dump(self) -> dict[str, Any]:
        """JSON-able state beside `arrays`."""
        surge = None if self.surge is None else asdict(self.surge)
        return {"surge": surge, "heard": self._heard, "carried": self._carried}

    def load(self, state: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `dump` and `arrays` gave."""
        self.surge = None if state["surge"] is None else Surge(**state["surge"])
        self._heard, self._carried = state["heard"], state["carried"]
        self.baseline.restore(arrays)
        self.messages, self.silent = arrays["messages"], arrays["silent"]
