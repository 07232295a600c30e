"""The series that a detector follows, and what was counted of them yesterday and today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.candidates import Candidate
from alerting.detection.detector import Counts, Floats, Series, Signal
from alerting.detection.shape import Shape
from alerting.rules.policy import KINDS, Policy

Ints = NDArray[np.int64]

STREAMS: Mapping[Signal, str] = {
    "negative": "negative",
    "share": "negative",
    "positive": "positive",
    "volume": "stories",
}  # the stories that a signal counts


def values_of(counts: Counts) -> dict[str, Floats]:
    """The cells of `counts` by stream, each (cells,)."""
    return {
        "negative": counts.negative,
        "positive": counts.positive,
        "stories": counts.negative + counts.neutral + counts.positive,
    }


class Known(NamedTuple):
    """Steps since 1970, (n,): `born`, from when on a series is known: when it was first seen, or earlier, when it is
    known to have been silent. From `followed` on it is judged, and from `ready` on it may fire. `new`: until when it is
    a newcomer; 0 if it never was one."""

    born: Ints
    followed: Ints
    ready: Ints
    new: Ints


class Followed:
    """n series, a row each.

    rows: the place of each series. known: see `Known`. idle: (n,) days since the last message. kind: (n,) in KINDS.
    weights: (n, signals) of each signal in the budget. counts: by stream, (n, 2 days), yesterday's and today's.
    """

    def __init__(self, shape: Shape, policy: Policy, signals: Sequence[Signal]) -> None:
        self._shape, self._policy, self._signals = shape, policy, signals
        self.streams = sorted({STREAMS[signal] for signal in signals} | {"stories"})
        self.rows: dict[Series, int] = {}
        self.known = Known(*(np.zeros(0, np.int64) for _ in Known._fields))
        self.idle = np.zeros(0)
        self.kind = np.zeros(0, np.int64)
        self.weights = np.zeros((0, len(signals)))
        self.counts = {stream: np.zeros((0, 2 * shape.steps_per_day), np.float32) for stream in self.streams}

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, counts: Counts) -> Ints:
        """The row of each name of `counts` that has a cell, (names,); -1 for the others."""
        rows = np.full(len(counts.names), -1)
        present = np.bincount(counts.series).nonzero()[0].tolist()
        rows[present] = [self.rows.get(counts.names[place], -1) for place in present]
        return rows

    def add(self, found: Sequence[tuple[Series, int, Candidate]], known: Known, day: int) -> None:
        """Follow the series in `found` from that step of the `day` on; what was noted of each is counted."""
        first, per_day = len(self), self._shape.steps_per_day
        self.rows.update({series: first + i for i, (series, _, _) in enumerate(found)})
        self.known = Known(*(np.concatenate(pair) for pair in zip(self.known, known, strict=True)))
        self.idle = np.concatenate([self.idle, np.zeros(len(found))])
        self._weigh([series for series, _, _ in found])
        for stream, counts in self.counts.items():
            self.counts[stream] = np.concatenate([counts, np.zeros((len(found), 2 * per_day), np.float32)])
        yesterday = (day - 1) * per_day
        for row, (_, _, candidate) in enumerate(found, start=first):
            for step, _, *values in candidate.stories:
                if step >= yesterday:
                    for stream, count in zip(self.streams, values, strict=True):
                        self.counts[stream][row, step - yesterday] = count

    def _weigh(self, added: Sequence[Series]) -> None:
        asked = [self._policy.signals(series) for series in added]
        weights = np.array([[found.get(signal, 0.0) for signal in self._signals] for found in asked])
        self.kind = np.concatenate([self.kind, np.array([KINDS.index(series.kind) for series in added], np.int64)])
        self.weights = np.concatenate([self.weights, weights.reshape(len(added), len(self._signals))])

    def note(self, counts: Counts, places: Ints, values: Mapping[str, Floats], day: int) -> None:
        """Take in the cells of `counts`, all of the `day`; `places` as above, `values` by stream."""
        rows = places[counts.series]
        # of a new row, what came before it was followed is what its candidate noted
        mine = (rows >= 0) & (counts.step >= np.append(self.known.followed, 0)[rows])
        columns = (counts.step - (day - 1) * self._shape.steps_per_day)[mine]
        for stream, target in self.counts.items():
            target[rows[mine], columns] = values[stream][mine]
        self.idle[rows[rows >= 0]] = 0

    def end_day(self) -> None:
        """Today becomes yesterday."""
        per_day = self._shape.steps_per_day
        some = np.flatnonzero(self.idle < 2)  # there is nothing in the others
        for counts in self.counts.values():
            counts[some, :per_day] = counts[some, per_day:]
            counts[some, per_day:] = 0.0
        self.idle += 1

    def keep(self, rows: NDArray[np.bool_]) -> list[Series]:
        """Forget every series but those in the mask `rows`, (n,); returns the others, sorted."""
        names = list(self.rows)
        self.rows = {series: i for i, series in enumerate(names[row] for row in np.flatnonzero(rows))}
        self.known = Known(*(values[rows] for values in self.known))
        self.idle, self.kind, self.weights = self.idle[rows], self.kind[rows], self.weights[rows]
        self.counts = {stream: counts[rows] for stream, counts in self.counts.items()}
        return sorted(names[row] for row in np.flatnonzero(~rows))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """State in arrays; the rest are the names, in order."""
        return {
            "idle": self.idle,
            **self.known._asdict(),
            **{f"counts.{stream}": counts for stream, counts in self.counts.items()},
        }

    def restore(self, names: Sequence[Series], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over the `names` and what `arrays` gave."""
        self.rows = {series: i for i, series in enumerate(names)}
        self.known = Known(*(arrays[name] for name in Known._fields))
        self.idle = arrays["idle"]
        self._weigh(names)
        self.counts = {stream: arrays[f"counts.{stream}"] for stream in self.streams}
