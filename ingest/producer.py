"""The Kafka side of ingest: one idempotent producer for messages and dead letters, shared by all threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from core import metrics
from core.dead_letters import DeadLetter
from core.errors import BrokerUnreachable, NewstideError
from core.health import Beat
from core.kafka import client_options, open_client
from core.records import SCHEMA_HEADER, SCHEMA_VERSION, Message, encode
from core.settings import Settings

log = logging.getLogger(__name__)

DELIVERY_TIMEOUT_S = 120.0
_CLOSE_S = 5.0
_BATCH_BYTES = 128 * 1024
_HEADERS = [(SCHEMA_HEADER, SCHEMA_VERSION)]


class DeliveryFailed(NewstideError):
    """Kafka did not acknowledge a record in time; nothing behind it counts as ingested. Try again once it answers."""


class MessageProducer:
    """Sends messages and dead letters; thread-safe.

    A record counts as ingested once its future succeeds: all in-sync replicas have it, and each once per send.
    After a failed delivery the connection is made anew, since an idempotent producer may not recover from one.
    `delivery` notes how deliveries go.
    Raises BrokerUnreachable if no broker answers when it connects.
    """

    def __init__(
        self, settings: Settings, *, delivery_timeout_s: float = DELIVERY_TIMEOUT_S, delivery: Beat | None = None
    ) -> None:
        self.messages_topic = settings.topic("messages")
        self.dead_letters_topic = settings.topic("dead-letters")
        self._settings = settings
        self._delivery_timeout_s = delivery_timeout_s
        self._lock = threading.Lock()
        self._failed = False
        self._delivery = delivery or Beat()
        self._kafka = self._connect()
        self._delivery.good()

    def send(self, message: Message) -> Any:
        """Queue `message`; the returned kafka-python future holds its partition and offset once acknowledged."""
        for mark in message.marks:
            metrics.MARKED.labels(mark).inc()
        return self._send(self.messages_topic, message.id.encode(), encode(message), _HEADERS)

    def send_dead_letter(self, letter: DeadLetter) -> Any:
        """Queue `letter` for the `dead-letters` topic."""
        return self._send(self.dead_letters_topic, letter.key, letter.value or b"", letter.headers())

    def send_raw(self, topic: str, key: bytes | None, value: bytes) -> Any:
        """Queue a record as it stands, for any topic."""
        return self._send(topic, key, value, [])

    def deliver(
        self, messages: Iterable[Message], letters: Iterable[DeadLetter] = (), *, timeout_s: float
    ) -> dict[TopicPartition, int]:
        """Send all; once Kafka acknowledged every one, the offset after the last record of each partition.

        Raises DeliveryFailed otherwise; some may have arrived, so the caller sends all of them again.
        """
        deadline = time.monotonic() + timeout_s
        messages = list(messages)
        futures = [self.send(message) for message in messages]
        futures += [self.send_dead_letter(letter) for letter in letters]
        acknowledged = [self.wait(future, max(0.0, deadline - time.monotonic())) for future in futures]
        for message in messages:
            count_ingested(message.source, message.kind, 1)
        ends: dict[TopicPartition, int] = {}
        for metadata in acknowledged:
            place = TopicPartition(metadata.topic, metadata.partition)
            ends[place] = max(metadata.offset + 1, ends.get(place, 0))
        return ends

    def wait(self, future: Any, timeout_s: float | None = None) -> Any:
        """The metadata (partition, offset) of the acknowledged record behind `future`. Raises DeliveryFailed."""
        try:
            metadata = future.get(timeout=self._delivery_timeout_s + _CLOSE_S if timeout_s is None else timeout_s)
        except kafka_errors.KafkaError as error:
            self._failed = self._failed or future.is_done
            raise self._failure(error) from error
        self._delivery.good()
        return metadata

    def close(self, timeout_s: float = 30.0) -> None:
        """Send what is queued, then disconnect."""
        self._kafka.close(timeout=timeout_s)

    def _send(self, topic: str, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]) -> Any:
        if self._failed:
            self._reconnect()
        try:
            return self._kafka.send(topic, value=value, key=key, headers=headers)
        except kafka_errors.KafkaError as error:
            self._failed = True
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> DeliveryFailed:
        self._delivery.bad(f"the last delivery failed: {type(error).__name__}")
        return DeliveryFailed(
            f"Kafka at {self._settings.kafka.bootstrap_servers} did not acknowledge a record "
            f"({type(error).__name__}: {error}); check the brokers, then send again: duplicates are recognised by id"
        )

    def _reconnect(self) -> None:
        with self._lock:
            if not self._failed:
                return
            log.warning("a delivery to Kafka failed; connecting anew")
            self._kafka.close(timeout=_CLOSE_S)
            self._kafka = self._connect()
            self._failed = False

    def _connect(self) -> KafkaProducer:
        timeout_ms = int(self._delivery_timeout_s * 1000)
        linger_ms = self._settings.ingest.linger_ms
        try:
            return open_client(
                KafkaProducer,
                **client_options(self._settings),
                acks="all",
                enable_idempotence=True,
                linger_ms=linger_ms,
                batch_size=_BATCH_BYTES,
                delivery_timeout_ms=timeout_ms,
                request_timeout_ms=max(1, min(30_000, timeout_ms - linger_ms)),
                max_block_ms=timeout_ms,
                bootstrap_timeout_ms=min(30_000, timeout_ms),
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        except (kafka_errors.KafkaError, OSError, ValueError) as error:
            raise BrokerUnreachable(
                f"no Kafka broker answers at {self._settings.kafka.bootstrap_servers}: {error}; "
                "check the address, the network and the credentials"
            ) from error


def count_ingested(source: str, kind: str, count: int) -> None:
    """Add to the metric of acknowledged messages."""
    metrics.INGESTED.labels(metrics.source_label(source), kind).inc(count)
