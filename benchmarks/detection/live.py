"""The detector that is live, on simulated series: the same class, settings and calls as in `newstide alerts run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from alerting.backtest.run import counts_of as backtest_counts
from alerting.backtest.run import one_series
from alerting.backtest.watcher import open_detector, reopen_detector
from alerting.detection.detector import ALL, Counts, Series, SurgeChange
from alerting.detection.surges import SurgeDetector
from alerting.rules.policy import Policy, Watch
from benchmarks.detection.scoring import Alarms
from benchmarks.detection.simulation import PER_WEEK, STEP_MINUTES, Floats, Simulation, Weeks
from core.settings import AlertingSettings

MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) // (60 * STEP_MINUTES)
_NOT_SIMULATED = 1.0  # messages a step beside the series: a fleet of a few quiet ones is no outage

Count = Callable[[Floats, Sequence[Series], int], Counts]


@dataclass(frozen=True)
class Pages:
    """Of the test weeks of one simulation: where an alarm begins, and where one that has grown is notified again."""

    opened: Alarms
    grown: Alarms


def names_of(simulations: Sequence[Simulation]) -> list[Series]:
    """A series for each row of each simulation, in order."""
    return [Series("entity", f"{each.name} {row}") for each in simulations for row in range(len(each.calm))]


def counts_of(values: Floats, names: Sequence[Series], first: int) -> Counts:
    """Every count is a negative story; `values` has shape (n, steps), from the step `first` after MONDAY on."""
    row, step = np.nonzero(values)
    total = values.sum(axis=0) + _NOT_SIMULATED
    stories = np.concatenate([values[row, step], np.zeros(len(total))])
    none = np.zeros(len(stories))
    return Counts(
        MONDAY + first,
        MONDAY + first + len(total),
        [*names, ALL],
        np.concatenate([row, np.full(len(total), len(names))]).astype(np.int32),
        MONDAY + first + np.concatenate([step, np.arange(len(total))]),
        np.concatenate([values[row, step], total]),
        stories,
        none,
        none,
    )


def watch_together(simulations: Sequence[Simulation], budget: float) -> list[tuple[Pages, Pages]]:
    """One detector watches all series of `simulations`, with a `budget` of false alarms a series-week: for each
    simulation, its pages on the calm and on the surged test weeks."""
    names, weeks = names_of(simulations), simulations[0].weeks
    policy = Policy(budget * len(names), {"entity": 1.0}, (Watch(("entity=*",), ("negative",)),))
    calm, surged = (np.concatenate([getattr(each, kind) for each in simulations]) for kind in ("calm", "surged"))
    found = _watch(calm, surged, names, weeks, policy, counts_of)
    ends = np.cumsum([len(each.calm) for each in simulations])[:-1]
    calm_parts, surged_parts = (
        [Pages(*each) for each in zip(np.split(pages.opened, ends), np.split(pages.grown, ends), strict=True)]
        for pages in found
    )
    return list(zip(calm_parts, surged_parts, strict=True))


def watch_alone(simulation: Simulation, budget: float) -> tuple[Pages, Pages]:
    """Each series has a detector of its own, as in `newstide backtest`: nothing can be learnt from others."""
    policy = one_series(budget)
    rows = [
        _watch(simulation.calm[[row]], simulation.surged[[row]], [ALL], simulation.weeks, policy, _counts_alone)
        for row in range(len(simulation.calm))
    ]
    calm, surged = zip(*rows, strict=True)
    return _stacked(calm), _stacked(surged)


def _watch(
    calm: Floats, surged: Floats, names: Sequence[Series], weeks: Weeks, policy: Policy, count: Count
) -> tuple[Pages, Pages]:
    """A detector goes through the weeks before the test once, and on from there twice, by its own checkpoint."""
    settings = AlertingSettings(max_series=max(len(names), 10))
    detector = open_detector(settings, policy, MONDAY)
    _judge_weeks(detector, calm, names, slice(0, weeks.test_steps.start), count)
    checkpoint = detector.dump()
    found = []
    for values in (calm, surged):
        detector = reopen_detector(settings, policy, checkpoint)
        changes = _judge_weeks(detector, values, names, weeks.test_steps, count)
        found.append(_pages(changes, names, weeks.test_steps))
    return found[0], found[1]


def _judge_weeks(
    detector: SurgeDetector, values: Floats, names: Sequence[Series], steps: slice, count: Count
) -> list[SurgeChange]:
    """What the detector says of `steps` of `values`, given a week at a time."""
    changes: list[SurgeChange] = []
    for first in range(steps.start, steps.stop, PER_WEEK):
        changes += detector.judge(count(values[:, first : first + PER_WEEK], names, first))
    return changes


def _counts_alone(values: Floats, names: Sequence[Series], first: int) -> Counts:
    return backtest_counts(values[0], MONDAY + first)


def _stacked(parts: Sequence[Pages]) -> Pages:
    return Pages(np.concatenate([each.opened for each in parts]), np.concatenate([each.grown for each in parts]))


def _pages(changes: Iterable[SurgeChange], names: Sequence[Series], steps: slice) -> Pages:
    place = {series: row for row, series in enumerate(names)}
    pages = Pages(*(np.zeros((len(names), steps.stop - steps.start), np.bool_) for _ in range(2)))
    for change in changes:
        if change.series in place and change.kind in ("opened", "grown"):
            target = pages.opened if change.kind == "opened" else pages.grown
            target[place[change.series], change.step - MONDAY - steps.start] = True
    return pages
