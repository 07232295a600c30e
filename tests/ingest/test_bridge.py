from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from core.errors import InputError
from core.settings import Settings
from ingest.bridge import bridge
from ingest.mapping import parse_map
from ingest.producer import DeliveryFailed, MessageProducer
from tests.ingest.ingest_helpers import Topics

MAP = parse_map("id=key.id,text=payload.body,published_at=at,entities=symbols")


@pytest.fixture
def foreign(settings: Settings) -> str:
    """A topic of another shape, with 300 good records and 4 bad ones."""
    topic = settings.kafka.topic_prefix + "foreign"
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.create_topics({topic: {"num_partitions": 3, "replication_factor": 1}})
    admin.close()
    values: list[bytes] = [
        json.dumps(
            {"key": {"id": i}, "payload": {"body": f"body {i}"}, "at": 1388534400 + i, "symbols": "$A $B"}
        ).encode()
        for i in range(300)
    ]
    values[100:100] = [b"{oops", b"[]", b"\xff\xfe", b'{"payload": {"bodi": "x"}}']
    put(settings, topic, values)
    return topic


def put(settings: Settings, topic: str, values: list[bytes]) -> None:
    source = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    for number, value in enumerate(values):
        source.send(topic, value=value, key=str(number).encode(), partition=number % 3)
    source.flush()
    source.close()


def test_records_of_another_shape_become_messages_once(
    settings: Settings, producer: MessageProducer, topics: Topics, foreign: str
) -> None:
    options: dict[str, Any] = {"source": "other", "kind": "comment", "until_idle_s": 2}
    summary = bridge(settings, producer, foreign, MAP, **options)
    assert (summary.read, summary.produced, summary.dead_letters) == (304, 300, 4)
    assert sum(summary.end_offsets.values()) == 300
    messages = topics.messages(300)
    assert {message.id for message in messages} == {str(i) for i in range(300)}
    assert messages[0].entities == ["A", "B"]
    assert {message.source for message in messages} == {"other"}
    letters = topics.dead_letters(4)
    assert {letter.value for letter in letters} == {b"{oops", b"[]", b"\xff\xfe", b'{"payload": {"bodi": "x"}}'}
    assert {letter.topic for letter in letters} == {foreign}
    assert len({letter.origin for letter in letters}) == 4
    assert {letter.key for letter in letters} == {b"100", b"101", b"102", b"103"}

    put(settings, foreign, [json.dumps({"key": {"id": 1000}, "payload": {"body": "later"}}).encode()])
    assert bridge(settings, producer, foreign, MAP, **options).read == 1


def test_what_kafka_did_not_acknowledge_is_read_again(
    settings: Settings, producer: MessageProducer, topics: Topics, foreign: str
) -> None:
    class Failing(MessageProducer):
        def wait(self, future: Any, timeout_s: float | None = None) -> Any:
            metadata = super().wait(future, timeout_s)
            self.waited = getattr(self, "waited", 0) + 1
            if self.waited > 120:
                raise DeliveryFailed("the brokers went away")
            return metadata

    failing = Failing(settings)
    with pytest.raises(DeliveryFailed):
        bridge(settings, failing, foreign, MAP, source="other", until_idle_s=2)
    failing.close()
    bridge(settings, producer, foreign, MAP, source="other", until_idle_s=2)
    assert {message.id for message in topics.messages(300)} == {str(i) for i in range(300)}
    assert len({letter.origin for letter in topics.dead_letters(4)}) == 4


def test_what_cannot_be_bridged_is_explained(settings: Settings, producer: MessageProducer) -> None:
    with pytest.raises(InputError, match="does not exist"):
        bridge(settings, producer, "nowhere", MAP, source="other")
    with pytest.raises(InputError, match="newstide's own"):
        bridge(settings, producer, settings.topic("messages"), MAP, source="other")
    with pytest.raises(InputError, match="--source"):
        bridge(settings, producer, "nowhere", MAP)


def test_tombstones_are_skipped_counted_and_committed(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    topic = settings.kafka.topic_prefix + "compacted"
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
    admin.close()
    source = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    framed = b"\x00\x00\x00\x00\x09" + json.dumps({"id": 1, "body": "The mill", "at": "9 May 2023 09:15 MESZ"}).encode()
    avro = b"\x00\x00\x00\x00\x09\x02\x0cmill"
    for value in (framed, None, avro, b"", None):
        source.send(topic, value=value, key=b"1", headers=[("x\ud7ff", b"\xff")])
    source.flush()
    source.close()
    fields = parse_map("id=id,text=body,published_at=at")
    summary = bridge(settings, producer, topic, fields, source="bus", until_idle_s=2)
    counts = (summary.read, summary.produced, summary.dead_letters, summary.tombstones)
    assert counts == (5, 1, 2, 2)
    (message,) = topics.messages(1)
    assert message.published_at == datetime(2023, 5, 9, 7, 15, tzinfo=UTC)
    letters = topics.dead_letters(2)
    assert [letter.value for letter in letters] == [avro, b""]
    assert "schema id 9" in letters[0].reason
    assert bridge(settings, producer, topic, fields, source="bus", until_idle_s=1).read == 0
