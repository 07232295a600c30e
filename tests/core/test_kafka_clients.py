"""A client of the brokers that finds none leaves nothing open, however often it is tried."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from core.errors import BrokerUnreachable
from core.kafka import open_client, wait_for_broker
from core.settings import KafkaSettings, Settings
from tests.ports import free_port
from tests.stream.harness import wait_until

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "ingest", "stream", "alerting", "trainer", "desk", "newstide")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")


@contextmanager
def nobody() -> Iterator[str]:
    yield f"127.0.0.1:{free_port()}"


@contextmanager
def closing_listener() -> Iterator[str]:
    """One that takes connections and closes them, as a proxy does whose brokers are away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def take() -> None:
            while not ended.is_set():
                listener.accept()[0].close()

        taking = threading.Thread(target=take)
        taking.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            socket.create_connection(listener.getsockname()).close()
            taking.join()


def held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@on_linux
@pytest.mark.parametrize("brokers", [nobody, closing_listener])
@pytest.mark.parametrize("kind", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_a_client_that_finds_no_broker_leaves_nothing_open(kind: Any, brokers: Any) -> None:
    with brokers() as address:
        before = held()
        for _ in range(3):
            with pytest.raises(KafkaError):
                open_client(kind, bootstrap_servers=[address], bootstrap_timeout_ms=200)
        wait_until(lambda: held() == before, "the listener closes its ends too", 20)


@on_linux
def test_waiting_for_a_broker_leaves_nothing_open() -> None:
    with closing_listener() as address:
        before = held()
        with pytest.raises(BrokerUnreachable, match=address):
            wait_for_broker(Settings(kafka=KafkaSettings(bootstrap_servers=address, start_timeout_s=2)))
        wait_until(lambda: held() == before, "the listener closes its ends too", 20)


def test_every_client_is_opened_so() -> None:
    direct = re.compile(r"\bKafka(AdminClient|Consumer|Producer)\(")
    found = [
        path for room in ROOMS for path in (PROJECT / room).rglob("*.py") if direct.search(path.read_text("utf-8"))
    ]
    assert found == []
