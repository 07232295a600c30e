"""The `classified` record: a message with its labels, for anyone downstream."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.records import MAX_ENCODED_BYTES, SCHEMA_HEADER, SCHEMA_VERSION
from stream.batch import Classified


class CompanySentiment(msgspec.Struct):
    """What a message says of one company that it names."""

    sentiment: str
    """The likeliest label."""
    scores: list[float]
    """A probability for each label, in the order of the taxonomy."""


class ClassifiedRecord(msgspec.Struct, kw_only=True):
    """Value of a record in the `classified` topic.

    It comes at least once, and may come again after a crash or when its partition moves between workers, with the
    labels that the store has: (source, id) tells.

    `shortened`: the url or the text was cut, so that the record fits into Kafka; the store has the whole message.
    """

    id: str
    """As in `messages`."""
    source: str
    """As in `messages`."""
    kind: str
    """`news` or `comment`."""
    published_at: datetime
    """Event time."""
    title: str
    """As in `messages`."""
    text: str
    """As in `messages`, unless shortened."""
    url: str
    """As in `messages`; empty where it did not fit."""
    language: str
    """ISO 639-1 code: what the source states, unless the text says otherwise; empty where nobody knows."""
    entities: list[str]
    """Companies: those that the source names and those that were linked."""
    sentiment: str | None
    """The likeliest label of the task `sentiment`; null where no live model reads the language."""
    sentiment_scores: list[float] | None
    """A probability for each label, in the order of the taxonomy, or null."""
    topic: str | None
    """The likeliest label of the task `topic`; null where no live model reads the language."""
    topic_scores: list[float] | None
    """A probability for each label, in the order of the taxonomy, or null."""
    model: str | None
    """Name of the model that labelled it, or null."""
    entity_sentiments: dict[str, CompanySentiment] = {}
    """By company: what is said of it, where the text names it and the model tells companies apart."""
    shortened: bool = False
    """Whether something was cut to fit into a record."""


_encoder = msgspec.json.Encoder()


def classified_record(
    classified: Classified, limit: int = MAX_ENCODED_BYTES
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of `classified` for Kafka; a value of more than `limit` bytes is shortened."""
    message, labels = classified.item.message, classified.labels
    record = ClassifiedRecord(
        id=message.id,
        source=message.source,
        kind=message.kind,
        published_at=message.published_at,
        title=message.title,
        text=message.text,
        url=message.url,
        language=classified.item.language,
        entities=classified.item.entities,
        sentiment=None if labels is None else labels.sentiment,
        sentiment_scores=None if labels is None else _rounded(labels.sentiment_scores),
        topic=None if labels is None else labels.topic,
        topic_scores=None if labels is None else _rounded(labels.topic_scores),
        model=None if labels is None else labels.model,
        entity_sentiments={
            company: CompanySentiment(sentiment, _rounded(scores))
            for company, (sentiment, scores) in (labels.towards if labels is not None else {}).items()
        },
    )
    value = _encoder.encode(record)
    for name in ("url", "language", "text", "title"):
        excess = len(value) - limit
        if excess <= 0:
            break
        record.shortened = True
        _shorten(record, name, excess)
        value = _encoder.encode(record)
    return message.id.encode(), value, [(SCHEMA_HEADER, SCHEMA_VERSION)]


def _rounded(scores: list[float]) -> list[float]:
    return [round(score, 5) for score in scores]


def _shorten(record: ClassifiedRecord, name: str, excess: int) -> None:
    """Take at least `excess` encoded bytes from the end of a field, or all it has; half a url leads nowhere."""
    content: str = getattr(record, name)
    excess += len(b'"shortened":true') - len(b'"shortened":false') + 8
    kept = 0 if name == "url" else max(len(content) - excess, 0)  # a character takes one byte or more
    setattr(record, name, content[:kept])
