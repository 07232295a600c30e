"""Figures over several runs that differ in the seed alone: their mean, and how far they are spread."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from core.errors import InputError
from core.scoring import TaskScore


class Figure(msgspec.Struct, frozen=True):
    """Mean, sample standard deviation (0 for one run), least and greatest value over runs."""

    mean: float
    deviation: float
    low: float
    high: float


class TaskSpread(msgspec.Struct, frozen=True):
    """Figures of one task over `runs` runs on the same `support` texts; `f1` of each label that occurs."""

    task: str
    runs: int
    support: int
    accuracy: Figure
    macro_f1: Figure
    ece: Figure
    f1: dict[str, Figure]


def spread(runs: Sequence[Sequence[TaskScore]]) -> list[TaskSpread]:
    """Mean and spread per task of `runs`, the figures of one run each, in the order of the first.

    Raises InputError where there is no run, or the runs were not judged on the same tasks, labels and texts: a mean
    over different tests says nothing.
    """
    if not runs:
        raise InputError("no runs given; the spread of figures needs at least one")
    by_task = [{score.task: score for score in run} for run in runs]
    first = by_task[0]
    for number, run in enumerate(by_task[1:], start=2):
        if _test_of(run) != _test_of(first):
            raise InputError(
                f"run {number} was judged on other tasks, labels or texts than run 1; judge all on one frozen test set"
            )
    return [_spread_of([run[task] for run in by_task]) for task in first]


def figure(values: Sequence[float]) -> Figure:
    """Mean and spread of one or more `values`."""
    array = np.asarray(values, dtype=np.float64)
    deviation = float(array.std(ddof=1)) if len(array) > 1 else 0.0
    return Figure(float(array.mean()), deviation, float(array.min()), float(array.max()))


def _spread_of(scores: Sequence[TaskScore]) -> TaskSpread:
    first = scores[0]
    return TaskSpread(
        task=first.task,
        runs=len(scores),
        support=first.support,
        accuracy=figure([score.accuracy for score in scores]),
        macro_f1=figure([score.macro_f1 for score in scores]),
        ece=figure([score.ece for score in scores]),
        f1={
            label.label: figure([score.labels[place].f1 for score in scores])
            for place, label in enumerate(first.labels)
            if label.support
        },
    )


def _test_of(run: dict[str, TaskScore]) -> dict[str, list[tuple[str, int]]]:
    return {task: [(label.label, label.support) for label in score.labels] for task, score in run.items()}
