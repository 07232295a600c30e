"""Stories as analysts read them: by one message, the same for everybody, with what the model said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from core.store.messages import message_of
from core.text import clean
from desk.labelling.sql import QUERIES


@dataclass(frozen=True, slots=True)
class Guess:
    """A model's label in one task, with its scores in the order of the labels."""

    label: str
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Item:
    """A story to label. `body` is what labels are of: title and text as they were classified.

    `uid` is None for a text that was never a message; one that retention dropped has lost its title and times.
    """

    story: UUID
    uid: UUID | None
    title: str
    text: str
    body: str
    source: str
    url: str
    published_at: datetime | None
    copies: int
    model: str
    guesses: dict[str, Guess]


def read_items(connection: Connection, stories: Sequence[UUID]) -> dict[UUID, Item]:
    """Those of `stories` whose text is known, by a message of theirs or by a label."""
    rows: Iterable[Any] = connection.execute(QUERIES["items"], {"stories": list(stories)})
    return {row.story: _item(row) for row in rows}


def read_guesses(connection: Connection, stories: Sequence[UUID]) -> dict[UUID, tuple[str, dict[str, Guess]]]:
    """The model, and what it said by task, of those of `stories` that were labelled and whose message is stored."""
    rows: Iterable[Any] = connection.execute(QUERIES["guesses"], {"stories": list(stories)})
    return {row.story: (row.model, _guesses(row)) for row in rows}


def find_stories(connection: Connection, uids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The story of each message of `uids` that is stored, or that labels know."""
    rows = connection.execute(QUERIES["stories_of"], {"uids": list(uids)})
    return {row.uid: row.story for row in rows if row.story is not None}


def _item(row: Any) -> Item:
    if row.published_at is None:
        return Item(
            row.story, row.uid, "", row.labelled_text, row.labelled_text, row.source, "", None, row.copies, "", {}
        )
    return Item(
        row.story, row.uid, row.title, row.text, row.labelled_text or clean(message_of(row).body), row.source, row.url,
        row.published_at, row.copies, row.model, _guesses(row),
    )  # fmt: skip


def _guesses(row: Any) -> dict[str, Guess]:
    return {
        task: Guess(label, list(scores))
        for task, label, scores in (
            ("sentiment", row.sentiment, row.sentiment_scores),
            ("topic", row.topic, row.topic_scores),
        )
        if scores
    }
