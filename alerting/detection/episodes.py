"""When a surge begins and ends: edge-triggered, with hysteresis and a cooldown that fades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.detection.detector import Series, Signal, Surge, SurgeChange
from alerting.detection.shape import Shape

_CLEAR = 1.0  # a surge stands while a short window is within this of the threshold: ten times as common,
_COMMON = 1.3  # but not by what one step in twenty has: a low threshold's surge would never end
_COOLDOWN = 3.0  # what follows a surge must be rarer than the threshold by the excess of that one, at most 1000 times,
_HALF_HOURS = 3.0  # and half as much (in powers of ten) after each so many hours


class Judged(NamedTuple):
    """Cells of one series, in order. `statistics`: (cells, tests). `score`: where the excess is large enough, else 0;
    `firing`, the same where the series may fire; `standing`, of the short windows alone; each (cells,). `tails`,
    `observed`, `expected`, and `large`, the windows with the least excess: (cells, windows)."""

    step: NDArray[np.int64]
    statistics: NDArray[np.float64]
    score: NDArray[np.float64]
    firing: NDArray[np.float64]
    standing: NDArray[np.float64]
    tails: NDArray[np.float64]
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    large: NDArray[np.bool_]


@dataclass(frozen=True)
class Episode:
    """An open surge. `calm`: judged steps since it was last elevated. `notified`: step of the last notification, its
    window, and how many stories above the expected it had there."""

    surge: Surge
    calm: int
    notified_at: int
    notified_window: int
    notified_excess: float


class Episodes:
    """The open surges of one signal, at most one of a series, and those that were over of late.

    `open`: by series. `_over`: by series, the step with which its last surge ended and by how much the highest score
    had passed the threshold, as long as that matters.
    """

    def __init__(self, shape: Shape, windows: Sequence[int], signal: Signal) -> None:
        self.shape, self.windows, self.signal = shape, list(windows), signal
        self.open: dict[Series, Episode] = {}
        self._over: dict[Series, tuple[int, float]] = {}

    def surges(self) -> list[tuple[Series, Surge]]:
        """Those that are open."""
        return [(series, episode.surge) for series, episode in sorted(self.open.items())]

    def follow(
        self, series: Series, cells: Judged, threshold: float, start: int, quiet: NDArray[np.bool_]
    ) -> Iterator[SurgeChange]:
        """Changes as the steps from `start` on pass, up to the one with which a surge ends: what comes after that is to
        be judged afresh. Steps in `quiet`, (steps,), the silence of an outage, say nothing."""
        passed = np.cumsum(~quiet)

        def judged(step: int) -> int:
            return int(passed[step - start]) if step >= start else 0

        before = start - 1
        for i, step in enumerate(cells.step.tolist()):
            episode = self.open.get(series)
            firing = float(cells.firing[i])
            if episode is None:
                if firing >= threshold + self._extra(series, step):
                    before = step
                    surge = self._surge(cells, i, step)
                    self.open[series] = self._notified(surge, cells, i)
                    yield SurgeChange(step, series, "opened", surge)
                continue
            if self._ends(episode, judged(step - 1) - judged(before)):
                break
            if cells.standing[i] < max(threshold - _CLEAR, min(threshold, _COMMON)):
                continue
            before = step
            surge = replace(episode.surge, last=step)
            episode = replace(episode, surge=surge, calm=0)
            if firing > surge.score:
                surge = self._surge(cells, i, surge.start)
                has_grown = self._has_grown(episode, cells, i)
                episode = self._notified(surge, cells, i) if has_grown else replace(episode, surge=surge)
                yield SurgeChange(step, series, "grown" if has_grown else "peaked", surge)
            self.open[series] = episode
        episode = self.open.get(series)
        if episode is None:
            return
        calm = judged(start + len(quiet) - 1) - judged(before)
        if self._ends(episode, calm):
            end = start + int(np.searchsorted(passed, judged(before) + self._calm(episode.surge) - episode.calm))
            del self.open[series]
            self._over[series] = (end, episode.surge.score - threshold)
            yield SurgeChange(end, series, "closed", episode.surge)
        else:
            self.open[series] = replace(episode, calm=episode.calm + calm)

    def _calm(self, surge: Surge) -> int:
        """The judged steps of calm that end a surge: an hour, but half as long as it lasted, so that a level that holds
        for days is no new surge after each calm hour, and no more than half a day."""
        return int(min(max((surge.last - surge.start) // 2, self.shape.hour), self.shape.steps_per_day // 2))

    def _ends(self, episode: Episode, calm: int) -> bool:
        return episode.calm + calm >= self._calm(episode.surge)

    def _extra(self, series: Series, step: int) -> float:
        """By how much more than the threshold must be passed after a surge that is over."""
        if series not in self._over:
            return 0.0
        end, excess = self._over[series]
        halves = (step - end) * self.shape.step_minutes / 60 / _HALF_HOURS
        return float(min(max(excess, 0.0), _COOLDOWN) * 0.5**halves)

    def _has_grown(self, episode: Episode, cells: Judged, i: int) -> bool:
        """Whether it has doubled since the last notification, at least an hour ago."""
        window = self.windows.index(episode.notified_window)
        excess = cells.observed[i, window] - cells.expected[i, window]
        rested = cells.step[i] - episode.notified_at >= self.shape.hour
        return bool(rested and excess >= 2.0 * episode.notified_excess)

    def _notified(self, surge: Surge, cells: Judged, i: int) -> Episode:
        return Episode(surge, 0, surge.peak, surge.window, surge.observed - surge.expected)

    def _surge(self, cells: Judged, i: int, start: int) -> Surge:
        window = int(np.argmax(np.where(cells.large[i], cells.tails[i], -1.0)))
        step = int(cells.step[i])
        return Surge(
            start=start,
            last=step,
            peak=step,
            window=self.windows[window],
            observed=float(cells.observed[i, window]),
            expected=round(float(cells.expected[i, window]), 4),
            score=round(float(cells.firing[i]), 4),
            signal=self.signal,
        )

    def forget(self, series: Series, step: int) -> Iterator[SurgeChange]:
        """Close what is open for a series that is no longer followed."""
        self._over.pop(series, None)
        episode = self.open.pop(series, None)
        if episode is not None:
            yield SurgeChange(step, series, "closed", episode.surge)

    def end_day(self, step: int) -> None:
        """Let go of surges that were over for a day before `step`."""
        day = self.shape.steps_per_day
        self._over = {series: over for series, over in self._over.items() if step - over[0] < day}

    def dump(self) -> dict[str, Any]:
        """JSON-able state."""
        return {
            "open": [[*series, asdict(episode)] for series, episode in sorted(self.open.items())],
            "over": [[*series, *over] for series, over in sorted(self._over.items())],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `dump` gave."""
        self.open = {
            Series(kind, name): Episode(**{**episode, "surge": Surge(**episode["surge"])})
            for kind, name, episode in state["open"]
        }
        self._over = {Series(kind, name): (step, excess) for kind, name, step, excess in state["over"]}
