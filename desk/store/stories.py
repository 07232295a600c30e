"""Stories of a series, folded: one for all its copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from core.fitting import SENTIMENTS, UNREAD
from core.store.arrays import plain_array
from core.store.sql import records
from desk.store.messages import StoredMessage, read_messages
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)
_OF_THE_LEAD = ("uid", "url", "title", "language", "topic", "sentiment", "sentiment_scores", "model")

StoryKey = tuple[datetime, UUID]
"""By what stories are ordered: their first message in the series, then their id."""


@dataclass(frozen=True)
class Placed:
    """A story in a series: its first message there, when, and with what sentiment, or as `unread`."""

    story: UUID
    uid: UUID
    first_at: datetime
    sentiment: str


@dataclass(frozen=True)
class Story:
    """A story and its leading message, of which nothing is known any more once retention dropped it. Sources by key.

    `entity_sentiments`: of each of `entities`, as it is counted there, or `unread`.
    """

    id: UUID
    headline: str
    first_at: datetime
    last_at: datetime
    copies: int
    uid: UUID | None
    url: str | None
    title: str | None
    language: str | None
    topic: str | None
    sentiment: str | None
    sentiment_scores: list[float] | None
    model: str | None
    sources: list[str]
    entities: list[str]
    entity_sentiments: list[str]


@dataclass(frozen=True)
class StoryFilter:
    """Stories of the series `kind`, `name` whose first message there lies from `since` up to `until`."""

    kind: str
    name: str
    since: datetime
    until: datetime
    sentiment: str | None = None
    source: str | None = None

    @property
    def sentiments(self) -> list[str]:
        return [self.sentiment] if self.sentiment else [*SENTIMENTS, UNREAD]


def list_stories(connection: Connection, wanted: StoryFilter, before: StoryKey | None, limit: int) -> list[Placed]:
    """The last stories first, those before the key `before`."""
    values = {
        "kind": wanted.kind,
        "name": wanted.name,
        "since": wanted.since,
        "until": wanted.until - timedelta(microseconds=1),
        "sentiments": wanted.sentiments,
        "source": wanted.source,
        "before": before and before[0],
        "before_story": before and before[1],
        "limit": limit,
    }
    return records(Placed, connection.execute(_QUERIES["stories"], values))


def describe_stories(connection: Connection, placed: Sequence[Placed]) -> list[Story]:
    """What is known of the stories, in their order; those that are gone meanwhile are left out."""
    rows = connection.execute(_QUERIES["described"], {"stories": plain_array(each.story for each in placed)})
    found = {row.id: row for row in rows}
    messages = read_messages(connection, (each.uid for each in placed))
    return [_described(found[each.story], messages.get(each.uid)) for each in placed if each.story in found]


def find_story(connection: Connection, story: UUID) -> Story | None:
    """The story of that id."""
    row = connection.execute(_QUERIES["story"], {"story": story}).one_or_none()
    if row is None:
        return None
    found = describe_stories(connection, [Placed(row.story, row.uid, row.first_at, "")])
    return found[0] if found else None


def read_headlines(connection: Connection, wanted: StoryFilter, limit: int) -> list[str]:
    """Headlines of the newest `limit` stories of each sentiment."""
    values = {
        "kind": wanted.kind,
        "name": wanted.name,
        "since": wanted.since,
        "until": wanted.until,
        "sentiments": wanted.sentiments,
        "limit": limit,
    }
    headlines: list[str] = connection.execute(_QUERIES["headlines"], values).one().headlines
    return headlines


def _described(row: Any, lead: StoredMessage | None) -> Story:
    said: dict[str, Any] = {name: getattr(lead, name, None) for name in _OF_THE_LEAD}
    return Story(**row._mapping, **said)
