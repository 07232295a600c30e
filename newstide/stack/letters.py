"""Whether every dead letter that Kafka holds is in the archive."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kafka.errors import KafkaError
from sqlalchemy import Engine

from core.errors import NewstideError
from core.settings import Settings
from core.store.ledger import read_ledger
from core.topics import TopicReader

log = logging.getLogger(__name__)


class LettersArchived:
    """Asks the brokers where the topic of dead letters ends, and the ledger how far the archive has read it.

    Letters are in Kafka before what they tell of counts as read, so once all messages are committed the topic holds
    every letter of them. Counting would not do: the archive holds letters of other runs, and retention deletes some.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reader: TopicReader | None = None
        self._asked: Settings | None = None

    def __call__(self, engine: Engine) -> bool:
        settings = self._settings()
        topic = settings.topic("dead-letters")
        rows = read_ledger(engine, topic)
        try:
            reader = self._reader_of(settings)
            return bool(rows) and all(_is_read(reader, topic, row.partition, row.next_offset or 0) for row in rows)
        except (KafkaError, NewstideError, OSError) as error:
            log.debug("the end of %s is not known: %s", topic, error)
            return False

    def close(self) -> None:
        """Leave the brokers."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _reader_of(self, settings: Settings) -> TopicReader:
        if self._reader is None or self._asked is not settings:
            self.close()
            self._reader, self._asked = TopicReader(settings), settings
        return self._reader


def _is_read(reader: TopicReader, topic: str, partition: int, next_offset: int) -> bool:
    found = reader.probe(topic, partition, next_offset)
    return found is not None and not found.refused and found.end is not None and found.next_offset >= found.end
