"""Which alerts are one incident. No input or output here.

An alert is placed once, when it opens, by what was known then: it joins the incident that it shares most stories with,
or founds one. So the incidents follow from the alerts and the stories alone, and what comes later renames an incident
but never moves an alert.

An incident's core are its alerts on the most specific series (entity before topic before all). Only they attract: an
entity does not join through `all`, which holds the stories of every other entity as well. Two alerts share the stories
of the more specific series that the other series holds too. They must make up a third of what is unusual about the
more general one (observed less expected), since of the more specific one they are always nearly all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from alerting.detection.detector import Series, Signal

LEAST_SHARE = 1 / 3

_RANK = {"entity": 0, "topic": 1, "all": 2, "outage": 3}
_SIGNALS: tuple[Signal, ...] = ("negative", "share", "positive", "volume")  # the one to be named after first
SENTIMENTS_OF: dict[Signal, tuple[str, ...]] = {
    "negative": ("negative",),
    "share": ("negative",),
    "positive": ("positive",),
    "volume": ("negative", "neutral", "positive"),
}
"""Of the stories that a signal counts."""


@dataclass(frozen=True)
class Opening:
    """An alert as it was when it opened; all times are event times.

    `observed` and `expected` are stories in the `window` that ends with `opened_at`. `closed_at`: when it ended, None
    if it has not.
    """

    alert: UUID
    series: Series
    signal: Signal
    opened_at: datetime
    window: timedelta
    observed: float
    expected: float
    closed_at: datetime | None = None

    @property
    def rank(self) -> int:
        """How general its series is: 0 for an entity."""
        return _RANK[self.series.kind]

    @property
    def order(self) -> tuple[datetime, int, str, int]:
        """The order in which alerts are placed: that of time, then the most specific first."""
        return self.opened_at, self.rank, self.series.name, _SIGNALS.index(self.signal)

    @property
    def begin(self) -> datetime:
        return self.opened_at - self.window


@dataclass
class Group:
    """The alerts of an incident in the order of their opening."""

    id: UUID
    members: list[Opening] = field(default_factory=list)

    @property
    def core(self) -> list[Opening]:
        least = min(member.rank for member in self.members)
        return [member for member in self.members if member.rank == least]

    @property
    def sentiments(self) -> tuple[str, ...]:
        """Of the stories it is about; those of every sentiment while it is about volume alone."""
        return min((SENTIMENTS_OF[member.signal] for member in self.members), key=len)


class Stories(Protocol):
    """The stories of a store. A story is in a series from its first message there on, with that one's sentiment."""

    def within(
        self, series: Collection[Series], sentiments: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Series, Mapping[UUID, datetime]]:
        """Those that came into each of `series` at `start` <= time < `end`, and when; of very many, the latest."""

    def held(
        self, stories: Collection[UUID], series: Collection[Series], sentiments: Collection[str], until: datetime
    ) -> Mapping[Series, Set[UUID]]:
        """Which of `stories` came into each of `series` before `until`."""

    def count(self, series: Series, sentiments: Collection[str], start: datetime, end: datetime) -> float:
        """How many came into `series` at `start` <= time < `end`."""


def incident_id(first: UUID) -> UUID:
    """The identity of an incident, by that of its first alert."""
    return uuid5(first, "incident")


def place(newcomers: Iterable[Opening], groups: Iterable[Group], stories: Stories) -> list[Group]:
    """All groups once `newcomers` are placed. `groups` hold the alerts that opened before each of them."""
    placed = {group.id: group for group in groups}
    for newcomer in sorted(newcomers, key=lambda each: each.order):
        group = _joined(newcomer, list(placed.values()), stories)
        if group is None:
            group = Group(incident_id(newcomer.alert))
            placed[group.id] = group
        group.members.append(newcomer)
    return list(placed.values())


def leader(group: Group, until: datetime, stories: Stories) -> Opening:
    """The alert to name the incident after: of its core, the one whose series has most of its stories up to `until`."""
    core, sentiments = group.core, group.sentiments
    if len(core) == 1:
        return core[0]
    begin = min(member.begin for member in group.members)
    counts = {series: stories.count(series, sentiments, begin, until) for series in {each.series for each in core}}
    return min(core, key=lambda each: (-counts[each.series], _SIGNALS.index(each.signal), each.order))


def _joined(newcomer: Opening, groups: list[Group], stories: Stories) -> Group | None:
    """The group that shares most stories with `newcomer`, if any shares enough."""
    rivals: dict[tuple[str, ...], dict[UUID, list[Opening]]] = {}
    for group in groups:
        common = tuple(sorted(set(SENTIMENTS_OF[newcomer.signal]) & set(group.sentiments)))
        active = [each for each in group.core if each.closed_at is None or each.closed_at > newcomer.begin]
        if common and active:
            rivals.setdefault(common, {})[group.id] = active
    strengths: dict[UUID, float] = {}
    for sentiments, cores in rivals.items():
        strengths |= _strengths(newcomer, cores, sentiments, stories)
    near = [group for group in groups if strengths.get(group.id, 0) >= LEAST_SHARE]
    return min(near, key=lambda group: (-strengths[group.id], group.members[0].order), default=None)


def _strengths(
    newcomer: Opening, cores: Mapping[UUID, list[Opening]], sentiments: tuple[str, ...], stories: Stories
) -> dict[UUID, float]:
    """How much `newcomer` has in common with the core of each group, as a share of what is unusual."""
    at = newcomer.opened_at
    every = [each for core in cores.values() for each in core]
    narrow = {each.series for each in every if each.rank < newcomer.rank}
    wide = {each.series for each in every if each.rank >= newcomer.rank}
    theirs = stories.within(narrow, sentiments, newcomer.begin, at) if narrow else {}
    here = stories.held({story for found in theirs.values() for story in found}, [newcomer.series], sentiments, at)
    longest = max((each.window for each in every if each.rank > newcomer.rank), default=newcomer.window)
    mine: Mapping[UUID, datetime] = {}
    if wide:
        begin = min(at - longest, newcomer.begin)
        mine = stories.within([newcomer.series], sentiments, begin, at)[newcomer.series]
    there = stories.held(mine, wide, sentiments, at)

    def share(each: Opening) -> float:
        window = newcomer.window if each.rank == newcomer.rank else each.window
        common = sum(mine[story] >= at - window for story in there.get(each.series, ()))
        if not common:
            return 0.0
        excess = stories.count(each.series, SENTIMENTS_OF[each.signal], at - each.window, at) - each.expected
        if each.rank == newcomer.rank:
            excess = min(excess, newcomer.observed - newcomer.expected)
        return common / max(excess, 1.0)

    def strength(core: list[Opening]) -> float:
        if core[0].rank >= newcomer.rank:
            return max(map(share, core))
        common = {story for each in core for story in theirs.get(each.series, ())} & here[newcomer.series]
        return len(common) / max(newcomer.observed - newcomer.expected, 1.0)

    return {group: strength(core) for group, core in cores.items()}
