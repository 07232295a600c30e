"""A real broker for the tests of ingest: the embedded one, in memory, on a free port of loopback."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings
from ingest.producer import MessageProducer
from tests.ingest.ingest_helpers import Broker, Topics, make_settings, start_broker, stop_broker
from tests.ingest.web_server import Site, serve_site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python leaves the sockets of refused connections to the garbage collector, in any later test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    running = start_broker()
    yield running
    stop_broker(running)
    gc.collect()


@pytest.fixture
def settings(broker: Broker, tmp_path: Path) -> Settings:
    """Settings with topics of this test alone."""
    chosen = make_settings(broker.address, tmp_path)
    wait_for_broker(chosen)
    ensure_topics(chosen)
    return chosen


@pytest.fixture
def producer(settings: Settings) -> Iterator[MessageProducer]:
    made = MessageProducer(settings)
    yield made
    made.close()


@pytest.fixture
def topics(settings: Settings) -> Topics:
    return Topics(settings)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def site() -> Iterator[Site]:
    """A local web server."""
    with serve_site() as served:
        yield served
