from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from core.errors import InputError
from core.kafka import ensure_topics
from core.settings import Settings
from ingest.bridge import BridgeSummary, _Bridge, _consumer, _DrainBeforeLeaving, bridge
from ingest.mapping import parse_map
from ingest.producer import DeliveryFailed, MessageProducer
from ingest.times import PLAIN
from tests.ingest.ingest_helpers import Topics, make_settings
from tests.stream.harness import needs_kafka, real_kafka

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


@pytest.fixture(scope="module")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_kafka(tmp_path_factory.mktemp("kafka"), **{"group.initial.rebalance.delay.ms": "0"}) as servers:
        yield servers


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, needs_kafka])])
def grouped(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for a broker with a topic `foreign` of four partitions."""
    address = request.getfixturevalue("apache" if request.param == "kafka" else "broker")
    settings = make_settings(address if isinstance(address, str) else address.address, tmp_path)
    ensure_topics(settings)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.create_topics({settings.topic("foreign"): {"num_partitions": 4, "replication_factor": 1}})
    wait_for(lambda: settings.topic("foreign") in admin.list_topics())
    admin.close()
    return settings


class Traffic:
    """Sends numbered records to four partitions, some hundred a second, until it is closed."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.sent = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, topic))
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, settings: Settings, topic: str) -> None:
        source = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
        while not self._over.is_set():
            value = json.dumps({"id": self.sent, "body": f"body {self.sent}"}).encode()
            source.send(topic, value=value, partition=self.sent % 4)
            self.sent += 1
            time.sleep(0.003)
        source.flush()
        source.close()


def wait_for(reached: Any, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _wait_for_topic(consumer: KafkaConsumer, topic: str) -> None:
    """A group that meets before its brokers tell of a new topic is given none of it until metadata is asked anew."""
    wait_for(lambda: consumer.partitions_for_topic(topic))


def test_bridges_of_one_group_come_and_go_under_traffic(grouped: Settings, caplog: pytest.LogCaptureFixture) -> None:
    class Noting(MessageProducer):
        def __init__(self, settings: Settings) -> None:
            super().__init__(settings)
            self.sent: list[str] = []

        def send(self, message: Any) -> Any:
            self.sent.append(message.id)
            return super().send(message)

    topic = grouped.topic("foreign")
    producers = [Noting(grouped) for _ in range(3)]
    stops = [threading.Event() for _ in range(3)]
    traffic = Traffic(grouped, topic)

    def run(index: int) -> BridgeSummary:
        fields = parse_map("id=id,text=body")
        return bridge(grouped, producers[index], topic, fields, source="bus", stop=stops[index])

    def moves(index: int) -> None:
        before = len(producers[index].sent)
        wait_for(lambda: len(producers[index].sent) > before + 20 or running[index].done())

    def passed_on() -> int:
        return len({id for producer in producers for id in list(producer.sent)})

    with ThreadPoolExecutor(3) as pool:
        running: list[Future[BridgeSummary]] = []
        try:
            for index in range(3):
                running.append(pool.submit(run, index))
                moves(index)
            stops[0].set()  # the eldest leaves, and its partitions with it
            assert running[0].result(60).read > 0
            moves(1)
            moves(2)
            stops[1].set()
            assert running[1].result(60).read > 0
            traffic.close()
            wait_for(lambda: passed_on() >= traffic.sent or running[2].done())
        finally:
            traffic.close()
            for stop in stops:
                stop.set()
        summaries = [future.result(60) for future in running]
    for producer in producers:
        producer.close()
    produced = sum(summary.produced for summary in summaries)
    ids = [int(message.id) for message in Topics(grouped).messages(produced)]
    assert sorted(set(ids)) == list(range(traffic.sent)), "nothing is lost"
    # On a machine that is busy the group may not wait for who goes.
    assert produced == traffic.sent or "will be read again" in caplog.text, "who goes leaves nothing to be read again"


def test_a_bridge_without_partitions_ends_by_idleness_too(grouped: Settings) -> None:
    def run(index: int) -> BridgeSummary:
        with closing(MessageProducer(grouped)) as producer:
            return bridge(grouped, producer, topic, parse_map("id=id,text=body"), source="bus", until_idle_s=2)

    topic = grouped.topic("narrow")
    admin = KafkaAdminClient(bootstrap_servers=grouped.kafka.bootstrap_servers)
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
    wait_for(lambda: topic in admin.list_topics())
    admin.close()
    source = KafkaProducer(bootstrap_servers=grouped.kafka.bootstrap_servers)
    for number in range(30):
        source.send(topic, value=json.dumps({"id": number, "body": "x"}).encode())
    source.close()
    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(run, range(2), timeout=120))
    assert sum(summary.read for summary in summaries) == 30


def test_who_lost_its_partitions_commits_nothing(grouped: Settings) -> None:
    """Another bridge has them, and is further on."""
    topic = grouped.topic("foreign")
    put(grouped, topic, [json.dumps({"id": i, "body": "x"}).encode() for i in range(30)])
    producer = MessageProducer(grouped)
    run = _Bridge(producer, parse_map("id=id,text=body"), "bus", "news", PLAIN)
    consumer = _consumer(grouped, topic, grouped.topic("slow"))
    place = TopicPartition(topic, 0)
    try:
        _wait_for_topic(consumer, topic)
        consumer.subscribe([topic], listener=_DrainBeforeLeaving(run, consumer))
        wait_for(lambda: [run.pass_on(record) for records in consumer.poll(200).values() for record in records])
        run.window.reap()
        consumer.commit({place: OffsetAndMetadata(9, "", -1)})
        consumer._coordinator.reset_generation()  # what the heartbeat does once the group has sent it away
        consumer._coordinator.request_rejoin()
        consumer.poll(3000, max_records=1)
        run.window.drain()
        run.commit(consumer)
        assert consumer.committed(place) == 9
    finally:
        consumer.close(autocommit=False)
        producer.close()


