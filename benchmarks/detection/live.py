"""The detector that is live, on simulated series: the same class, settings and calls as in `newstide alerts run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from alerting.detection.detector import ALL, Counts, Series, SurgeChange
from alerting.detection.surges import SurgeDetector
from benchmarks.detection.scoring import Alarms
from benchmarks.detection.simulation import PER_WEEK, STEP_MINUTES, Floats, Simulation
from core.settings import AlertingSettings

MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) // (60 * STEP_MINUTES)
_NOT_SIMULATED = 1.0  # messages a step beside the series: a fleet of a few quiet ones is no outage


@dataclass(frozen=True)
class Pages:
    """Of the test weeks of one simulation: where an alarm begins, and where people are told that one has grown."""

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


def judge_weeks(detector: SurgeDetector, values: Floats, names: Sequence[Series], steps: slice) -> list[SurgeChange]:
    """What the detector says of `steps` of `values`, given a week at a time."""
    changes: list[SurgeChange] = []
    for first in range(steps.start, steps.stop, PER_WEEK):
        changes += detector.judge(counts_of(values[:, first : first + PER_WEEK], names, first))
    return changes


def watch(simulations: Sequence[Simulation], settings: AlertingSettings) -> list[tuple[Pages, Pages]]:
    """One detector watches all series of `simulations` together: for each, its pages on the calm and on the surged test
    weeks. It goes through the weeks before once, and on from there twice, by its own checkpoint."""
    names = names_of(simulations)
    weeks = simulations[0].weeks
    calm = np.concatenate([each.calm for each in simulations])
    surged = np.concatenate([each.surged for each in simulations])
    detector = SurgeDetector(settings, MONDAY)
    judge_weeks(detector, calm, names, slice(0, weeks.test_steps.start))
    checkpoint = detector.dump()
    found = []
    for values in (calm, surged):
        detector = SurgeDetector.restored(settings, checkpoint)
        found.append(_pages(judge_weeks(detector, values, names, weeks.test_steps), names, weeks.test_steps))
    ends = np.cumsum([len(each.calm) for each in simulations])[:-1]
    parts = [
        [
            Pages(opened, grown)
            for opened, grown in zip(np.split(pages.opened, ends), np.split(pages.grown, ends), strict=True)
        ]
        for pages in found
    ]
    return list(zip(*parts, strict=True))


def _pages(changes: Iterable[SurgeChange], names: Sequence[Series], steps: slice) -> Pages:
    place = {series: row for row, series in enumerate(names)}
    pages = Pages(*(np.zeros((len(names), steps.stop - steps.start), np.bool_) for _ in range(2)))
    for change in changes:
        if change.series in place and change.kind in ("opened", "grown"):
            target = pages.opened if change.kind == "opened" else pages.grown
            target[place[change.series], change.step - MONDAY - steps.start] = True
    return pages
