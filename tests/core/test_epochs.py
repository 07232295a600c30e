"""The ledger against the logs of a real broker: what is opened, begun anew, closed, and skipped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaTimeoutError
from sqlalchemy import Engine, text

from core.epochs import Reconciler
from core.kafka import client_options, ensure_topics
from core.settings import Settings, load_settings
from core.store.ledger import end_replay, read_epochs, read_ledger, skip_offsets
from core.store.replays import begin_replay
from core.topics import Probe, TopicReader
from newstide.embedded.broker import EmbeddedBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path) as started:
        yield started


@pytest.fixture
def settings(broker: EmbeddedBroker, database_url: str, tmp_path: Path) -> Settings:
    return load_settings(
        kafka={"bootstrap_servers": broker.bootstrap_servers, "partitions": 3},
        database={"url": database_url},
        embedded={"directory": tmp_path},
    )


@pytest.fixture
def reader(settings: Settings) -> Iterator[TopicReader]:
    with TopicReader(settings) as opened:
        yield opened


@pytest.fixture
def reconciler(engine: Engine, reader: TopicReader, settings: Settings) -> Reconciler:
    return Reconciler(engine, reader, settings)


def fill(settings: Settings, *counts: int) -> None:
    """Put so many records into partitions 0, 1, ..."""
    producer = KafkaProducer(**client_options(settings), acks="all")
    for partition, count in enumerate(counts):
        for number in range(count):
            producer.send(settings.topic("messages"), key=b"k", value=b"%d" % number, partition=partition)
    producer.flush()
    producer.close()


def recreate(settings: Settings, partitions: int) -> None:
    admin = KafkaAdminClient(**client_options(settings))
    topic = settings.topic("messages")
    admin.delete_topics([topic])
    admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1}})
    admin.wait_for_topics([topic], timeout_ms=30_000)
    admin.close()


def commit(engine: Engine, *next_offsets: int) -> None:
    with engine.begin() as connection:
        for partition, offset in enumerate(next_offsets):
            connection.execute(
                text("UPDATE offset_ledger SET next_offset = :offset, messages = :offset, max_event_time = now() "
                     "WHERE topic LIKE '%messages' AND partition = :partition"),
                {"offset": offset, "partition": partition},
            )  # fmt: skip


def test_what_the_broker_says_of_a_topic(settings: Settings, reader: TopicReader) -> None:
    assert reader.read(settings.topic("messages")) is None
    ensure_topics(settings)
    fill(settings, 5, 0, 2)
    logs = reader.read(settings.topic("messages"))
    assert logs is not None
    assert logs.topic_id
    assert {partition: span.start for partition, span in logs.partitions.items()} == {0: 0, 1: 0, 2: 0}
    topic = settings.topic("messages")
    assert reader.probe(topic, 0, 3) == Probe(False, 3, 5)
    assert reader.probe(topic, 0, 5) == Probe(False, 5, 5)
    assert reader.probe(topic, 1, 0) == Probe(False, 0, 0)
    assert list(reader.offsets(topic, 0, 1, 4)) == [1, 2, 3]
    recreate(settings, 3)
    again = reader.read(settings.topic("messages"))
    assert again is not None
    assert again.topic_id != logs.topic_id


def test_a_consumer_that_stays_silent_is_not_asked_again(
    settings: Settings, reader: TopicReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the broker, when it waits for an answer that went with the old one."""
    ensure_topics(settings)
    fill(settings, 1, 0, 0)
    poll = KafkaConsumer.poll
    consumers: list[KafkaConsumer] = []

    def silent(consumer: KafkaConsumer, *args: Any, **options: Any) -> Any:
        consumers.append(consumer)
        return poll(consumer, *args, **options) if consumer is not consumers[0] else {}

    monkeypatch.setattr(KafkaConsumer, "poll", silent)
    monkeypatch.setattr("core.topics._PROBE_S", 0.3)
    topic = settings.topic("messages")
    assert reader.probe(topic, 0, 0) is None
    monkeypatch.setattr("core.topics._PROBE_S", 10.0)
    assert reader.probe(topic, 0, 0) == Probe(False, 0, 1)
    assert len({id(consumer) for consumer in consumers}) == 2


