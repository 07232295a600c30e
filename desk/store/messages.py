"""Messages by their ids, and those of a story."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from core.store.arrays import plain_array
from core.store.sql import records
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message and what a model said of it, if one reads its language; its source by key."""

    uid: UUID
    story: UUID
    source: str
    id: str
    kind: str
    published_at: datetime
    received_at: datetime
    title: str
    text: str
    url: str
    author: str
    language: str
    entities: list[str]
    model: str | None
    sentiment: str | None
    sentiment_scores: list[float] | None
    topic: str | None
    topic_scores: list[float] | None
    entity_sentiments: list[str | None] | None  # in the order of `entities`

    @property
    def towards(self) -> dict[str, str]:
        """Sentiment towards each of `entities`, as it is counted; nothing where no model reads the message."""
        return sentiments_towards(self.entities, self.entity_sentiments, self.sentiment)


def sentiments_towards(
    entities: Sequence[str], own: Sequence[str | None] | None, sentiment: str | None
) -> dict[str, str]:
    """What a message says of each of its companies: the `own` sentiment of each, else that of the message."""
    if sentiment is None:
        return {}
    return {entity: said or sentiment for entity, said in zip(entities, own or [None] * len(entities), strict=True)}


def read_messages(connection: Connection, uids: Iterable[UUID]) -> dict[UUID, StoredMessage]:
    """Those of `uids` that are stored."""
    days = connection.execute(_QUERIES["days"], {"uids": plain_array(set(uids))}).all()
    if not days:
        return {}
    values = {
        "uids": plain_array(row.uid for row in days),
        "days": "{" + ",".join(row.stored_on.isoformat() for row in days) + "}",
    }
    return {
        message.uid: message for message in records(StoredMessage, connection.execute(_QUERIES["messages"], values))
    }


def read_messages_of(
    connection: Connection, story: UUID, first_at: datetime, after: tuple[datetime, UUID] | None, limit: int
) -> list[StoredMessage]:
    """Messages of a story, the first of which is from `first_at`, in the order of event time: those after the key
    `after`."""
    values = {
        "story": story,
        "stored_from": (first_at - _ONE_DAY).date(),  # nothing is stored before it is published, but for clocks
        "after": after and after[0],
        "after_uid": after and after[1],
        "limit": limit,
    }
    return records(StoredMessage, connection.execute(_QUERIES["of_story"], values))
