"""The live detector on counts of the past: what it would have found, had it watched. Every threshold is the one that
was in force at the step, from earlier steps alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from alerting.backtest.table import Table
from alerting.backtest.watcher import open_detector
from alerting.detection.detector import ALL, Counts, Floats, Listener, Series, Signal, Surge, Trace
from alerting.detection.surges import SurgeDetector
from alerting.rules.policy import Policy, Watch
from alerting.steps import Steps
from core.errors import InputError
from core.settings import AlertingSettings

Key = tuple[Series, Signal]

_TRACE = 0.01  # messages a step
_MOST_A_WEEK = 168.0  # an alarm ends after an hour of quiet at the earliest


@dataclass(frozen=True)
class Found:
    """An alert: event times of its opening, end and peak; `observed` and `expected` count stories in the leading window
    that ends at the peak."""

    series: Series
    signal: Signal
    start: datetime
    end: datetime
    peak: datetime
    window_minutes: int
    observed: float
    expected: float
    score: float

    def __str__(self) -> str:
        return (
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}: {self.observed:.0f} in "
            f"{self.window_minutes} min, {self.expected:.1f} expected, score {self.score:.1f}"
        )

    @property
    def key(self) -> Key:
        return self.series, self.signal

    def to_json(self, *, named: bool) -> dict[str, str | float]:
        """The contract of the command's JSON; with the series and the signal where `named`."""
        names: dict[str, str | float] = {"series": str(self.series), "signal": self.signal} if named else {}
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "peak": self.peak.isoformat(),
            "observed": self.observed,
            "expected": self.expected,
            "score": self.score,
            **names,
        }


@dataclass
class Recorder:
    """A listener that keeps how the series in `only` were judged."""

    only: Collection[Series]
    traces: dict[Key, list[Trace]] = field(default_factory=dict)

    def __call__(self, trace: Trace) -> None:
        if trace.series in self.only:
            self.traces.setdefault((trace.series, trace.signal), []).append(trace)

    def joined(self) -> dict[Key, Trace]:
        """One trace for each signal of each series, from where its first began."""
        return {key: _join(parts) for key, parts in self.traces.items()}


def one_series(budget: float) -> Policy:
    """The whole budget, in false alarms a week, for bad news in one series. Raises InputError for one that no alarms
    can meet."""
    if not 0 < budget <= _MOST_A_WEEK:
        raise InputError(
            f"a budget of {budget:g} alarms a week can't be met; give one above 0, for example 1, and at most "
            f"{_MOST_A_WEEK:g}: an alarm lasts an hour"
        )
    return Policy(budget, {ALL.kind: 1.0}, (Watch((str(ALL),), ("negative",)),))


def fitted(settings: AlertingSettings, step_minutes: int) -> AlertingSettings:
    """Settings for a series with a step of its own; windows shorter than the step are as long as it."""
    windows = sorted({max(window, step_minutes) for window in settings.windows_minutes})
    return settings.model_copy(update={"step_minutes": step_minutes, "windows_minutes": windows})


def counts_of(values: Floats, start: int) -> Counts:
    """`values`, (steps,) from the step `start` on, as counts of bad news in the series `all`.

    Each story is a message, so that the volume shows the rhythm of the day. A file says nothing of outages, so in every
    step there is a trace of something to read beside.
    """
    return Counts.of(start, {ALL: values + _TRACE}, {ALL: values})


def backtest(
    table: Table, settings: AlertingSettings, budget: float = 1.0, listener: Listener | None = None
) -> list[Found]:
    """What the live detector finds in `table` within a `budget` of false alarms a week, in order."""
    settings, steps = fitted(settings, table.step_minutes), table.steps
    counts = counts_of(table.values, steps.of(table.start))
    policy = one_series(budget)
    detector = open_detector(settings, policy, counts.start, listener)
    return find(detector, weekly(counts, steps), steps)


def find(detector: SurgeDetector, blocks: Iterable[Counts], steps: Steps) -> list[Found]:
    """Judge `blocks` in turn: what was found, by time and series."""
    surges: dict[tuple[Series, Signal, int], Surge] = {}
    for counts in blocks:
        for change in detector.judge(counts):
            surges[change.series, change.surge.signal, change.surge.start] = change.surge
    surges |= {(series, surge.signal, surge.start): surge for series, surge in detector.open_surges()}
    found = [_found(series, surge, steps) for (series, _, _), surge in surges.items()]
    return sorted(found, key=lambda each: (each.start, each.series, each.signal))


def weekly(counts: Counts, steps: Steps) -> Iterator[Counts]:
    """Parts of `counts` of a week, to bound the memory that judging them takes."""
    for start in range(counts.start, counts.end, 7 * steps.per_day):
        yield counts.cut(start, min(start + 7 * steps.per_day, counts.end))


def _found(series: Series, surge: Surge, steps: Steps) -> Found:
    return Found(
        series,
        surge.signal,
        steps.start(surge.start),
        steps.start(surge.last),
        steps.start(surge.peak),
        round(surge.window * steps.length.total_seconds() / 60),
        surge.observed,
        surge.expected,
        surge.score,
    )


def _join(parts: list[Trace]) -> Trace:
    """One trace; NaN between parts, where the series was forgotten after a long silence."""
    first, last = parts[0], parts[-1]
    length = last.start + len(last.score) - first.start

    def whole(name: str) -> Floats:
        values = np.full(length, np.nan)
        for part in parts:
            at = part.start - first.start
            values[at : at + len(part.score)] = getattr(part, name)
        return values

    return Trace(first.series, first.signal, first.start, *map(whole, ("expected", "dispersion", "score", "threshold")))
