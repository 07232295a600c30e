"""From classified messages to changes of trend rows. Pure arithmetic on integers, so any order gives the same sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.fitting import SENTIMENTS, UNREAD

MILLION = 1_000_000
OUTCOMES = (*SENTIMENTS, UNREAD)  # what a message counts as, and its story where it comes first
COLUMNS = (*OUTCOMES, *(f"{outcome}_stories" for outcome in OUTCOMES), *(f"p_{name}" for name in SENTIMENTS))
_STORIES, _PROBABILITIES = len(OUTCOMES), 2 * len(OUTCOMES)

Series = tuple[str, str]  # kind, name
Cell = tuple[str, str, datetime]  # kind, name, minute
StorySeries = tuple[UUID, str, str]  # story, kind, name


@dataclass(frozen=True, slots=True)
class Counted:
    """What the trends need to know of one stored message."""

    uid: UUID
    story: UUID
    published_at: datetime
    series: tuple[Series, ...]
    sentiment: str  # one of OUTCOMES
    millionths: tuple[int, int, int]  # probabilities of SENTIMENTS times a million; zeros where it is unread
    towards: Mapping[str, tuple[str, tuple[int, int, int]]] = field(default_factory=dict)  # by company: the same two

    def counts_in(self, series: Series) -> tuple[str, tuple[int, int, int]]:
        """What it counts as in one of its series: a company's own sentiment where it has one, else the message's."""
        own = self.towards.get(series[1]) if series[0] == "entity" else None
        return own or (self.sentiment, self.millionths)


@dataclass(frozen=True, slots=True, order=True)
class First:
    """The first message of a story in a series, by event time, then uid."""

    published_at: datetime
    uid: UUID
    sentiment: str


def series_of(source: str, topic: str | None, entities: Iterable[str]) -> tuple[Series, ...]:
    """The series that a message counts in; one that is unread has no topic."""
    topics = () if topic is None else (("topic", topic),)
    return (("all", "all"), *topics, ("source", source), *(("entity", entity) for entity in entities))


def minute_of(moment: datetime) -> datetime:
    """Start of the minute of `moment`."""
    return moment.replace(second=0, microsecond=0)


def millionths(probabilities: Sequence[float]) -> tuple[int, int, int]:
    """Three probabilities as whole millionths: sums of whole numbers do not depend on their order."""
    negative, neutral, positive = (round(float(p) * MILLION) for p in probabilities)
    return negative, neutral, positive


class TrendChanges:
    """The counters COLUMNS per cell: messages and stories by OUTCOMES, and summed millionths by SENTIMENTS."""

    def __init__(self) -> None:
        self.cells: defaultdict[Cell, list[int]] = defaultdict(lambda: [0] * len(COLUMNS))

    def count_message(self, message: Counted) -> None:
        minute = minute_of(message.published_at)
        for series in message.series:
            sentiment, millionths = message.counts_in(series)
            cell = self.cells[series[0], series[1], minute]
            cell[OUTCOMES.index(sentiment)] += 1
            for i, amount in enumerate(millionths):
                cell[_PROBABILITIES + i] += amount

    def move_story(self, series: Series, before: First | None, after: First | None) -> None:
        if before == after:
            return
        if before is not None:
            self._count_story(series, before, -1)
        if after is not None:
            self._count_story(series, after, +1)

    def _count_story(self, series: Series, first: First, amount: int) -> None:
        column = _STORIES + OUTCOMES.index(first.sentiment)
        self.cells[series[0], series[1], minute_of(first.published_at)][column] += amount

    def rows(self) -> list[tuple[Cell, list[int]]]:
        """Changed cells in key order: every writer takes its row locks in the same order, so none can deadlock."""
        return sorted((cell, counts) for cell, counts in self.cells.items() if any(counts))

    def messages_by_minute(self) -> dict[datetime, int]:
        """Every minute in which any count changed, with the number of messages added to it, in order of time."""
        added: defaultdict[datetime, int] = defaultdict(int)
        for (kind, _, minute), counts in self.cells.items():
            added[minute] += sum(counts[:_STORIES]) if kind == "all" else 0
        return dict(sorted(added.items()))


def count(
    messages: Sequence[Counted],
    known: Mapping[StorySeries, First],
    moved: Collection[UUID] = (),
    recounted: Mapping[StorySeries, First] | None = None,
) -> tuple[TrendChanges, dict[StorySeries, First], set[StorySeries]]:
    """Changes of the trends by newly stored `messages`, first messages that differ from `known`, and those now gone.

    A story counts once per series, in the minute and with the sentiment of its first message there. An earlier message
    that comes later moves the count. Of the `moved` stories, which gained or lost stored messages, the first messages
    are `recounted`, the new messages included.
    """
    changes = TrendChanges()
    firsts: dict[StorySeries, First] = {}
    for message in messages:
        changes.count_message(message)
        if message.story in moved:
            continue
        for kind, name in message.series:
            mine = First(message.published_at, message.uid, message.counts_in((kind, name))[0])
            key = (message.story, kind, name)
            before = firsts.get(key) or known.get(key)
            if before is None or mine < before:
                changes.move_story((kind, name), before, mine)
                firsts[key] = mine
    now = recounted or {}
    gone = {key for key in known if key[0] in moved and key not in now}
    for key in gone | now.keys():
        changes.move_story(key[1:], known.get(key), now.get(key))
        if key in now and now[key] != known.get(key):
            firsts[key] = now[key]
    return changes, firsts, gone
