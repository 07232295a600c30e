"""What a detector of surges takes and gives. The runner and the backtest know no more than this."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Series(NamedTuple):
    """One line of counts: `kind` is `all`, `topic` or `entity`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return self.kind if self.kind == self.name else f"{self.kind}={self.name}"


@dataclass(frozen=True)
class Counts:
    """What happened in consecutive steps of event time. Step k covers [k, k + 1) times the step since 1970 (UTC).

    All arrays have shape (steps,). `volume` counts messages over all series, `messages` and `negative` count the
    messages and the negative stories of each series that has any message in these steps.
    """

    start: int
    volume: NDArray[np.float64]
    messages: dict[Series, NDArray[np.float64]]
    negative: dict[Series, NDArray[np.float64]]

    @property
    def end(self) -> int:
        return self.start + len(self.volume)

    def cut(self, start: int, end: int) -> Counts:
        """The part of it in steps `start` to `end` (excluded)."""
        part = slice(start - self.start, end - self.start)
        messages = {series: values[part] for series, values in self.messages.items() if values[part].any()}
        return Counts(start, self.volume[part], messages, {series: self.negative[series][part] for series in messages})


@dataclass(frozen=True)
class Surge:
    """One episode of bad news. `start`, `peak` and `last` are steps; `last` is the last one not yet quiet.

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

    def until(self, step: int) -> Surge:
        return replace(self, last=step)


class Change(NamedTuple):
    """The state of a surge changed when `step` was judged."""

    step: int
    series: Series
    kind: Literal["opened", "peaked", "closed"]
    surge: Surge


class Reading(NamedTuple):
    """Where a series stands after the last judged step, in its leading window."""

    series: Series
    score: float
    observed: float
    expected: float


class Detector(Protocol):
    """Judges steps in order. What it finds must not depend on how the steps are cut into calls."""

    @property
    def position(self) -> int:
        """The next step to judge."""

    def judge(self, counts: Counts) -> list[Change]:
        """Judge the steps of `counts`, which start at `position`; changes come ordered by step and series."""

    def readings(self) -> list[Reading]:
        """The present reading of every series."""

    def open_surges(self) -> dict[Series, Surge]:
        """Surges that have not ended."""

    def dump(self) -> dict[str, bytes]:
        """The whole state in named parts, without pickle; a part that did not change has equal bytes."""
