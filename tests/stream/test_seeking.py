"""Where a worker reads on, of what the ledger, its group and the log say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Place
from faust.types import TP
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from sqlalchemy import Engine

from core.epochs import Reconciler
from core.kafka import client_options, ensure_topics
from core.settings import Settings
from core.store.connection import connect
from core.topics import TopicReader
from core.worker_group import begin_group, read_group
from stream.faust_app import seek_all
from stream.progress import ReadFrom, find_positions
from tests.stream.harness import needs_kafka

RECORDS = 30  # in each of the four partitions

on_kafka = pytest.mark.parametrize(
    "bootstrap_servers", [pytest.param("kafka", marks=[pytest.mark.kafka, needs_kafka])], indirect=True
)


@pytest.fixture
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Of brokers that have records in all partitions."""
    ensure_topics(settings)
    producer = KafkaProducer(**client_options(settings))
    for number in range(RECORDS * 4):
        producer.send(settings.topic("messages"), value=b"%d" % number, partition=number % 4)
    producer.flush()
    producer.close()
    read_group(settings)  # waits for the group's coordinator
    client = KafkaAdminClient(**client_options(settings))
    yield client
    client.close()


def seek(settings: Settings, ledger: Mapping[int, ReadFrom]) -> dict[int, int]:
    """Offsets at which a worker's consumer stands, by partition, once it was told of the ledger."""

    async def seek_and_tell() -> dict[int, int]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap_servers,
            group_id=settings.worker_group,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            places = {partition: TP(settings.topic("messages"), partition) for partition in ledger}
            consumer.assign([Place(*place) for place in places.values()])
            told = await seek_all(consumer, {place: ledger[place.partition] for place in places.values()})
            found = {place.partition: await consumer.position(Place(*place)) for place in places.values()}
            assert {place.partition: offset for place, offset in told.items()} == found
            return found
        finally:
            await consumer.stop()

    return asyncio.run(seek_and_tell())


def commit(admin: KafkaAdminClient, settings: Settings, offsets: Mapping[int, int]) -> None:
    """What workers have committed before."""
    topic = settings.topic("messages")
    places = {TopicPartition(topic, partition): OffsetAndMetadata(offset) for partition, offset in offsets.items()}
    admin.alter_group_offsets(settings.worker_group, places)


def committed(admin: KafkaAdminClient, settings: Settings) -> dict[int, int]:
    """The group's offsets by partition."""
    found = admin.list_group_offsets({settings.worker_group: None})[settings.worker_group]
    return {place.partition: offset.offset for place, offset in found.items() if offset.offset >= 0}


def test_the_group_follows_the_ledger_and_holds_back_what_is_not_published(
    admin: KafkaAdminClient, settings: Settings
) -> None:
    """No offset yet; one behind the ledger; one that is ahead of it, as where a log was cut."""
    commit(admin, settings, {1: 5, 2: 25})
    assert seek(settings, dict.fromkeys(range(3), ReadFrom(1, 20, 0))) == {0: 20, 1: 5, 2: 20}
    assert committed(admin, settings) == {0: 20, 1: 5, 2: 20}
    # Killed before they committed an offset of their own, workers publish what they had stored.
    assert seek(settings, dict.fromkeys(range(3), ReadFrom(1, 28, 0))) == {0: 20, 1: 5, 2: 20}


@on_kafka  # the embedded broker keeps no marks; nor does it lose offsets without the records
def test_where_the_group_lost_its_offsets_those_for_autoscalers_read_nothing_again(
    admin: KafkaAdminClient, settings: Settings
) -> None:
    assert begin_group(settings).without == []
    assert committed(admin, settings) == dict.fromkeys(range(4), 0)
    assert seek(settings, dict.fromkeys(range(4), ReadFrom(1, 20, 0))) == dict.fromkeys(range(4), 20)
    assert committed(admin, settings) == dict.fromkeys(range(4), 20)
    assert seek(settings, dict.fromkeys(range(4), ReadFrom(1, 28, 0))) == dict.fromkeys(range(4), 20)


def test_a_first_worker_whose_group_began_at_the_start_publishes_what_it_had_stored(
    admin: KafkaAdminClient, settings: Settings
) -> None:
    """The mark is gone once the worker has committed the same offset itself."""
    begin_group(settings)
    assert seek(settings, {0: ReadFrom(1, 0, 0)}) == {0: 0}
    assert seek(settings, {0: ReadFrom(1, 20, 0)}) == {0: 0}


@on_kafka
def test_nothing_is_read_below_the_start_of_the_log(
    admin: KafkaAdminClient, settings: Settings, engine: Engine
) -> None:
    """Workers were away for longer than Kafka keeps records; of one partition it keeps all that was not published."""
    topic = settings.topic("messages")
    reconciler = Reconciler(engine, TopicReader(settings), settings)
    find_positions(reconciler)
    with connect(settings, autocommit=True) as connection:
        connection.execute("UPDATE offset_ledger SET next_offset = 15 WHERE topic = %s", [topic])
    commit(admin, settings, {0: 10, 1: 10, 2: 10})
    admin.delete_records({TopicPartition(topic, 0): 20, TopicPartition(topic, 1): 12})
    found = find_positions(reconciler)
    reconciler.reader.close()
    ledger = {partition: found[topic, partition] for partition in range(3)}
    assert ledger == {0: ReadFrom(1, 20, 20), 1: ReadFrom(1, 15, 12), 2: ReadFrom(1, 15, 0)}
    assert seek(settings, ledger) == committed(admin, settings) == {0: 20, 1: 12, 2: 10}
