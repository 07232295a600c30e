from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings, load_settings
from newstide.embedded.broker import EmbeddedBroker


@pytest.fixture
def broker_settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings, also in the environment, of an embedded broker with its topics and of a database of this test."""
    with EmbeddedBroker(tmp_path) as broker:
        monkeypatch.setenv("NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
        loaded = load_settings()
        wait_for_broker(loaded)
        ensure_topics(loaded)
        yield loaded
