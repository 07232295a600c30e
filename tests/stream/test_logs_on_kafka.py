"""What only a real Kafka does to a log: deleted records, transaction markers, partitions added, small size limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from core.kafka import client_options, ensure_topics
from core.settings import Settings
from tests.stream.harness import (
    Workers,
    as_input,
    ask,
    assert_exact,
    make_settings,
    needs_kafka,
    produce,
    real_kafka,
    scenario_messages,
    wait_until,
)
from tests.stream.recovery import accounted, archived, assert_accounted, behind, stored

pytestmark = [pytest.mark.kafka, needs_kafka]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Iterator[Settings]:
    with real_kafka(tmp_path) as servers:
        yield make_settings(servers, database_url, tmp_path)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(settings, tmp_path)
    yield running
    running.close()


def test_records_deleted_before_they_were_read_are_gaps(settings: Settings, workers: Workers) -> None:
    """On a quiet feed too: nothing new comes that would move the ledger on."""
    sent = as_input(scenario_messages(150))
    produce(settings, sent[:100])
    workers.start(0)
    wait_until(lambda: accounted(settings) == 100, "the first committed")
    assert workers.end(0, signal.SIGTERM) == 0
    produce(settings, sent[100:140])
    admin = KafkaAdminClient(**client_options(settings))
    admin.delete_records({TopicPartition(settings.topic("messages"), partition): -1 for partition in range(4)})
    admin.close()
    workers.start(0)
    wait_until(lambda: accounted(settings) == 140, "the deleted ones counted")
    assert ask(settings, "SELECT sum(gaps) FROM offset_ledger") == [(40,)]
    assert behind(settings) == 0
    produce(settings, sent[140:])
    wait_until(lambda: accounted(settings) == 150, "those that came later committed")
    assert stored(settings) == 110
    assert workers.running(0)
    assert_accounted(settings)


def test_a_producer_with_transactions_leaves_nothing_behind(settings: Settings, workers: Workers) -> None:
    """Its markers take offsets that no consumer is ever given, the last ones of each partition among them."""
    ensure_topics(settings)
    sent = as_input(scenario_messages(60))
    producer = KafkaProducer(**client_options(settings), acks="all", transactional_id="t", enable_idempotence=True)
    producer.init_transactions()
    for start in range(0, 60, 20):
        producer.begin_transaction()
        for number, (key, value) in enumerate(sent[start : start + 20]):
            producer.send(settings.topic("messages"), key=key, value=value, partition=number % 4)
        producer.commit_transaction()
    producer.close()
    workers.start(0)
    wait_until(lambda: accounted(settings) == 60 + 3 * 4 and behind(settings) == 0, "records and markers accounted for")
    assert ask(settings, "SELECT sum(gaps) FROM offset_ledger") == [(12,)]
    assert stored(settings) == 60
    assert workers.running(0)
    assert_accounted(settings)


def test_partitions_added_under_a_running_worker(settings: Settings, workers: Workers) -> None:
    sent = as_input(scenario_messages(150))
    produce(settings, sent[:100])
    workers.start(0)
    wait_until(lambda: accounted(settings) == 100, "the first committed")
    admin = KafkaAdminClient(**client_options(settings))
    admin.create_partitions({settings.topic("messages"): 6})
    admin.close()
    rows = "SELECT count(*) FROM offset_ledger WHERE topic LIKE '%messages'"
    wait_until(lambda: ask(settings, rows) == [(6,)], "rows for the new ones, before anything is read")
    producer = KafkaProducer(**client_options(settings), acks="all")
    for number, (key, value) in enumerate(sent[100:]):
        producer.send(settings.topic("messages"), key=key, value=value, partition=4 + number % 2)
    producer.flush()
    producer.close()
    wait_until(lambda: accounted(settings) == 150, "the new partitions read")
    assert_exact(settings, sent)
    assert_accounted(settings)


def test_topics_that_take_small_records_only(settings: Settings, workers: Workers) -> None:
    """A dead letter is cut, and a `classified` record shortened, until the broker takes it; no worker ends over it."""
    admin = KafkaAdminClient(**client_options(settings))
    small = {"max.message.bytes": "20000"}
    admin.create_topics({
        settings.topic("dead-letters"): {"num_partitions": 1, "replication_factor": 1, "configs": small},
        settings.topic("classified"): {"num_partitions": 4, "replication_factor": 1, "configs": small},
    })  # fmt: skip
    admin.close()
    messages = scenario_messages(30)
    messages[3].text = "Long story. " * 1_500  # 18 kB in the store, above the limit with all the rest
    messages[5].url = "https://wire.example/" + "x" * 100_000
    sent = as_input(messages)
    poison = [(b"big", os.urandom(800_000)), (b"bad", b"no json")]
    produce(settings, [*sent, *poison])
    workers.start(0)
    wait_until(lambda: archived(settings) == 2, "both letters archived")
    sizes = sorted(size for (size,) in ask(settings, "SELECT length(value) FROM dead_letter"))
    assert sizes[0] == len(b"no json")
    assert 5_000 < sizes[1] < 20_000
    wait_until(lambda: accounted(settings) == 32, "all committed")
    assert workers.running(0)
    assert_exact(settings, sent)
    assert_accounted(settings)
