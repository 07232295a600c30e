from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from tests.stream.harness import Workers, embedded_broker, make_settings, needs_kafka, real_kafka


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, needs_kafka])])
def bootstrap_servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The embedded broker, then the same test again on a real Apache Kafka."""
    with (embedded_broker if request.param == "embedded" else real_kafka)(tmp_path) as servers:
        yield servers


@pytest.fixture
def settings(bootstrap_servers: str, database_url: str, tmp_path: Path) -> Settings:
    return make_settings(bootstrap_servers, database_url, tmp_path)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(settings, tmp_path)
    yield running
    running.close()
