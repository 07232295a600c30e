"""Stories as analysts read them: by one message, the same for everybody, with what the model said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from core.label_lines import Subject
from core.labelled import SENTIMENT
from core.store.messages import message_of
from core.text import clean
from desk.labelling.sql import QUERIES
from desk.store.messages import StoredMessage, read_messages


@dataclass(frozen=True, slots=True)
class Guess:
    """A model's label in one task, with its scores in the order of the labels."""

    label: str
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Item:
    """A story to label. `body` is what labels are of: title and text as they were classified.

    `uid` is None for a text that was never a message; one that retention dropped has lost its title and times.
    `entities`: the companies that it is linked to, and those in it that somebody labelled; `towards`: what the model
    said of each of the former, as it is counted.
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
    entities: list[str]
    towards: dict[str, str] = field(default_factory=dict)
    language: str = ""


def read_items(connection: Connection, stories: Sequence[UUID]) -> dict[UUID, Item]:
    """Those of `stories` whose text is known, by a message of theirs or by a label."""
    rows = connection.execute(QUERIES["items"], {"stories": list(stories)}).all()
    messages = read_messages(connection, (row.uid for row in rows if row.uid is not None))
    found = {row.story: _item(row, messages.get(row.uid)) for row in rows}
    return {story: item for story, item in found.items() if item is not None}


def read_guesses(connection: Connection, stories: Sequence[UUID]) -> dict[UUID, tuple[str, dict[Subject, str]]]:
    """The model, and what it said of the text by task and of each company, of those of `stories` that were labelled and
    whose message is stored."""
    rows = connection.execute(QUERIES["labelled_messages"], {"stories": list(stories)}).all()
    messages = read_messages(connection, (row.uid for row in rows))
    return {
        row.story: (message.model or "", _said(message))
        for row in rows
        if (message := messages.get(row.uid)) is not None
    }


def find_stories(connection: Connection, uids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The story of each message of `uids` that is stored, or that labels know."""
    stored = {uid: message.story for uid, message in read_messages(connection, uids).items()}
    rows = connection.execute(QUERIES["labelled_stories"], {"uids": [uid for uid in uids if uid not in stored]})
    return stored | {row.uid: row.story for row in rows}


def _item(row: Any, message: StoredMessage | None) -> Item | None:
    said = row.labelled_text
    if message is None:
        if said is None:
            return None
        return Item(
            row.story, row.uid, "", said, said, row.labelled_source, "", None, row.copies, "", {}, row.labelled_entities
        )
    others = [entity for entity in row.labelled_entities if entity not in message.entities]
    return Item(
        row.story, message.uid, message.title, message.text, said or clean(message_of(message).body), message.source,
        message.url, message.published_at, row.copies, message.model or "", _guesses(message),
        [*message.entities, *others], message.towards, message.language,
    )  # fmt: skip


def _said(message: StoredMessage) -> dict[Subject, str]:
    of_text = {Subject(task): guess.label for task, guess in _guesses(message).items()}
    return of_text | {Subject(SENTIMENT, entity): label for entity, label in message.towards.items()}


def _guesses(message: StoredMessage) -> dict[str, Guess]:
    return {
        task: Guess(label, list(scores))
        for task, label, scores in (
            ("sentiment", message.sentiment, message.sentiment_scores),
            ("topic", message.topic, message.topic_scores),
        )
        if label and scores
    }