def test_a_client_that_never_answers_is_left_to_itself(
    settings: Settings, reader: TopicReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(settings)
    topic, never, describe = settings.topic("messages"), threading.Event(), KafkaAdminClient.describe_topics
    clients: list[KafkaAdminClient] = []

    def hang(client: KafkaAdminClient, topics: list[str]) -> Any:
        clients.append(client)
        if len(clients) == 1:
            never.wait()
        return describe(client, topics)

    monkeypatch.setattr(KafkaAdminClient, "describe_topics", hang)
    monkeypatch.setattr("core.topics._ANSWER_S", 0.5)
    with pytest.raises(KafkaTimeoutError, match=r"within 0\.5 s"):
        reader.read(topic)
    monkeypatch.undo()
    found = reader.read(topic)
    never.set()
    assert found is not None
    assert len(found.partitions) == 3
    clients[0].close()


def test_rows_open_at_the_start_of_the_log_and_stay(settings: Settings, engine: Engine, reconciler: Reconciler) -> None:
    topic = settings.topic("messages")
    assert reconciler.reconcile() == []
    ensure_topics(settings)
    fill(settings, 4, 4, 0)
    assert {change.action for change in reconciler.reconcile()} == {"open"}
    rows = read_ledger(engine, topic)
    assert [(row.partition, row.epoch, row.first_offset, row.next_offset) for row in rows] == [
        (0, 1, 0, 0),
        (1, 1, 0, 0),
        (2, 1, 0, 0),
    ]
    assert len({row.topic_id for row in rows}) == 1
    # The broker's answer on the end of a log may be lower than what was read: no other log for that.
    commit(engine, 4, 2, 0)
    assert reconciler.reconcile() == []
    assert reconciler.reconcile() == []


def test_a_re_created_topic_with_fewer_partitions(settings: Settings, engine: Engine, reconciler: Reconciler) -> None:
    topic = settings.topic("messages")
    ensure_topics(settings)
    fill(settings, 9, 9, 9)
    reconciler.reconcile()
    commit(engine, 9, 7, 9)
    replay = begin_replay(engine, "old.csv")
    end_replay(engine, replay, {0: 9, 2: 9}, {"produced": 18})
    recreate(settings, 2)
    fill(settings, 3, 0)
    made = reconciler.reconcile()
    assert sorted((change.partition, change.action) for change in made) == [
        (0, "begin_epoch"),
        (1, "begin_epoch"),
        (2, "close"),
    ]
    rows = read_ledger(engine, topic)
    assert [(row.partition, row.epoch, row.next_offset, row.messages, row.max_event_time) for row in rows] == [
        (0, 2, 0, 0, None),
        (1, 2, 0, 0, None),
    ]
    past = [epoch for epoch in read_epochs(engine) if not epoch.current]
    assert [(epoch.partition, epoch.epoch, epoch.messages) for epoch in past] == [(0, 1, 9), (1, 1, 7), (2, 1, 9)]
    with engine.connect() as connection:
        ends = connection.execute(text("SELECT summary -> 'end_offsets' AS ends FROM replay")).scalar_one()
    assert ends == {}, "nothing waits for offsets of a log that is gone"
    assert reconciler.reconcile() == []


def test_a_topic_that_shrinks_and_grows_again(
    settings: Settings, engine: Engine, reconciler: Reconciler, reader: TopicReader
) -> None:
    """Partition 2 is closed, comes back, begins anew, is closed and comes back: each life is an epoch of its own."""
    topic = settings.topic("messages")
    ensure_topics(settings)
    lives = []
    for partitions in (3, 2, 3, 3, 2, 3):
        recreate(settings, partitions)
        reader.close()  # else it learns of new partitions a little later
        reconciler.reconcile()
        assert reconciler.reconcile() == []
        fill(settings, *[2] * partitions)
        commit(engine, *[2] * partitions)
        lives.append([row.epoch for row in read_ledger(engine, topic)])
    assert lives == [[1, 1, 1], [2, 2], [3, 3, 2], [4, 4, 3], [5, 5], [6, 6, 4]]
    epochs = [epoch for epoch in read_epochs(engine) if epoch.topic == topic]
    past = [(epoch.epoch, epoch.messages) for epoch in epochs if epoch.partition == 2 and not epoch.current]
    assert past == [(1, 2), (2, 2), (3, 2)]
    assert all(epoch.unaccounted == 0 for epoch in epochs)


def test_partitions_that_come_later_get_rows(settings: Settings, engine: Engine, reconciler: Reconciler) -> None:
    """The embedded broker can't add partitions; a ledger that lacks one looks the same."""
    ensure_topics(settings)
    reconciler.reconcile()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM offset_ledger WHERE partition = 2"))
    assert [(change.partition, change.action) for change in reconciler.reconcile()] == [(2, "open")]


def test_another_broker_under_an_old_database(
    settings: Settings, engine: Engine, reconciler: Reconciler, reader: TopicReader, broker: EmbeddedBroker
) -> None:
    """What `newstide up` meets at every start: a broker that kept nothing."""
    ensure_topics(settings)
    fill(settings, 5, 5, 5)
    reconciler.reconcile()
    commit(engine, 5, 5, 5)
    reader.close()
    broker.stop()
    broker.start()
    ensure_topics(settings)
    assert {change.action for change in reconciler.reconcile()} == {"begin_epoch"}
    assert [row.next_offset for row in read_ledger(engine, settings.topic("messages"))] == [0, 0, 0]


def test_a_ledger_of_an_older_version_is_taken_on(settings: Settings, engine: Engine, reconciler: Reconciler) -> None:
    ensure_topics(settings)
    fill(settings, 5, 5, 5)
    reconciler.reconcile()
    with engine.begin() as connection:
        connection.execute(text("UPDATE offset_ledger SET topic_id = NULL"))
        connection.execute(text("UPDATE offset_ledger SET next_offset = NULL, first_offset = NULL WHERE partition = 1"))
        connection.execute(text("UPDATE offset_ledger SET next_offset = 3, first_offset = 3 WHERE partition = 0"))
    made = [change for change in reconciler.reconcile() if change.partition < 2]
    assert [change.action for change in made[:2]] == ["adopt_id", "begin_reading"]
    rows = read_ledger(engine, settings.topic("messages"))
    assert [(row.epoch, row.first_offset, row.next_offset) for row in rows] == [(1, 3, 3), (1, 0, 0), (1, 0, 0)]


def test_nothing_is_skipped_where_the_log_has_records(
    settings: Settings, engine: Engine, reconciler: Reconciler
) -> None:
    topic = settings.topic("messages")
    ensure_topics(settings)
    fill(settings, 5, 0, 0)
    reconciler.reconcile()
    rows = read_ledger(engine, topic)
    assert [reconciler.skip_empty(topic, row) for row in rows] == [0, 0, 0]
    assert skip_offsets(engine, topic, rows[0], 2)
    assert not skip_offsets(engine, topic, rows[0], 4), "the row has moved"
    assert read_ledger(engine, topic)[0].gaps == 2
