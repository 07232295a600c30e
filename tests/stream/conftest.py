from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from tests.stream.harness import Workers, embedded_broker, make_settings, needs_kafka, real_kafka, shared_brokers


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Apache Kafka for a module: starting it takes longer than most that is done with it."""
    with real_kafka(tmp_path_factory.mktemp("kafka")) as servers:
        shared_brokers.add(servers)
        yield servers
        shared_brokers.remove(servers)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, needs_kafka])])
def bootstrap_servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The embedded broker, then the same test again on a real Apache Kafka."""
    if request.param == "kafka":
        yield request.getfixturevalue("kafka")
        return
    with embedded_broker(tmp_path) as servers:
        yield servers


@pytest.fixture
def settings(bootstrap_servers: str, database_url: str, tmp_path: Path) -> Settings:
    return make_settings(bootstrap_servers, database_url, tmp_path)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(settings, tmp_path)
    yield running
    running.close()
