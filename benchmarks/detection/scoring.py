"""From scores to alarms, and from alarms to the figures that are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.stats import chi2

from benchmarks.detection.simulation import FOUND_WITHIN, RATIOS, STEP_MINUTES, Floats, Simulation, Surges

QUIET = 12  # steps below the threshold after which what fires is another alarm

Alarms = NDArray[np.bool_]  # (n, steps of the test weeks): where one begins


@dataclass(frozen=True)
class Detection:
    """Of `surges` of a ratio, `found` within the time; `delay_minutes` is the median of these, None if none was."""

    ratio: float
    surges: int
    found: int
    delay_minutes: float | None

    @property
    def share(self) -> float:
        return self.found / self.surges if self.surges else 0.0


@dataclass(frozen=True)
class FalseAlarms:
    """`alarms` on calm weeks of all series together."""

    alarms: int
    series_weeks: float

    @property
    def per_week(self) -> float:
        return self.alarms / self.series_weeks

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of a Poisson rate (Garwood 1936)."""
        low = chi2.ppf(0.025, 2 * self.alarms) / 2 if self.alarms else 0.0
        high = chi2.ppf(0.975, 2 * self.alarms + 2) / 2
        return float(low / self.series_weeks), float(high / self.series_weeks)

    def __add__(self, other: FalseAlarms) -> FalseAlarms:
        return FalseAlarms(self.alarms + other.alarms, self.series_weeks + other.series_weeks)


@dataclass(frozen=True)
class Outcome:
    """What a method did on a simulation."""

    detections: list[Detection]
    false_alarms: FalseAlarms


def judge(simulation: Simulation, calm: Alarms, surged: Alarms, updates: Alarms | None = None) -> Outcome:
    """Alarms on the calm test weeks are false. A surge is found if it is notified in time: by an alarm that
    begins on the surged ones, or by one of the `updates` there that say that an alarm has grown."""
    notified = surged if updates is None else surged | updates
    detections = [find(notified, simulation.surges, ratio, simulation.weeks.test_steps.start) for ratio in RATIOS]
    return Outcome(detections, FalseAlarms(int(calm.sum()), float(len(calm) * simulation.weeks.test)))


def find(notified: Alarms, surges: Surges, ratio: float, first: int) -> Detection:
    """How many surges of a ratio are notified in time; column 0 of `notified` is the step `first`."""
    mine = surges.ratio == ratio
    inside = surges.step[mine, None] + np.arange(FOUND_WITHIN) - first
    hits = notified[surges.row[mine, None], inside]
    found = hits.any(axis=1)
    delays = (hits.argmax(axis=1)[found] + 1) * STEP_MINUTES
    return Detection(ratio, int(mine.sum()), int(found.sum()), float(np.median(delays)) if found.any() else None)


def choose_threshold(scores: Floats, alarms: float) -> float:
    """The least threshold from which on up there are at most `alarms` on `scores`, (n, steps)."""
    before = _highest_before(scores)
    candidates = np.quantile(scores, 1.0 - np.geomspace(0.1, 0.25 / scores.size, 400))
    fired, still = np.sort(scores, axis=None), np.sort(np.minimum(scores, before), axis=None)
    count = np.searchsorted(still, candidates) - np.searchsorted(fired, candidates)
    many = np.flatnonzero(count > alarms)
    return float(candidates[min(many[-1] + 1, len(candidates) - 1)] if many.size else candidates[0])


def openings(scores: Floats, threshold: float) -> Alarms:
    """The steps at which the score reaches the threshold after QUIET steps below, (n, steps)."""
    return (scores >= threshold) & (_highest_before(scores) < threshold)


def _highest_before(scores: Floats) -> Floats:
    """The highest score of the QUIET steps before each, (n, steps)."""
    padded = np.concatenate([np.full((len(scores), 1), -np.inf), scores[:, :-1]], axis=1)
    # the filter's window reaches back only: (QUIET - 1) steps and the present one
    return maximum_filter1d(padded, QUIET, axis=1, origin=(QUIET - 1) // 2, mode="constant", cval=-np.inf)
