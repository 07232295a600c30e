"""What a detector of surges takes and gives. The runner and the backtest know no more than this."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

Floats = NDArray[np.float64]


class Series(NamedTuple):
    """One line of counts: `kind` is `all`, `topic` or `entity`; or `outage`, which has none."""

    kind: str
    name: str

    def __str__(self) -> str:
        return self.kind if self.kind == self.name else f"{self.kind}={self.name}"


ALL = Series("all", "all")  # all messages together
OUTAGE = Series("outage", "ingest")  # their silence, where that is a surge of its own

Signal = Literal["negative", "share", "positive", "volume"]
"""What of a series is judged: negative stories, their share of all stories, positive stories, all stories."""


@dataclass(frozen=True)
class Counts:
    """What happened in the steps `start` to `end` (excluded). Step k covers [k, k + 1) times the step since 1970 (UTC).

    A cell stands for one series in one step with any message. `series` are places in `names`, `step` are steps,
    `messages` counts messages; `negative`, `neutral` and `positive` count the stories whose first message in the series
    lies in the step, by its sentiment. All have shape (cells,), in any order.
    """

    start: int
    end: int
    names: Sequence[Series]
    series: NDArray[np.int32]
    step: NDArray[np.int64]
    messages: Floats
    negative: Floats
    neutral: Floats
    positive: Floats

    @classmethod
    def of(
        cls,
        start: int,
        messages: Mapping[Series, Floats],
        negative: Mapping[Series, Floats],
        neutral: Mapping[Series, Floats] | None = None,
        positive: Mapping[Series, Floats] | None = None,
    ) -> Counts:
        """Counts of the series in `messages`, whose arrays have shape (steps,) from `start` on; the others, likewise,
        are none where they are not given."""
        names = list(messages)
        found = [np.flatnonzero(messages[name]) for name in names]

        def cells(values: Mapping[Series, Floats] | None) -> Floats:
            taken = (
                (values[name] if values and name in values else np.zeros(len(messages[name])))[i]
                for name, i in zip(names, found, strict=True)
            )
            return np.concatenate([np.zeros(0), *taken])

        return cls(
            start,
            start + max((len(values) for values in messages.values()), default=0),
            names,
            np.repeat(np.arange(len(names), dtype=np.int32), [len(steps) for steps in found]),
            start + np.concatenate([np.zeros(0, np.int64), *found]),
            cells(messages),
            cells(negative),
            cells(neutral),
            cells(positive),
        )

    @property
    def volume(self) -> Floats:
        """Messages over all series, (steps,)."""
        total = next((place for place, series in enumerate(self.names) if series == ALL), -1)
        mine = self.series == total
        return np.bincount(self.step[mine] - self.start, self.messages[mine], self.end - self.start).astype(np.float64)

    def check(self) -> None:
        """Raises InputError for a cell that is no count, or of a step that is not within."""
        for name in ("messages", "negative", "neutral", "positive"):
            values = getattr(self, name)
            wrong = np.flatnonzero(~((values >= 0) & (values < math.inf)))
            if wrong.size:
                cell = int(wrong[0])
                raise InputError(
                    f"{values[cell]:g} {name} of {self.names[self.series[cell]]} in step {self.step[cell]} is no "
                    "count; expected a finite number from 0 on"
                )
        outside = np.flatnonzero((self.step < self.start) | (self.step >= self.end))
        if outside.size:
            cell = int(outside[0])
            raise InputError(
                f"step {self.step[cell]} of {self.names[self.series[cell]]} lies outside of the steps {self.start} to "
                f"{self.end}; give each cell with its own steps"
            )

    def cut(self, start: int, end: int) -> Counts:
        """The part of it in steps `start` to `end` (excluded)."""
        part = (self.step >= start) & (self.step < end)
        return Counts(
            start,
            end,
            self.names,
            self.series[part],
            self.step[part],
            self.messages[part],
            self.negative[part],
            self.neutral[part],
            self.positive[part],
        )


@dataclass(frozen=True)
class Surge:
    """One episode in which a `signal` of a series is out of the ordinary. `start`, `peak` and `last` are steps; `last`
    is the last one not yet quiet.

    `observed` and `expected` are stories in the `window` steps that end with the step `peak`; `score` is -log10 of
    the recalibrated tail probability there.
    """

    start: int
    last: int
    peak: int
    window: int
    observed: float
    expected: float
    score: float
    signal: Signal = "negative"

    def until(self, step: int) -> Surge:
        return replace(self, last=step)


class SurgeChange(NamedTuple):
    """The state of a surge changed when `step` was judged. `peaked`: its score rose; `grown`: it has doubled since
    the last notification, which is worth another."""

    step: int
    series: Series
    kind: Literal["opened", "peaked", "grown", "closed"]
    surge: Surge


class Reading(NamedTuple):
    """Where a series stands after the last judged step, in its leading window."""

    series: Series
    score: float
    observed: float
    expected: float


@dataclass(frozen=True)
class Trace:
    """How the steps from `start` on of one `signal` of a series were judged; all arrays have shape (steps,).

    `expected` counts stories in each step alone, with variance expected + `dispersion` expected^2. `score` is the one
    that the `threshold` then in force is compared with; it is 0 where nothing was judged, as in a warm-up.
    """

    series: Series
    signal: Signal
    start: int
    expected: Floats
    dispersion: Floats
    score: Floats
    threshold: Floats


Listener = Callable[[Trace], None]
"""Receives how steps were judged, each of a series once and in order; it changes nothing."""


class Sizes(NamedTuple):
    """How many series a detector follows, how many more it has noted, and how many it had no room for today."""

    followed: int
    noted: int
    refused: int


class Detector(Protocol):
    """Judges steps in order. What it finds must not depend on how the steps are cut into calls."""

    @property
    def position(self) -> int:
        """The next step to judge."""

    def judge(self, counts: Counts) -> list[SurgeChange]:
        """Judge the steps of `counts`, which start at `position`; changes come ordered by step and series."""

    def readings(self) -> list[Reading]:
        """The present reading of every series."""

    def sizes(self) -> Sizes:
        """How much it keeps."""

    def open_surges(self) -> list[tuple[Series, Surge]]:
        """Surges that have not ended; at most one of a signal of a series."""

    def dump(self) -> bytes:
        """The whole state, without pickle; equal states give equal bytes."""
