"""Detector of surges, version 2: a lane for each signal, over the series worth following.

A day is judged by the days before it: baselines, ranks and thresholds change at midnights only. So whole days
are judged at once, and it makes no difference how they are cut into calls.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.births import Births
from alerting.detection.budget import share_budget
from alerting.detection.calibration import Groups
from alerting.detection.candidates import Candidate, Candidates, Sighting
from alerting.detection.codec import pack, unpack
from alerting.detection.detector import (
    OUTAGE,
    Counts,
    Floats,
    Listener,
    Reading,
    Series,
    Sizes,
    Surge,
    SurgeChange,
)
from alerting.detection.followed import STREAMS, Followed, Known, values_of
from alerting.detection.ingest import Ingest
from alerting.detection.lane import Block, Lane
from alerting.detection.rows import begins
from alerting.detection.shape import Shape
from alerting.detection.statistic import Day
from alerting.rules.policy import KINDS, Policy
from core.errors import InputError
from core.settings import AlertingSettings

_FORMAT = 5
_FORGET_DAYS = 14  # without any message for so long, what comes next is another stream
_FEW_STORIES = 3  # stories from which on a series is followed, where fewer can't make an alert
_CANDIDATES = 10  # names noted for each series that may be followed


class SurgeDetector:
    """The `Detector` of newstide. `start` is the first step it will judge, in steps since 1970.

    A series has a row of state from its first few stories on (see `Candidates`). `policy` says which signals of it are
    judged, and what of the budget of false pages is for them. `listener`, if given, is called each time some steps of a
    series were judged; scores are 0 where nothing could fire, as without a story, in the warm-up and below the least
    excess.
    """

    def __init__(
        self,
        settings: AlertingSettings,
        start: int,
        policy: Policy | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.shape = Shape.of(settings)
        self.policy = policy or Policy.default()
        self._listener = listener
        self._columns_of = lru_cache(maxsize=1 << 15)(self._find_columns)
        self._most = settings.max_series
        asked = {signal for watch in self.policy.watches for signal in watch.signals}
        self._signals = [signal for signal in STREAMS if signal in asked]
        self._day, self._done = divmod(start, self.shape.steps_per_day)  # and steps of the day that were judged
        self._quiet_days = 0
        self._reset()
        # nothing is known of the first day before `start`
        self._ingest.silent[: self._done] = True

    def _reset(self) -> None:
        # fewer stories than the least excess can't fire, so nothing is missed before a series is followed
        few = min(_FEW_STORIES, max(1, math.ceil(self.shape.least_excess)))
        self._candidates = Candidates(few, _CANDIDATES * self._most)
        self._ingest = Ingest(self.shape, self.position - 1)
        self._births = Births(self.shape)
        self._days: dict[str, Day] = {}  # of each stream, as it stood when steps of it were last judged
        self._began = self.position
        self._lanes = [Lane(self.shape, signal) for signal in self._signals]
        self._followed = Followed(self.shape, self.policy, self._signals)
        self._judged = sorted({self._followed.streams.index(STREAMS[signal]) for signal in self._signals})
        self._learnt = 0  # rows that the day's plan pools: those that were there when the day began
        self._plan()

    @property
    def position(self) -> int:
        """The next step to judge."""
        return self._day * self.shape.steps_per_day + self._done

    def open_surges(self) -> list[tuple[Series, Surge]]:
        """See `Detector.open_surges`."""
        outage = [] if self._ingest.surge is None else [(OUTAGE, self._ingest.surge)]
        return outage + [surge for lane in self._lanes for surge in lane.episodes.surges()]

    def readings(self) -> list[Reading]:
        """See `Detector.readings`: those of the first signal."""
        if not self._lanes:
            return []
        return self._lanes[0].readings(self._today(STREAMS[self._signals[0]]), list(self._followed.rows), self._done)

    def sizes(self) -> Sizes:
        """See `Detector.sizes`."""
        return Sizes(len(self._followed), len(self._candidates), self._candidates.refused)

    def judge(self, counts: Counts) -> list[SurgeChange]:
        """See `Detector.judge`. Raises InputError if `counts` does not start at `position`, or holds a cell that is no
        count or of no step of it."""
        if counts.start != self.position:
            raise InputError(f"counts start at step {counts.start}; the detector stands at {self.position}")
        counts.check()
        changes: list[SurgeChange] = []
        while self.position < counts.end:
            day_end = (self._day + 1) * self.shape.steps_per_day
            changes += self._judge_within_day(counts.cut(self.position, min(day_end, counts.end)))
            if self._done == self.shape.steps_per_day:
                changes += self._end_day()
        return changes

    def _judge_within_day(self, counts: Counts) -> list[SurgeChange]:
        start, end = self._done, self._done + counts.end - counts.start
        self._take_in(counts)
        self._days = {stream: self._today(stream) for stream in self._followed.streams}
        changes = self._ingest.judge(self._day, start, end)
        followed = self._followed
        names = list(followed.rows)
        for lane in self._lanes:
            fired = None if self._listener is None else np.zeros((len(names), end - start))
            today, quiet = self._days[STREAMS[lane.signal]], self._ingest.doubtful
            block = Block(today, start, end, names, followed.rows, followed.known, quiet, fired)
            changes += lane.judge(block, start)
            if self._listener is not None:
                for trace in lane.traces(block):
                    self._listener(trace)
        self._done = end
        return sorted(changes, key=lambda change: (change.step, change.series, change.surge.signal))

    def _today(self, stream: str) -> Day:
        counts = self._followed.counts
        return Day(self._day, counts[stream], counts["stories"])

    def _take_in(self, counts: Counts) -> None:
        """Put `counts` into the rows, and open rows for the series that are worth following now."""
        values, places = values_of(counts), self._followed.places(counts)
        if self._meet(counts, places, values):
            places = self._followed.places(counts)
        self._followed.note(counts, places, values, self._day)
        self._ingest.note(self._done, counts.volume)

    def _meet(self, counts: Counts, places: NDArray[np.int64], values: dict[str, Floats]) -> bool:
        """Note the series that are not followed, and follow those that have enough of the stories that are judged;
        returns whether there are any."""
        cells = np.flatnonzero(places[counts.series] < 0)
        if not cells.size:
            return False
        cells = cells[np.lexsort((counts.step[cells], counts.series[cells]))]
        series, steps = counts.series[cells], counts.step[cells]
        columns = np.stack([values[stream][cells] for stream in self._followed.streams], axis=1)
        first = begins(series)
        sightings = {
            place: Sighting(step, name, [])
            for place, step in zip(series[first].tolist(), steps[first].tolist(), strict=True)
            if self._columns_of(name := counts.names[place])
        }
        some = columns[:, self._judged].any(axis=1)
        for place, step, found in zip(series[some].tolist(), steps[some].tolist(), columns[some].tolist(), strict=True):
            if place in sightings:
                sighting = sightings[place]
                most = max(found[column] for column in self._columns_of(sighting.series))
                if most:
                    sighting.stories.append((step, most, *found))
        room = self._most - len(self._followed)
        found = self._candidates.promote(sightings.values(), self._day, room)
        self._births.note(self._candidates.met)
        if found:
            self._enlist(found)
        return bool(found)

    def _enlist(self, found: list[tuple[Series, int, Candidate]]) -> None:
        first, streams = len(self._followed), self._followed.streams
        self._followed.add(found, self._knowledge(found), self._day)
        born = self._followed.known.born[first:]
        for lane in self._lanes:
            lane.grow(born)
            column, total = (streams.index(stream) + 2 for stream in (STREAMS[lane.signal], "stories"))
            for row, (_, _, candidate) in enumerate(found, start=first):
                stories = [(each[0], each[column], each[total]) for each in candidate.stories]
                lane.backfill(row, self._day, int(born[row - first]), stories)
        self._plan(first)

    def _knowledge(self, found: list[tuple[Series, int, Candidate]]) -> Known:
        """Since when each series in `found` is known. One that comes after the warm-up of the detector was silent
        before, which is as good as a warm-up of its own; but not one of a crowd, which is due to what is read."""
        warmup, today = self.shape.warmup, self._day * self.shape.steps_per_day
        followed = np.array([step for _, step, _ in found], np.int64)
        born = np.array([candidate.born for _, _, candidate in found], np.int64)
        # a series alone is no newcomer: there are none to compare it with
        warm = (followed >= self._began + warmup) & (self._learnt > 1)
        crowded = warm.copy()
        if warm.any():
            crowded[warm] = self._births.crowded(followed[warm])
        new = warm & ~crowded
        born = np.where(new, np.maximum(born - warmup, self._began), born)
        ready = np.maximum(np.where(crowded, followed, born) + warmup, followed)
        return Known(born, followed, ready, np.where(new, today + warmup, 0))

    def _plan(self, first: int = 0) -> None:
        """Judge the rows from `first` on, or all, by what is learnt when the day begins."""
        alone = self._learnt <= 1  # nothing but a series' own past says what is usual
        if not first:
            self._profile = self._ingest.plan(self._day, alone=alone)
            self._births.plan(self._day, self._profile)
        kind, weights, learnt = self._followed.kind, self._followed.weights, self._learnt
        new = self._followed.known.new > self._day * self.shape.steps_per_day
        for lane, weight in zip(self._lanes, weights.T, strict=True):
            lane.plan(self._day, learnt, Groups(kind, weight, new), self._profile, first)
        if not first:
            highs = [lane.calibration.shifted_highs(learnt) for lane in self._lanes]
            groups = [Groups(kind[:learnt], weight, new[:learnt]) for weight in weights[:learnt].T]
            self._thresholds = share_budget(self.policy, highs, groups, self._day, self.shape, alone=alone)
        for lane, weight in zip(self._lanes, weights.T, strict=True):
            lane.calibration.threshold = np.where(weight > 0, self._thresholds[kind], np.inf)

    def _find_columns(self, series: Series) -> list[int]:
        """The places in `_streams` of what is judged of `series`."""
        judged = self.policy.signals(series) if series.kind in KINDS else {}
        return sorted({self._followed.streams.index(STREAMS[signal]) for signal in judged})

    def _end_day(self) -> list[SurgeChange]:
        per_day = self.shape.steps_per_day
        self._quiet_days = 0 if self._ingest.messages[0, per_day:].any() else self._quiet_days + 1
        for lane in self._lanes:
            lane.learn(self._days[STREAMS[lane.signal]], self._followed.known, self._ingest.silent)
        self._days = {}  # their counts move on now
        self._births.learn(self._ingest.silent, usual=self.position - per_day >= self._began + self.shape.warmup)
        self._ingest.learn(self._day)
        heard = self._ingest.baseline.age[0] > 0
        self._followed.end_day()
        self._day, self._done = self._day + 1, 0
        if not heard:  # where nothing is read nobody knows who is silent
            self._began = self.position
        self._candidates.end_day(self._day - 2 * self.shape.history_days)
        if self._quiet_days >= _FORGET_DAYS and len(self._followed) + len(self._candidates):
            changes = self._forget(np.ones(len(self._followed), np.bool_))
            if self._ingest.surge is not None:
                changes.append(SurgeChange(self.position - 1, OUTAGE, "closed", self._ingest.surge))
            self._reset()
            return changes
        changes = self._forget(self._followed.idle > 2 * self.shape.history_days)
        self._learnt = len(self._followed)
        self._plan()
        return changes

    def _forget(self, gone: NDArray[np.bool_]) -> list[SurgeChange]:
        """Forget the rows in the mask `gone`; `_plan` has to follow."""
        if not gone.any():
            return []
        changes = [
            change
            for series in self._followed.keep(~gone)
            for lane in self._lanes
            for change in lane.episodes.forget(series, self.position - 1)
        ]
        for lane in self._lanes:
            lane.keep(~gone)
        return changes

    def dump(self) -> bytes:
        """See `Detector.dump`."""
        header = {
            "format": _FORMAT,
            "fits": self._fingerprint(),
            "day": self._day,
            "done": self._done,
            "quiet_days": self._quiet_days,
            "began": self._began,
            "learnt": self._learnt,
            "rows": list(self._followed.rows),
            "candidates": self._candidates.dump(),
            "ingest": self._ingest.dump(),
            "episodes": [lane.episodes.dump() for lane in self._lanes],
        }
        arrays = self._followed.arrays()
        arrays |= {f"ingest.{name}": array for name, array in self._ingest.arrays().items()}
        arrays |= {f"births.{name}": array for name, array in self._births.arrays().items()}
        arrays |= {f"{lane.signal}.{name}": array for lane in self._lanes for name, array in lane.arrays().items()}
        return pack(header, arrays)

    @classmethod
    def restored(cls, settings: AlertingSettings, body: bytes, policy: Policy | None = None) -> SurgeDetector:
        """The detector that `dump` was called on. Raises InputError if it is damaged, or does not fit `settings` or
        `policy`."""
        header, arrays = unpack(body)
        try:
            if header["format"] != _FORMAT:
                raise InputError("the detector's stored state is of another version")
            detector = cls(settings, header["day"] * Shape.of(settings).steps_per_day, policy)
            if header["fits"] != detector._fingerprint():
                raise InputError(
                    "the detector's stored state was made with another step, other windows, another history or "
                    "other rules"
                )
            detector._resume(header, arrays)
        except KeyError as error:
            raise InputError(f"the detector's stored state lacks {error}") from error
        return detector

    def _resume(self, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        def part(name: str) -> dict[str, NDArray[Any]]:
            return {key.removeprefix(name + "."): array for key, array in arrays.items() if key.startswith(name + ".")}

        self._done, self._quiet_days, self._learnt = header["done"], header["quiet_days"], header["learnt"]
        self._followed.restore([Series(kind, name) for kind, name in header["rows"]], arrays)
        self._candidates.load(header["candidates"])
        self._ingest.load(header["ingest"], part("ingest"))
        self._births.restore(part("births"))
        self._began = header["began"]
        for lane, episodes in zip(self._lanes, header["episodes"], strict=True):
            lane.restore(part(lane.signal))
            lane.episodes.load(episodes)
        self._plan()

    def _fingerprint(self) -> list[Any]:
        return [*self.shape.fingerprint, self.policy.fingerprint]
