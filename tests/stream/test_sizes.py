"""Records around the broker's limit: each becomes a message or a dead letter, and none ends a worker."""

from __future__ import annotations

import os

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from core.dead_letters import MAX_KEY_BYTES
from core.kafka import client_options, ensure_topics
from core.records import MAX_ENCODED_BYTES, encode
from core.settings import Settings
from tests.stream.harness import Workers, as_input, ask, scenario_messages, wait_until
from tests.stream.recovery import accounted, archived, assert_accounted

BATCH_LIMIT = 1_048_588  # the default `message.max.bytes` of Kafka
OVERHEAD = 200  # of a batch with one record, generously


def test_records_as_large_as_the_broker_takes(settings: Settings, workers: Workers) -> None:
    """Of random bytes, so that no compression helps; keys over-long, values over-long, both, and headers besides."""
    ensure_topics(settings)
    room = BATCH_LIMIT - OVERHEAD
    message = scenario_messages(1)[0]
    message.url = "https://wire.example/"
    message.url += "x" * (MAX_ENCODED_BYTES - len(encode(message)))
    poison = [
        (os.urandom(room), None, []),
        (os.urandom(room - 8), b"no json", []),
        (os.urandom(room // 2), os.urandom(room // 2), []),
        (b"k", os.urandom(room - 1), []),
        (b"k", os.urandom(MAX_ENCODED_BYTES + 1), [("h" * 1_000, os.urandom(100_000))]),
        (b"k", os.urandom(MAX_ENCODED_BYTES), []),
        (os.urandom(MAX_KEY_BYTES + 1), b"no json either", []),
        (b"k" * MAX_KEY_BYTES, b"nor this", []),
    ]
    producer = KafkaProducer(**client_options(settings), acks="all", max_request_size=2_000_000)
    sent = [producer.send(settings.topic("messages"), key=key, value=value, headers=h) for key, value, h in poison]
    sent.append(producer.send(settings.topic("messages"), key=b"large", value=encode(message)))
    sent += [producer.send(settings.topic("messages"), key=k, value=v) for k, v in as_input(scenario_messages(30)[1:])]
    producer.flush()
    for future in sent:
        future.get(10)
    producer.close()
    workers.start(0)
    wait_until(lambda: accounted(settings) == len(sent), "all committed")
    wait_until(lambda: archived(settings) == len(poison), "all letters archived")
    assert workers.running(0), workers.log(0)[-2000:]
    assert ask(settings, "SELECT count(*) FROM message WHERE length(url) > 890000") == [(1,)]
    assert ask(settings, "SELECT max(length(key)) FROM dead_letter") == [(MAX_KEY_BYTES,)]
    assert ask(settings, "SELECT max(length(value)) FROM dead_letter") == [(MAX_ENCODED_BYTES,)]
    assert_accounted(settings)
    assert len(_published(settings)) == 30
    assert max(map(len, _published(settings))) <= MAX_ENCODED_BYTES


def _published(settings: Settings) -> list[bytes]:
    topic = settings.topic("classified")
    consumer = KafkaConsumer(**client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, partition) for partition in range(4)])
    values: list[bytes] = []
    while found := consumer.poll(2_000):
        values += [record.value for records in found.values() for record in records]
    consumer.close()
    return values
