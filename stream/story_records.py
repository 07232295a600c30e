"""What `assignment` knows of messages and stories, and what it asks `story_store` to read. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from stream.stories import StoryText


class Position(NamedTuple):
    """Where a message stands in the order of the rule."""

    at: datetime
    uid: UUID


@dataclass(slots=True, eq=False)
class Run:
    """Messages of one text: those that a stored `story` has, or one new message (`story` is None).

    `expanded`: the run stands for one message of a stored run that was read message by message.
    """

    text: StoryText
    first: Position
    last_at: datetime
    messages: int = 1
    story: UUID | None = None
    expanded: bool = False


@dataclass(frozen=True, slots=True)
class StoredStory:
    """A stored story; none of its messages was stored before the day `stored_on`.

    One that is `fixed` was assigned by an earlier version: it takes new messages and moves none.
    """

    id: UUID
    first: Position
    last_at: datetime
    messages: int
    stored_on: date
    fixed: bool = False


@dataclass(slots=True)
class Known:
    """What was read of the store. `reach`: event times, by text, between which all runs of all its copies are here."""

    stories: dict[UUID, StoredStory] = field(default_factory=dict)
    runs: dict[tuple[UUID, UUID], list[Run]] = field(default_factory=dict)  # by text and story
    reach: dict[UUID, tuple[datetime, datetime]] = field(default_factory=dict)
    whole: set[UUID] = field(default_factory=set)  # stories of which all runs are here


@dataclass(slots=True)
class Missing:
    """What has to be read before the rule can decide."""

    texts: dict[UUID, tuple[StoryText, datetime, datetime]] = field(default_factory=dict)
    stories: set[UUID] = field(default_factory=set)
    expansions: set[tuple[UUID, UUID]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.texts or self.stories or self.expansions)

    def need(self, text: StoryText, since: datetime, until: datetime) -> None:
        _, first, last = self.texts.get(text.id, (text, since, until))
        self.texts[text.id] = (text, min(first, since), max(last, until))
