"""The workers' consumer group as the brokers keep it: whether every partition has a committed offset.

Autoscalers need one: a partition without one looks to them like one that nobody reads. Workers need none: they read on
where the ledger in Postgres stands, or at their group's offset where that is behind, because what lies between the two
may not be published yet. So an offset that stands in the place of none bears a mark, by which they know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import OffsetSpec
from kafka.structs import OffsetAndMetadata

from core.kafka import TopicError, connect_admin
from core.settings import Settings

START_MARK = "newstide: no worker has committed yet"
"""Metadata of an offset that no worker has committed: the start of the log, for autoscalers."""

_IDLE = ("Empty", "Dead")
_PATIENCE_S = 20.0  # a new cluster makes the topic of offsets with the first question
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """What the brokers know: missing topics by full name, partitions of `messages` without an offset, members."""

    missing: list[str]
    without: list[int]
    active: bool

    def fault(self) -> str | None:
        """Why workers should wait, None if they need not. Those that run commit what they read themselves."""
        if self.missing:
            return f"there is no topic {', '.join(self.missing)}"
        if self.without and not self.active:
            return f"partitions {', '.join(map(str, self.without))} have no committed offset yet"
        return None


def read_group(settings: Settings) -> GroupOffsets:
    """Ask the brokers. Raises BrokerUnreachable, and TopicError with the broker's reason."""
    return _asked(settings, lambda admin: _read(admin, settings))


def begin_group(settings: Settings) -> GroupOffsets:
    """Commit the start of the log, marked, where the group has no offset yet, and say how things stand after that.

    Brokers let nobody do so for a group that has members. Raises BrokerUnreachable, and TopicError.
    """
    topic = settings.topic("messages")

    def begin(admin: KafkaAdminClient) -> GroupOffsets:
        found = _read(admin, settings)
        if found.missing or not found.without or found.active:
            return found
        starts = admin.list_partition_offsets(
            {TopicPartition(topic, partition): OffsetSpec.EARLIEST for partition in found.without}
        )
        marked = {place: OffsetAndMetadata(start.offset, START_MARK) for place, start in starts.items()}
        admin.alter_group_offsets(settings.worker_group, marked)
        return _read(admin, settings)

    return _asked(settings, begin)


def _read(admin: KafkaAdminClient, settings: Settings) -> GroupOffsets:
    group, messages = settings.worker_group, settings.topic("messages")
    needed = [settings.topic(name) for name in ("messages", "classified", "alerts", "dead-letters")]
    present = set(admin.list_topics())
    if missing := [name for name in needed if name not in present]:
        return GroupOffsets(missing, [], False)
    [described] = admin.describe_topics([messages])
    places = [TopicPartition(messages, int(part["partition_index"])) for part in described["partitions"]]
    committed = admin.list_group_offsets({group: places})[group]
    without = sorted(place.partition for place in places if place not in committed or committed[place].offset < 0)
    states = {each["group_id"]: each.get("group_state") for each in admin.list_groups()}
    return GroupOffsets([], without, group in states and states[group] not in _IDLE)


def _asked(settings: Settings, question: Callable[[KafkaAdminClient], GroupOffsets]) -> GroupOffsets:
    admin = connect_admin(settings)
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                return question(admin)
            except kafka_errors.KafkaError as error:
                if error.retriable and time.monotonic() < deadline:
                    time.sleep(_PAUSE_S)
                    continue
                raise TopicError(
                    f"the brokers don't say where the group `{settings.worker_group}` stands: {error}; the Kafka user "
                    "needs to describe the topics, and to describe and read the group"
                ) from error
    finally:
        admin.close()
