"""When a surge begins and ends: edge-triggered, with hysteresis, and once per new high."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.detector import Series, Surge, SurgeChange


@dataclass(frozen=True)
class Rules:
    """`threshold` opens, staying below `clear` for `quiet` steps closes; a closed surge opens again only after `rest`
    steps below the threshold, or above its old peak."""

    threshold: float
    clear: float
    quiet: int
    rest: int


@dataclass(frozen=True)
class StepScores:
    """Scores of one series in consecutive steps from `start`. All arrays have shape (steps,) but the last three,
    which have (windows, steps): score, observed and expected in each window; scores of windows that lack the least
    excess are 0 in `firing`. Steps in `outage` are not judged."""

    start: int
    firing: NDArray[np.float64]
    standing: NDArray[np.float64]
    outage: NDArray[np.bool_]
    score: NDArray[np.float64]
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]


class Episodes:
    """The surges that are open, and the high of each that has been."""

    def __init__(self, rules: Rules, windows: list[int]) -> None:
        self.rules, self.windows = rules, windows
        self.open: dict[Series, Surge] = {}
        self._highs: dict[Series, tuple[int, float]] = {}  # last step at or above the threshold, highest score

    def concerns(self, series: Series) -> bool:
        """Whether steps without a firing score can change anything for this series."""
        return series in self.open

    def follow(self, series: Series, scores: StepScores) -> Iterator[SurgeChange]:
        """Changes of state as the steps of `scores` pass."""
        rules = self.rules
        for i in np.flatnonzero(~scores.outage).tolist():
            step = scores.start + i
            surge = self.open.get(series)
            firing, standing = float(scores.firing[i]), float(scores.standing[i])
            if surge is None:
                if firing < rules.threshold:
                    continue
                last, high = self._highs.get(series, (-(10**12), 0.0))
                self._highs[series] = (step, max(high, firing) if step - last <= rules.rest else firing)
                if step - last <= rules.rest and firing <= high:
                    continue
                self.open[series] = self._surge(scores, i, step, step)
                yield SurgeChange(step, series, "opened", self.open[series])
            elif standing >= rules.clear:
                if firing >= rules.threshold:
                    self._highs[series] = (step, max(self._highs[series][1], firing))
                if firing > surge.score:
                    self.open[series] = self._surge(scores, i, step, surge.start)
                    yield SurgeChange(step, series, "peaked", self.open[series])
                else:
                    self.open[series] = surge.until(step)
            elif step - surge.last >= rules.quiet:
                del self.open[series]
                yield SurgeChange(step, series, "closed", surge)

    def forget(self, series: Series, step: int) -> Iterator[SurgeChange]:
        """Close what is open for a series that is no longer followed."""
        self._highs.pop(series, None)
        surge = self.open.pop(series, None)
        if surge is not None:
            yield SurgeChange(step, series, "closed", surge)

    def dump(self) -> dict[str, Any]:
        """JSON-able state."""
        return {
            "open": [[*series, asdict(surge)] for series, surge in sorted(self.open.items())],
            "highs": [[*series, *high] for series, high in sorted(self._highs.items())],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.open = {Series(kind, name): Surge(**surge) for kind, name, surge in state["open"]}
        self._highs = {Series(kind, name): (step, high) for kind, name, step, high in state["highs"]}

    def _surge(self, scores: StepScores, i: int, step: int, start: int) -> Surge:
        window = int(np.argmax(scores.score[:, i]))
        return Surge(
            start=start,
            last=step,
            peak=step,
            window=self.windows[window],
            observed=float(scores.observed[window, i]),
            expected=round(float(scores.expected[window, i]), 4),
            score=round(float(scores.firing[i]), 4),
        )
