"""What a worker tells the ledger and learns from it between batches: ends of partitions, and its lag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from core.kafka import client_options
from core.settings import Settings
from core.store.sql import load_queries

log = logging.getLogger(__name__)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

Connect = Callable[[], psycopg.Connection[Any]]


class EndOffsets:
    """Notes in the ledger how far each partition reaches, so that alerting can tell a quiet one from one behind."""

    def __init__(self, topic: str, connect: Connect) -> None:
        self._topic = topic
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._noted: dict[int, int] = {}

    def note(self, ends: Mapping[int, int]) -> None:
        """Write the `ends` that changed. A database that is away is tried at the next call."""
        changed = {partition: end for partition, end in ends.items() if self._noted.get(partition) != end}
        if not changed:
            return
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            self._connection.execute(
                _SQL["note_end_offsets"],
                {"topic": self._topic, "partition": list(changed), "end_offset": list(changed.values())},
            )
            self._noted.update(changed)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            log.debug("end offsets not noted: %s", error)
            if self._connection is not None:
                self._connection.close()


class Lag:
    """Lag as seen from outside the worker's own consumer, which is what is suspected when it stalls."""

    def __init__(self, settings: Settings, connect: Connect) -> None:
        self._settings = settings
        self._topic = settings.topic("messages")
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._consumer: KafkaConsumer | None = None

    def read(self, partitions: Sequence[int]) -> dict[int, int] | None:
        """Records behind, by partition; None while the brokers or the database do not answer."""
        if not partitions:
            return {}
        try:
            ends = self._ends(partitions)
            reached = self._reached()
        except (psycopg.OperationalError, psycopg.InterfaceError, KafkaError) as error:
            log.debug("lag unknown: %s", error)
            self.close()
            return None
        return {partition: max(end - (reached.get(partition) or 0), 0) for partition, end in ends.items()}

    def close(self) -> None:
        """Close both connections; the next read opens them again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._consumer is not None:
            self._consumer.close(autocommit=False)
            self._consumer = None

    def _ends(self, partitions: Sequence[int]) -> dict[int, int]:
        if self._consumer is None:
            self._consumer = KafkaConsumer(
                **client_options(self._settings), enable_auto_commit=False, request_timeout_ms=5_000
            )
        found = self._consumer.end_offsets([TopicPartition(self._topic, partition) for partition in partitions])
        return {tp.partition: end for tp, end in found.items()}

    def _reached(self) -> dict[int, int | None]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        rows = self._connection.execute(
            "SELECT partition, next_offset FROM offset_ledger WHERE topic = %s", (self._topic,)
        )
        return dict(rows.fetchall())
