"""The embedded broker, started for real."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from core.errors import EmbeddedPartError
from newstide.embedded.broker import EmbeddedBroker


def send(broker: EmbeddedBroker, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for value in values:
        producer.send("topic", value, partition=0).get(timeout=10)
    producer.close()


def test_it_keeps_and_returns_records(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        send(broker, b"one", b"two")
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
        partition = TopicPartition("topic", 0)
        consumer.assign([partition])
        seen: list[bytes] = []
        while len(seen) < 2:
            seen += [record.value for record in consumer.poll(timeout_ms=1000).get(partition, [])]
        consumer.close()
        assert seen == [b"one", b"two"]
    assert broker.pid is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port), timeout=2)


def test_two_brokers_take_different_ports(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "a") as first, EmbeddedBroker(tmp_path / "b") as second:
        assert first.port != second.port
        assert first.pid != second.pid


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "a") as first:
        with pytest.raises(EmbeddedPartError, match=rf"127\.0\.0\.1:{first.port}.*NEWSTIDE_EMBEDDED__BROKER_PORT"):
            EmbeddedBroker(tmp_path / "b", first.port).start()
        assert first.pid is not None


def test_a_port_lost_between_look_and_start_is_an_error_that_names_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.embedded.broker.is_taken", lambda port: False)
    with EmbeddedBroker(tmp_path / "a") as first:
        second = EmbeddedBroker(tmp_path / "b", first.port)
        with pytest.raises(EmbeddedPartError, match="in use") as caught:
            second.start()
        assert str(second.log) in str(caught.value)


def test_after_kill_it_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        port, pid = broker.port, broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while broker.pid is not None:
            pass
        broker.start()
        assert broker.port == port
        send(broker, b"again")