def test_who_leaves_commits_though_the_coordinator_was_lost_meanwhile(grouped: Settings) -> None:
    class Losing(_DrainBeforeLeaving):
        async def _drain(self) -> None:
            await super()._drain()
            manager = self._consumer._manager
            for node in list(manager._conns):
                manager.close(node)
                manager.update_backoff(node)
            self._consumer._coordinator.coordinator_dead("the connection broke")

    topic = grouped.topic("foreign")
    put(grouped, topic, [json.dumps({"id": i, "body": "x"}).encode() for i in range(30)])
    producer = MessageProducer(grouped)
    run = _Bridge(producer, parse_map("id=id,text=body"), "bus", "news", PLAIN)
    consumer = _consumer(grouped, topic, grouped.topic("leaving"))
    places = [TopicPartition(topic, number) for number in range(3)]
    try:
        _wait_for_topic(consumer, topic)
        consumer.subscribe([topic], listener=Losing(run, consumer))
        while run.read < 30:
            for records in consumer.poll(200).values():
                for record in records:
                    run.pass_on(record)
        consumer._coordinator.request_rejoin()
        wait_for(lambda: consumer.poll(200) or (run._assignment and consumer.assignment()))
        assert [consumer.committed(place) for place in places] == [10, 10, 10]
        assert run.acknowledged() == {}
    finally:
        consumer.close(autocommit=False)
        producer.close()


def test_partitions_that_come_back_are_read_from_where_the_group_is(grouped: Settings) -> None:
    """Another bridge may have had them meanwhile; here the group's offset was moved back to tell the two apart."""
    topic = grouped.topic("foreign")
    put(grouped, topic, [json.dumps({"id": i, "body": "x"}).encode() for i in range(30)])
    producer = MessageProducer(grouped)
    run = _Bridge(producer, parse_map("id=id,text=body"), "bus", "news", PLAIN)
    consumer = _consumer(grouped, topic, grouped.topic("returning"))
    listener = _DrainBeforeLeaving(run, consumer)
    place = TopicPartition(topic, 0)
    try:
        _wait_for_topic(consumer, topic)
        consumer.subscribe([topic], listener=listener)
        while run.read < 30:
            for records in consumer.poll(200).values():
                for record in records:
                    run.pass_on(record)
        run.window.drain()
        run.commit(consumer)
        assert consumer.committed(place) == 10
        consumer.commit({place: OffsetAndMetadata(4, "", -1)})
        consumer._coordinator.request_rejoin()
        polled: list[int] = []
        wait_for(lambda: polled.extend(r.offset for rs in consumer.poll(200).values() for r in rs) or polled)
        assert polled == list(range(4, 10))
        assert not listener.rebalancing
    finally:
        consumer.close(autocommit=False)
        producer.close()


def test_who_stops_while_its_group_rebalances_leaves_its_partitions_to_the_others(
    grouped: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = grouped.topic("foreign")
    stops = [threading.Event(), threading.Event()]
    revoke = _DrainBeforeLeaving.on_partitions_revoked

    async def stop_the_first(listener: _DrainBeforeLeaving, revoked: Any) -> None:
        await revoke(listener, revoked)
        if revoked:
            stops[0].set()

    def run(index: int) -> BridgeSummary:
        with closing(MessageProducer(grouped)) as producer:
            fields = parse_map("id=id,text=body")
            return bridge(grouped, producer, topic, fields, source="bus", stop=stops[index])

    monkeypatch.setattr(_DrainBeforeLeaving, "on_partitions_revoked", stop_the_first)
    put(grouped, topic, [json.dumps({"id": i, "body": "x"}).encode() for i in range(30)])
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(run, 0)
            Topics(grouped).messages(30)
            second = pool.submit(run, 1)
            assert first.result(60).read == 30
            put(grouped, topic, [json.dumps({"id": i, "body": "x"}).encode() for i in range(30, 60)])
            ids = [int(message.id) for message in Topics(grouped).messages(60)]
        finally:
            for stop in stops:
                stop.set()
        assert second.result(60).read == 30
    assert sorted(ids) == list(range(60))


def test_who_has_nothing_to_commit_leaves_without_asking_for_the_coordinator(grouped: Settings) -> None:
    producer = MessageProducer(grouped)
    run = _Bridge(producer, parse_map("id=id,text=body"), "bus", "news", PLAIN)
    consumer = _consumer(grouped, grouped.topic("foreign"), grouped.topic("idle"))
    try:
        consumer.subscribe([grouped.topic("foreign")])
        consumer._net.run(_DrainBeforeLeaving(run, consumer).on_partitions_revoked, set())
        assert run._assignment == 1
        assert consumer._coordinator.coordinator_id is None
    finally:
        consumer.close(autocommit=False)
        producer.close()
