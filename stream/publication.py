"""The `classified` record: a message with its labels, for anyone downstream."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.records import SCHEMA_HEADER, SCHEMA_VERSION
from stream.batch import Classified


class ClassifiedRecord(msgspec.Struct, kw_only=True):
    """Value of a record in the `classified` topic. It may come twice after a crash: (source, id) tells."""

    id: str
    source: str
    kind: str
    published_at: datetime
    title: str
    text: str
    url: str
    language: str
    entities: list[str]
    sentiment: str
    sentiment_scores: list[float]
    topic: str
    topic_scores: list[float]
    model: str


_encoder = msgspec.json.Encoder()


def classified_record(classified: Classified) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of `classified` for Kafka."""
    message = classified.item.message
    record = ClassifiedRecord(
        id=message.id,
        source=message.source,
        kind=message.kind,
        published_at=message.published_at,
        title=message.title,
        text=message.text,
        url=message.url,
        language=message.language,
        entities=classified.item.entities,
        sentiment=classified.sentiment,
        sentiment_scores=[round(score, 5) for score in classified.sentiment_scores],
        topic=classified.topic,
        topic_scores=[round(score, 5) for score in classified.topic_scores],
        model=classified.model,
    )
    return message.id.encode(), _encoder.encode(record), [(SCHEMA_HEADER, SCHEMA_VERSION)]
