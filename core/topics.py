"""What the brokers say about a topic: its id, its partitions, and which offsets their logs hold.

On its own connections, apart from whatever reads the records: the ledger is checked against this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from core.kafka import client_options, open_client
from core.settings import Settings

_NO_ID = "00000000-0000-0000-0000-000000000000"
_CONNECT_MS = 5_000
_REQUEST_MS = 5_000
_FETCH_WAIT_MS = 200
_PROBE_S = 2.0  # an answer comes within one fetch; a slow broker is asked again at the next look
_ANSWER_S = 45.0  # of several requests, each of which may have to connect first
_CLOSE_S = 10.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class LogRange:
    """Offsets of a partition's log: the first it holds, and the one after its last (a lower bound, on some brokers)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicLogs:
    """A topic as the brokers know it. `topic_id` is None where they give topics no ids."""

    topic_id: str | None
    partitions: Mapping[int, LogRange]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a read at an offset found.

    `refused`: the log does not reach that offset. Else `next_offset` is that of the first record there, or where the
    next one will stand; `end` is the partition's high watermark.
    """

    refused: bool
    next_offset: int
    end: int | None


class TopicReader:
    """Asks the brokers about topics. Connects when first asked; not thread-safe. Every method raises KafkaError.

    kafka-python waits without limit for some answers. So a question is asked in a thread of its own: one that takes too
    long is left to itself, with its connections, and is a KafkaTimeoutError.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = _Connections(settings)

    def read(self, topic: str) -> TopicLogs | None:
        """The topic of that full name, or None if there is none."""
        connections = self._connections
        return self._within(_ANSWER_S, lambda: connections.read(topic))

    def probe(self, topic: str, partition: int, offset: int) -> Probe | None:
        """Try to read at `offset`. None if the broker did not answer in time."""
        connections = self._connections
        return self._within(_ANSWER_S, lambda: connections.probe(TopicPartition(topic, partition), offset))

    def offsets(self, topic: str, partition: int, start: int, stop: int) -> Iterator[int]:
        """Offsets from `start` up to, not including, `stop` at which the log holds a record, in order.

        Raises KafkaTimeoutError if the brokers do not give a record at or behind `stop` in time: then nothing is known.
        """
        return self._connections.offsets(TopicPartition(topic, partition), start, stop)

    def close(self) -> None:
        """Close the connections; the next question opens them again."""
        with suppress(kafka_errors.KafkaTimeoutError):
            self._within(_CLOSE_S, self._connections.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _within(self, seconds: float, question: Callable[[], Answer]) -> Answer:
        answer: Future[Answer] = Future()

        def ask() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="topic reader", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError as error:
            if answer.done():
                raise
            self._connections = _Connections(self._settings)
            raise kafka_errors.KafkaTimeoutError(f"the brokers did not answer within {seconds:g} s") from error


class _Connections:
    """Those of one TopicReader, until one of them hangs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None

    def read(self, topic: str) -> TopicLogs | None:
        with self._connection_kept():
            found = self._describe(topic)
            if found is None:
                return None
            numbers = [int(partition["partition_index"]) for partition in found["partitions"]]
            places = [TopicPartition(topic, number) for number in numbers]
            consumer = self._connected()
            starts, ends = _ask(consumer.beginning_offsets, places), _ask(consumer.end_offsets, places)
            topic_id = str(found.get("topic_id") or _NO_ID)
            return TopicLogs(
                None if topic_id == _NO_ID else topic_id,
                {place.partition: LogRange(starts[place], ends[place]) for place in places},
            )

    def probe(self, place: TopicPartition, offset: int) -> Probe | None:
        with self._connection_kept():
            consumer = self._assigned(place)
            consumer.seek(place, offset)
            deadline = time.monotonic() + _PROBE_S
            while time.monotonic() < deadline:
                try:
                    records = consumer.poll(_FETCH_WAIT_MS * 2, max_records=1).get(place)
                except kafka_errors.OffsetOutOfRangeError:
                    return Probe(True, offset, None)
                end = consumer.highwater(place)
                if records:
                    return Probe(False, records[0].offset, end)
                if end is not None:
                    # Past deleted records and transaction markers the position moves without a record.
                    return Probe(False, consumer.position(place), end)
            # Nor is one that stays silent: after a restart of the broker a consumer may wait for an answer that is
            # lost, and asks for nothing as long as it does.
            self.close()
        return None

    def offsets(self, place: TopicPartition, start: int, stop: int) -> Iterator[int]:
        with self._connection_kept():
            consumer = self._assigned(place)
            try:
                first = _ask(consumer.beginning_offsets, [place])[place]
                consumer.seek(place, max(start, first))
                deadline = time.monotonic() + _REQUEST_MS / 1000
                while consumer.position(place) < stop:
                    for record in consumer.poll(_FETCH_WAIT_MS * 2).get(place, ()):
                        if record.offset >= stop:
                            return
                        yield record.offset
                        deadline = time.monotonic() + _REQUEST_MS / 1000
                    if time.monotonic() > deadline:
                        raise kafka_errors.KafkaTimeoutError(
                            f"partition {place.partition} of {place.topic} gave no record behind offset "
                            f"{consumer.position(place)}"
                        )
            except kafka_errors.OffsetOutOfRangeError:
                return

    def close(self) -> None:
        admin, self._admin = self._admin, None
        consumer, self._consumer = self._consumer, None
        if admin is not None:
            admin.close()
        if consumer is not None:
            consumer.close(autocommit=False)

    def _describe(self, topic: str) -> dict[str, Any] | None:
        if self._admin is None:
            options = client_options(self._settings)
            self._admin = open_client(KafkaAdminClient, **options, bootstrap_timeout_ms=_CONNECT_MS)
        found: list[dict[str, Any]] = self._admin.describe_topics([topic])
        return found[0] if found and not found[0].get("error_code") else None

    def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = open_client(
                KafkaConsumer,
                **client_options(self._settings),
                enable_auto_commit=False,
                auto_offset_reset="none",
                request_timeout_ms=_REQUEST_MS,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
                allow_auto_create_topics=False,
            )
        return self._consumer

    def _assigned(self, place: TopicPartition) -> KafkaConsumer:
        consumer = self._connected()
        consumer.unsubscribe()  # forgets what an earlier read of the same partition has found
        consumer.assign([place])
        return consumer

    @contextmanager
    def _connection_kept(self) -> Iterator[None]:
        """A connection that failed once is not trusted again."""
        try:
            yield
        except (kafka_errors.KafkaError, OSError):
            self.close()
            raise


def _ask(
    question: Callable[[Sequence[TopicPartition]], dict[TopicPartition, int]], places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    try:
        return question(places)
    except KeyError as error:  # kafka-python has not heard yet of a partition that was added just now
        raise kafka_errors.UnknownTopicOrPartitionError(f"{error} is new") from error
