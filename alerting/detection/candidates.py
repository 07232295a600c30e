"""Series that are seen but have too few stories for a state of their own. Any word after a dollar sign makes one, so
they must cost little: a few numbers each, and a limit on how many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from alerting.detection.detector import Series

Stories = tuple[Any, ...]
"""A step, the number of stories of interest in it, and whatever else is to be known of it when the series is followed:
numbers, all of them."""


_SWEEP_DAYS = 7  # between two looks for those not seen for long


@dataclass(slots=True)
class Candidate:
    """`born`: the first step with a message. `last_day`: the last day with one. `stories`: its latest stories of
    interest, oldest first."""

    born: int
    last_day: int
    stories: list[Stories] = field(default_factory=list)


class Sighting(NamedTuple):
    """A series that is not followed, in some steps of a day: the first step with a message, and its stories of
    interest."""

    step: int
    series: Series
    stories: list[Stories]


class Candidates:
    """At most `limit` candidates; a series is worth following once it has had `few` stories of interest."""

    def __init__(self, few: int, limit: int) -> None:
        self.few, self.limit = few, limit
        self._known: dict[Series, Candidate] = {}
        self._taken = 0  # since the day began: their places become free when it ends, however it is cut into calls
        self.refused = 0  # series not even noted since the day began, for want of room
        self.met: list[int] = []  # the steps of names that the last call of `promote` saw for the first time

    def __len__(self) -> int:
        return len(self._known)

    def promote(self, sightings: Iterable[Sighting], day: int, room: int) -> list[tuple[Series, int, Candidate]]:
        """Note what was seen on `day`; those that became worth following leave, at most `room` of them, and are
        returned with the step in which they did, in order."""
        self.met = []
        ready: list[tuple[int, Series, Candidate, list[Stories]]] = []
        for sighting in sorted(sightings):  # by step and series
            candidate = self._meet(sighting, day)
            if candidate is None:
                continue
            for i, stories in enumerate(sighting.stories):
                if self._note(candidate, stories):
                    ready.append((stories[0], sighting.series, candidate, sighting.stories[i + 1 :]))
                    break
        ready.sort(key=lambda found: found[:2])
        for _, _, candidate, later in ready[max(room, 0) :]:
            for stories in later:
                self._note(candidate, stories)
        chosen = [(series, step, candidate) for step, series, candidate, _ in ready[: max(room, 0)]]
        for series, _, _ in chosen:
            del self._known[series]
        self._taken += len(chosen)
        return chosen

    def _meet(self, sighting: Sighting, day: int) -> Candidate | None:
        found = self._known.get(sighting.series)
        if found is None:
            if len(self._known) + self._taken >= self.limit:
                self.refused += 1
                return None
            found = self._known[sighting.series] = Candidate(sighting.step, day)
            self.met.append(sighting.step)
        found.last_day = day
        return found

    def _note(self, candidate: Candidate, stories: Stories) -> bool:
        """Count the stories of a step; returns whether the candidate is worth following now."""
        candidate.stories.append(stories)
        following = sum(number for _, number, *_ in candidate.stories) >= self.few
        del candidate.stories[: -self.few]
        return following

    def end_day(self, oldest: int) -> None:
        """Forget, once a week, those not seen since the day `oldest`, and of a full list, at once, the tenth seen
        longest ago."""
        self._taken = self.refused = 0
        if oldest % _SWEEP_DAYS == 0:
            for series in [series for series, known in self._known.items() if known.last_day < oldest]:
                del self._known[series]
        if len(self._known) >= self.limit:
            order = sorted(self._known, key=lambda series: (self._known[series].last_day, series))
            for series in order[: max(1, self.limit // 10)]:
                del self._known[series]

    def dump(self) -> dict[str, Any]:
        """JSON-able state."""
        known = [[*series, known.born, known.last_day, known.stories] for series, known in sorted(self._known.items())]
        return {"known": known, "taken": self._taken, "refused": self.refused}

    def load(self, state: dict[str, Any]) -> None:
        self._taken, self.refused = state["taken"], state["refused"]
        self._known = {
            Series(kind, name): Candidate(born, last_day, [tuple(each) for each in stories])
            for kind, name, born, last_day, stories in state["known"]
        }
