"""Messages by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from core.store.arrays import plain_array
from core.store.sql import records
from desk.store.sql import queries_beside

_QUERIES = queries_beside(__file__)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message and what a model said of it; its source by key."""

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
    language: str
    model: str
    sentiment: str
    sentiment_scores: list[float]
    topic: str
    topic_scores: list[float]


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
