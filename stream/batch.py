"""A batch on its way through the worker: records decoded, classified, ready to commit. No I/O here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.errors import UndecodableMessage
from core.fitting import SENTIMENTS, UNREAD
from core.language import language_of
from core.records import Message, decode
from core.sources import source_key
from core.text import headline_form, story_form
from stream.entities import Watchlist
from stream.series import Counted, millionths, series_of
from stream.stories import HEADLINE_CHARACTERS, StoryText, story_text
from stream.story_records import Position

Scores = Mapping[str, NDArray[np.float32]]

_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka gave it, in that epoch of its partition's log.

    `end_offset` is the partition's high watermark when it was read, if known.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    end_offset: int | None = None
    epoch: int = 1

    @property
    def origin(self) -> str:
        """Where the record stood. The hash tells it from a record of another life of an in-memory broker."""
        content = hashlib.blake2b((self.key or b"") + b"\x00" + (self.value or b""), digest_size=4)
        return f"{self.topic}/{self.partition}/{self.offset}/{content.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that can't be processed, and why."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """A decoded message beside the record it came from. `language` is what it is taken for, "" where nobody knows."""

    record: Record
    message: Message
    uid: UUID
    body: str
    entities: list[str]
    language: str


@dataclass(frozen=True, slots=True)
class Labels:
    """What a model said of a message."""

    sentiment: str
    sentiment_scores: list[float]
    topic: str
    topic_scores: list[float]
    model: str
    towards: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    """Of companies that the text names, where the model says it: the sentiment towards each, and its scores."""


@dataclass(frozen=True, slots=True)
class Classified:
    """A message with its labels and its text as stories see it. Without labels it is unread: no model in service reads
    its language."""

    item: Item
    text: StoryText
    labels: Labels | None

    @property
    def position(self) -> Position:
        return Position(self.item.message.published_at, self.item.uid)

    @property
    def headline(self) -> str:
        """What stands for the message in a list: its title, else the beginning of its text."""
        return (self.item.message.title or self.item.message.text)[:HEADLINE_CHARACTERS]

    def counted(self, story: UUID) -> Counted:
        message, labels = self.item.message, self.labels
        topic = labels.topic if labels is not None else None
        return Counted(
            uid=self.item.uid,
            story=story,
            published_at=message.published_at,
            series=series_of(source_key(message.source), topic, self.item.entities),
            sentiment=labels.sentiment if labels is not None else UNREAD,
            millionths=millionths(labels.sentiment_scores) if labels is not None else (0, 0, 0),
            towards={
                company: (sentiment, millionths(scores)) for company, (sentiment, scores) in labels.towards.items()
            }
            if labels is not None
            else {},
        )


@dataclass(slots=True)
class Batch:
    """All records read, in order, and what became of them."""

    records: Sequence[Record]
    classified: list[Classified] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def decode_records(records: Iterable[Record]) -> tuple[list[tuple[Record, Message]], list[Rejected]]:
    """Each record with its message, and reasons for those that hold none."""
    decoded: list[tuple[Record, Message]] = []
    rejected: list[Rejected] = []
    for record in records:
        try:
            decoded.append((record, decode(record.value)))
        except UndecodableMessage as error:
            rejected.append(Rejected(record, str(error)))
    return decoded, rejected


def link(decoded: Iterable[tuple[Record, Message]], watchlist: Watchlist) -> tuple[list[Item], list[Rejected]]:
    """Items with their companies and languages, and reasons for those that linking failed on."""
    items: list[Item] = []
    rejected: list[Rejected] = []
    for record, message in decoded:
        body = message.body
        try:
            entities = watchlist.link(body, message.entities)
        except Exception as error:
            watchlist.link("", ())  # a list that fails on nothing at all must not turn good messages away
            rejected.append(Rejected(record, f"linking its companies failed: {type(error).__name__}: {error}"))
            continue
        items.append(Item(record, message, message.uid, body, entities, language_of(body, message.language)))
    return items, rejected


def label(
    items: Sequence[Item],
    scores: Scores,
    topics: Sequence[str],
    model: str,
    towards: Sequence[Mapping[str, NDArray[np.float32]]] = (),
) -> list[Classified]:
    """Items with the likeliest label of each task; scores have one row per item, and `towards`, if given, for each item
    the scores of the sentiment towards companies in it.

    Raises ValueError for scores that are no probabilities.
    """
    sentiment, topic = scores["sentiment"], scores["topic"]
    for task, table in (("sentiment", sentiment), ("topic", topic)):
        _check(table, task, model)
    best_sentiment, best_topic = sentiment.argmax(axis=1), topic.argmax(axis=1)
    return [
        _classified(
            item,
            Labels(
                sentiment=SENTIMENTS[best_sentiment[i]],
                sentiment_scores=sentiment[i].tolist(),
                topic=topics[best_topic[i]],
                topic_scores=topic[i].tolist(),
                model=model,
                towards=_towards(towards[i], model) if towards else {},
            ),
        )
        for i, item in enumerate(items)
    ]


def _towards(scores: Mapping[str, NDArray[np.float32]], model: str) -> dict[str, tuple[str, list[float]]]:
    for company, row in scores.items():
        _check(row, f"sentiment towards {company}", model)
    return {company: (SENTIMENTS[int(row.argmax())], row.tolist()) for company, row in scores.items()}


def _check(scores: NDArray[np.float32], of: str, model: str) -> None:
    # Written so that NaN fails too.
    if not bool(((scores >= 0) & (scores <= 1 + _ROUNDING)).all()):
        raise ValueError(f"the model {model} gave scores of {of} that are no probabilities")


def leave_unread(item: Item) -> Classified:
    """An item without labels."""
    return _classified(item, None)


def _classified(item: Item, labels: Labels | None) -> Classified:
    text, title = item.message.text, item.message.title
    headline = headline_form(text, title)
    return Classified(item, story_text(story_form(text, title), item.entities, item.uid, headline), labels)


def latest(moments: Iterable[datetime]) -> datetime | None:
    """The last of `moments`, or None."""
    return max(moments, default=None)
