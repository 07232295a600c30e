"""Detector of surges, version 2: a lane for each signal, over the series worth following.

A day is judged by what the days before it tell: baselines, ranks and thresholds change at midnights only. So whole days
are judged at once, and it makes no difference how they are cut into calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.detection.calibration import Groups, day_weights, find_threshold
from alerting.detection.candidates import Candidate, Candidates, Sighting
from alerting.detection.codec import pack, unpack
from alerting.detection.detector import (
    Counts,
    Floats,
    Listener,
    Reading,
    Series,
    Signal,
    Sizes,
    Surge,
    SurgeChange,
)
from alerting.detection.ingest import OUTAGE, Ingest
from alerting.detection.lane import Block, Known, Lane
from alerting.detection.shape import Shape
from alerting.detection.statistic import Day
from alerting.rules.policy import KINDS, Policy
from core.errors import InputError
from core.settings import AlertingSettings

_FORMAT = 3
_FORGET_DAYS = 14  # without any message for so long, what comes next is another stream
_FEW_STORIES = 3  # stories from which on a series is followed, where fewer can't make an alert
_CANDIDATES = 10  # names noted for each series that may be followed
_STREAMS: Mapping[Signal, str] = {
    "negative": "negative",
    "share": "negative",
    "positive": "positive",
    "volume": "stories",
}  # the stories that a signal counts


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
        self._signals = [signal for signal in _STREAMS if signal in asked]
        self._streams = sorted({_STREAMS[signal] for signal in self._signals} | {"stories"})
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
        self._lanes = [Lane(self.shape, signal) for signal in self._signals]
        self._rows: dict[Series, int] = {}
        self._learnt = 0  # rows that the day's plan pools: those that were there when the day began
        self._known = Known(*(np.zeros(0, np.int64) for _ in Known._fields))
        self._idle = np.zeros(0)  # days since the last message of each row
        self._kind = np.zeros(0, np.int64)
        self._weights = np.zeros((0, len(self._signals)))  # of each lane in the budget
        width = 2 * self.shape.steps_per_day
        self._counts = {stream: np.zeros((0, width), np.float32) for stream in self._streams}
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
        return self._lanes[0].readings(self._today(self._lanes[0]), list(self._rows), self._done)

    def sizes(self) -> Sizes:
        """See `Detector.sizes`."""
        return Sizes(len(self._rows), len(self._candidates), self._candidates.refused)

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
        changes = self._ingest.judge(self._day, start, end)
        names = list(self._rows)
        for lane in self._lanes:
            fired = None if self._listener is None else np.zeros((len(names), end - start))
            today, quiet = self._today(lane), self._ingest.doubtful
            block = Block(today, start, end, names, self._rows, self._known, quiet, fired)
            changes += lane.judge(block, start)
            if self._listener is not None:
                for trace in lane.traces(block):
                    self._listener(trace)
        self._done = end
        return sorted(changes, key=lambda change: (change.step, change.series, change.surge.signal))

    def _today(self, lane: Lane) -> Day:
        return Day(self._day, self._counts[_STREAMS[lane.signal]], self._counts["stories"])

    def _take_in(self, counts: Counts) -> None:
        """Put `counts` into the rows, and open rows for the series that are worth following now."""
        values = {
            "negative": counts.negative,
            "positive": counts.positive,
            "stories": counts.negative + counts.neutral + counts.positive,
        }
        rows = np.full(len(counts.names), -1)
        present = np.unique(counts.series).tolist()
        rows[present] = [self._rows.get(counts.names[place], -1) for place in present]
        self._meet(counts, rows, values)
        rows[present] = [self._rows.get(counts.names[place], -1) for place in present]
        rows = rows[counts.series]
        # of a new row, what came before it was followed is what its candidate noted
        mine = (rows >= 0) & (counts.step >= np.append(self._known.followed, 0)[rows])
        columns = (counts.step - (self._day - 1) * self.shape.steps_per_day)[mine]
        for stream, target in self._counts.items():
            target[rows[mine], columns] = values[stream][mine]
        first = self.shape.steps_per_day + self._done
        self._ingest.messages[0, first : first + counts.end - counts.start] = counts.volume
        self._idle[rows[rows >= 0]] = 0

    def _meet(self, counts: Counts, rows: NDArray[np.int64], values: dict[str, Floats]) -> None:
        """Note the series that are not followed, and follow those that have enough of the stories that are judged."""
        cells = np.flatnonzero(rows[counts.series] < 0)
        cells = cells[np.lexsort((counts.step[cells], counts.series[cells]))]
        if not cells.size:
            return
        places, first = np.unique(counts.series[cells], return_index=True)
        columns = np.stack([values[stream][cells] for stream in self._streams], axis=1).tolist()
        steps, ends = counts.step[cells].tolist(), [*first[1:].tolist(), len(cells)]
        unknown: list[Sighting] = []
        for place, begin, end in zip(places.tolist(), first.tolist(), ends, strict=True):
            series = counts.names[place]
            judged = self._columns_of(series)
            if judged:
                stories = [
                    (steps[i], most, *columns[i])
                    for i in range(begin, end)
                    if (most := max(columns[i][column] for column in judged))
                ]
                unknown.append(Sighting(steps[begin], series, stories))
        room = self._most - len(self._rows)
        found = self._candidates.promote(unknown, self._day, room)
        if found:
            self._enlist(found)

    def _enlist(self, found: list[tuple[Series, int, Candidate]]) -> None:
        first, per_day = len(self._rows), self.shape.steps_per_day
        midnight = self._day * per_day
        self._rows.update({series: first + i for i, (series, _, _) in enumerate(found)})
        born = np.array([candidate.born for _, _, candidate in found], np.int64)
        followed = np.array([step for _, step, _ in found], np.int64)
        added = Known(born, followed, np.maximum(born + self.shape.warmup, followed))
        self._known = Known(*(np.concatenate(pair) for pair in zip(self._known, added, strict=True)))
        self._idle = np.concatenate([self._idle, np.zeros(len(found))])
        self._weigh([series for series, _, _ in found])
        for stream, counts in self._counts.items():
            self._counts[stream] = np.concatenate([counts, np.zeros((len(found), 2 * per_day), np.float32)])
        for lane in self._lanes:
            lane.grow(born)
        for row, (_, _, candidate) in enumerate(found, start=first):
            for lane in self._lanes:
                column, total = (self._streams.index(stream) + 2 for stream in (_STREAMS[lane.signal], "stories"))
                lane.backfill(row, self._day, candidate.born, [(s[0], s[column], s[total]) for s in candidate.stories])
            for step, _, *values in candidate.stories:
                if step >= midnight - per_day:
                    for stream, count in zip(self._streams, values, strict=True):
                        self._counts[stream][row, step - midnight + per_day] = count
        self._plan(first)

    def _weigh(self, added: list[Series]) -> None:
        """Note the kind, and the weight of each lane in the budget, of new rows."""
        asked = [self.policy.signals(series) for series in added]
        weights = np.array([[found.get(signal, 0.0) for signal in self._signals] for found in asked])
        self._kind = np.concatenate([self._kind, np.array([KINDS.index(series.kind) for series in added], np.int64)])
        self._weights = np.concatenate([self._weights, weights.reshape(len(added), len(self._signals))])

    def _plan(self, first: int = 0) -> None:
        """Judge the rows from `first` on, or all, by what is learnt when the day begins."""
        if not first:
            self._profile = self._ingest.plan(self._day)
        kind = self._kind
        for lane, weight in zip(self._lanes, self._weights.T, strict=True):
            lane.plan(self._day, self._learnt, Groups(kind, weight), self._profile, first)
        if not first:
            self._thresholds = self._share_budget(kind[: self._learnt], self._weights[: self._learnt])
        for lane, weight in zip(self._lanes, self._weights.T, strict=True):
            lane.calibration.threshold = np.where(weight > 0, self._thresholds[kind], np.inf)

    def _share_budget(self, kind: NDArray[np.int64], weights: Floats) -> Floats:
        """The threshold of each kind of series. Tiers without a series leave their share to the others."""
        judged = np.bincount(kind, weights.sum(axis=1) > 0, len(KINDS)) > 0
        days = day_weights(self._day, self.shape.history_days)
        highs = [lane.calibration.shifted_highs(self._learnt) for lane in self._lanes]
        found = np.full(len(KINDS), np.inf)
        for each, name in enumerate(KINDS):
            share = self.policy.tiers[name]
            others = sum(self.policy.tiers[other] for other, some in zip(KINDS, judged, strict=True) if some)
            if share <= 0 or not self._lanes:
                continue
            pages = self.policy.budget_per_week / 7.0 * share / (others if judged[each] else others + share)
            mine = [of_lane[(kind == each) & (weight > 0)] for of_lane, weight in zip(highs, weights.T, strict=True)]
            found[each] = find_threshold(np.concatenate(mine), days, pages, self.shape.steps_per_day)
        return found

    def _find_columns(self, series: Series) -> list[int]:
        """The places in `_streams` of what is judged of `series`."""
        judged = self.policy.signals(series) if series.kind in KINDS else {}
        return sorted({self._streams.index(_STREAMS[signal]) for signal in judged})

    def _end_day(self) -> list[SurgeChange]:
        per_day = self.shape.steps_per_day
        self._quiet_days = 0 if self._ingest.messages[0, per_day:].any() else self._quiet_days + 1
        for lane in self._lanes:
            lane.learn(self._today(lane), self._known, self._ingest.silent)
        self._ingest.learn(self._day)
        for counts in self._counts.values():
            counts[:, :per_day] = counts[:, per_day:]
            counts[:, per_day:] = 0.0
        self._idle += 1
        self._day, self._done = self._day + 1, 0
        self._candidates.end_day(self._day - 2 * self.shape.history_days)
        if self._quiet_days >= _FORGET_DAYS and len(self._rows) + len(self._candidates):
            changes = self._forget(np.ones(len(self._rows), np.bool_))
            if self._ingest.surge is not None:
                changes.append(SurgeChange(self.position - 1, OUTAGE, "closed", self._ingest.surge))
            self._reset()
            return changes
        changes = self._forget(self._idle > 2 * self.shape.history_days)
        self._learnt = len(self._rows)
        self._plan()
        return changes

    def _forget(self, gone: NDArray[np.bool_]) -> list[SurgeChange]:
        """Forget the rows in the mask `gone`; `_plan` has to follow."""
        if not gone.any():
            return []
        names = list(self._rows)
        lost = sorted(names[row] for row in np.flatnonzero(gone))
        changes = [
            change
            for series in lost
            for lane in self._lanes
            for change in lane.episodes.forget(series, self.position - 1)
        ]
        self._rows = {series: i for i, series in enumerate(names[row] for row in np.flatnonzero(~gone))}
        self._known = Known(*(values[~gone] for values in self._known))
        self._idle, self._kind, self._weights = self._idle[~gone], self._kind[~gone], self._weights[~gone]
        self._counts = {stream: counts[~gone] for stream, counts in self._counts.items()}
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
            "learnt": self._learnt,
            "rows": list(self._rows),
            "candidates": self._candidates.dump(),
            "ingest": self._ingest.dump(),
            "episodes": [lane.episodes.dump() for lane in self._lanes],
        }
        arrays: dict[str, NDArray[Any]] = {"idle": self._idle, **self._known._asdict()}
        arrays |= {f"counts.{stream}": counts for stream, counts in self._counts.items()}
        arrays |= {f"ingest.{name}": array for name, array in self._ingest.arrays().items()}
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
        self._rows = {Series(kind, name): i for i, (kind, name) in enumerate(header["rows"])}
        self._known = Known(*(arrays[name] for name in Known._fields))
        self._idle = arrays["idle"]
        self._weigh(list(self._rows))
        self._counts = part("counts")
        self._candidates.load(header["candidates"])
        self._ingest.load(header["ingest"], part("ingest"))
        for lane, episodes in zip(self._lanes, header["episodes"], strict=True):
            lane.restore(part(lane.signal))
            lane.episodes.load(episodes)
        self._plan()

    def _fingerprint(self) -> list[Any]:
        return [*self.shape.fingerprint, self.policy.fingerprint]
