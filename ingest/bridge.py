"""The bridge: records of an existing Kafka topic, JSON of another shape, become messages."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

from core import metrics
from core.dead_letters import dead_letter
from core.errors import BrokerUnreachable, InputError, UndecodableMessage
from core.kafka import client_options, open_client
from core.records import Kind
from core.settings import Settings
from ingest.mapping import FieldMap
from ingest.producer import DeliveryFailed, MessageProducer
from ingest.record_values import read_record
from ingest.reread import reading_context
from ingest.times import PLAIN
from ingest.transform import transform
from ingest.window import AckWindow
from ingest.written_times import TimeFormat

log = logging.getLogger(__name__)

_POLL_MS = 500
_COMMIT_EVERY_S = 1.0
_LOOK_EVERY_S = 0.02
_METADATA_AGE_MS = 30_000  # how soon a partition that was added, or a topic that the brokers had not told of, is read
_FEW_RECORDS = 1_000


class BridgeSummary(msgspec.Struct, kw_only=True):
    """What a bridge did; `marks` and `end_offsets` as in a replay. `tombstones`: deletion marks, which say nothing."""

    topic: str
    read: int
    produced: int
    dead_letters: int
    tombstones: int
    marks: dict[str, int]
    end_offsets: dict[int, int]
    seconds: float


def bridge(
    settings: Settings,
    producer: MessageProducer,
    topic: str,
    fields: FieldMap,
    *,
    source: str = "",
    kind: Kind = "news",
    times: TimeFormat = PLAIN,
    group: str = "",
    until_idle_s: float | None = None,
    stop: threading.Event | None = None,
) -> BridgeSummary:
    """Consume `topic` in its own consumer group until `stop` is set, or nothing came for `until_idle_s` seconds.

    A record's offset is committed only once Kafka acknowledged what became of it, so a crash repeats records (known
    again by their id) and loses none. Bridges of one group share the topic's partitions; they may come and go. Raises
    InputError for a topic that can't be bridged, BrokerUnreachable, and DeliveryFailed if Kafka stops acknowledging.
    """
    if topic == producer.messages_topic:
        raise InputError(f"topic `{topic}` is newstide's own; a bridge from it to itself would never end")
    if not source and not any(rule.target == "source" for rule in fields.rules):
        raise InputError("a bridge needs the name of its source: --source NAME, or a column in --map source=COLUMN")
    started = time.monotonic()
    run = _Bridge(producer, fields, source, kind, times)
    consumer = _consumer(settings, topic, group or f"{settings.kafka.topic_prefix}bridge.{topic}")
    listener = _DrainBeforeLeaving(run, consumer)
    try:
        if topic not in consumer.topics():
            raise InputError(f"topic `{topic}` does not exist at {settings.kafka.bootstrap_servers}; check its name")
        consumer.subscribe([topic], listener=listener)
        _consume(consumer, run, listener, until_idle_s, stop or threading.Event())
        _settle(consumer, run, listener, settings.stream.session_timeout_s)
        run.window.drain()
        run.commit(consumer)
    except kafka_errors.KafkaError as error:
        raise BrokerUnreachable(f"topic `{topic}` can't be consumed: {error}; check the brokers") from error
    finally:
        consumer.close(autocommit=False)
    return BridgeSummary(
        topic=topic,
        read=run.read,
        produced=run.window.produced,
        dead_letters=run.window.dead_letters,
        tombstones=run.tombstones,
        marks=dict(sorted(run.window.marks.items())),
        end_offsets=dict(sorted(run.window.end_offsets.items())),
        seconds=round(time.monotonic() - started, 3),
    )


def _consume(
    consumer: KafkaConsumer,
    run: _Bridge,
    listener: _DrainBeforeLeaving,
    until_idle_s: float | None,
    stop: threading.Event,
) -> None:
    last_record = last_commit = time.monotonic()
    while not stop.is_set():
        polled = _poll(consumer, run)
        run.window.reap()
        now = time.monotonic()
        if polled or listener.rebalancing:
            # Silence counts only once the group has given this bridge its partitions, which may take seconds; a spare
            # one is given none.
            last_record = now
        if now - last_commit >= _COMMIT_EVERY_S:
            last_commit = now
            run.commit(consumer)
        if until_idle_s is not None and now - last_record >= until_idle_s:
            return


def _settle(consumer: KafkaConsumer, run: _Bridge, listener: _DrainBeforeLeaving, within_s: float) -> None:
    """See a rebalance through before leaving the group.

    The request to leave would wait behind the request to join, on the same connection: the group counts with this
    bridge, perhaps as its leader, and what it is given waits for its session to end.
    """
    deadline = time.monotonic() + within_s
    while listener.rebalancing and time.monotonic() < deadline:
        _poll(consumer, run)


def _poll(consumer: KafkaConsumer, run: _Bridge) -> bool:
    """Pass on what came; whether anything did."""
    polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_FEW_RECORDS)
    for records in polled.values():
        for record in records:
            run.pass_on(record)
    return bool(polled)


class _Bridge:
    """The records under way, and which offsets of the foreign topic are safe to commit."""

    def __init__(self, producer: MessageProducer, fields: FieldMap, source: str, kind: Kind, times: TimeFormat) -> None:
        self.window: AckWindow[tuple[TopicPartition, int, int]] = AckWindow(
            producer, on_acknowledged=self._acknowledged
        )
        self.read = 0
        self.tombstones = 0
        self._producer = producer
        self._fields = fields
        self._source = source
        self._kind = kind
        self._times = {"published_at": times, "received_at": times}
        self._context = reading_context("record", fields, source=source, kind=kind, times=times)
        self._assignment = 0  # counts rebalances
        self._done: dict[TopicPartition, int] = {}

    def pass_on(self, record: Any) -> None:
        """Send what `record` becomes: a message or a dead letter; nothing for a tombstone."""
        self.read += 1
        position = (TopicPartition(record.topic, record.partition), record.offset + 1, self._assignment)
        if record.value is None:
            self.tombstones += 1
            metrics.BRIDGE_TOMBSTONES.inc()
            self.window.skip(position)
            return
        try:
            message = transform(
                read_record(record.value), self._fields, source=self._source, kind=self._kind, times=self._times
            )
        except UndecodableMessage as error:
            letter = dead_letter(
                record.value,
                str(error),
                key=record.key,
                origin=f"{record.topic}/{record.partition}/{record.offset}",
                stage="ingest",
                topic=record.topic,
                context=self._context,
            )
            self.window.reject(position, letter, self._source)
        else:
            self.window.send(position, message)

    def commit(self, consumer: KafkaConsumer) -> None:
        """Commit the acknowledged offsets."""
        offsets = self.acknowledged()
        if not offsets:
            return
        try:
            consumer.commit(offsets)
        except (kafka_errors.CommitFailedError, kafka_errors.RebalanceInProgressError) as error:
            log.warning("the bridge's partitions moved before a commit (%s); some records will be read again", error)

    def acknowledged(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """What is to be committed since the last call."""
        offsets = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in self._done.items()}
        self._done.clear()
        return offsets

    def leave(self) -> None:
        """The partitions are no longer ours: what is still under way of them commits nothing any more."""
        self._assignment += 1
        self._done.clear()

    def _acknowledged(self, position: tuple[TopicPartition, int, int]) -> None:
        partition, offset, assignment = position
        if assignment == self._assignment:
            self._done[partition] = offset


class _DrainBeforeLeaving(AsyncConsumerRebalanceListener):
    """Commits what is under way before partitions go to another bridge.

    It runs on the consumer's own thread, which also tells the group that this bridge is alive, while the bridge waits
    in `poll`: here nothing may block, and the blocking `commit` is refused.
    """

    def __init__(self, run: _Bridge, consumer: KafkaConsumer) -> None:
        self.rebalancing = True  # until the group has given this bridge its partitions for the first time
        self._run = run
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.rebalancing = True
        try:
            await self._drain()
            if offsets := self._run.acknowledged():
                await self._commit(offsets)
        except (DeliveryFailed, kafka_errors.KafkaError) as error:
            # The group goes on. A failed delivery ends the bridge as soon as it looks at its window again.
            log.warning("the bridge's partitions go before all is committed (%s); some will be read again", error)
        self._run.leave()
        # Partitions that come back may have been read by another bridge meanwhile. The consumer would go on at the
        # position it remembers; of partitions that it forgot it asks the group.
        self._consumer._subscription.assign_from_subscribed([])

    async def on_partitions_lost(self, lost: Any) -> None:
        """They belong to another bridge already, whose offsets a commit would set back."""
        self.rebalancing = True
        if lost:
            log.warning("the group went on without this bridge; what it had not committed will be read again")
        self._run.leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Positions come from the group's commits."""
        self.rebalancing = False

    async def _drain(self) -> None:
        self._run.window.reap()
        while len(self._run.window):
            await self._consumer._net.sleep(_LOOK_EVERY_S)  # a coroutine of that thread has no public way to wait
            self._run.window.reap()

    async def _commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        # Where the coordinator is not known, `commit_async` gives the future of looking it up: the commit itself comes
        # after this bridge has left, and fails unseen. Who waits longer than a session is no member any more.
        within_ms = self._consumer.config["session_timeout_ms"]
        if not await self._consumer._coordinator.ensure_coordinator_ready_async(within_ms):
            raise kafka_errors.KafkaTimeoutError(f"no coordinator of the group was found within {within_ms} ms")
        await self._consumer.commit_async(offsets)


def _consumer(settings: Settings, topic: str, group: str) -> KafkaConsumer:
    try:
        return open_client(
            KafkaConsumer,
            **client_options(settings),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metrics_enabled=False,
            metadata_max_age_ms=_METADATA_AGE_MS,
            session_timeout_ms=int(settings.stream.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.stream.session_timeout_s * 1000 / 3),
        )
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        raise BrokerUnreachable(
            f"no Kafka broker answers at {settings.kafka.bootstrap_servers} for topic `{topic}`: {error}; "
            "check the address and the network"
        ) from error
