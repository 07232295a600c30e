from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from core.settings import AlertingSettings, DatabaseSettings, KafkaSettings, MetricsSettings, Settings
from core.store.connection import connect
from tests.alerting.surge_streams import MakeSettings
from tests.alerting.webhook_receiver import Receiver


@pytest.fixture
def make_settings(database_url: str) -> MakeSettings:
    """Settings of a migrated database, judged in event time; keywords are alerting settings."""

    def make(bootstrap_servers: str | None = None, **alerting: Any) -> Settings:
        return Settings(
            database=DatabaseSettings(url=database_url),
            alerting=AlertingSettings(**({"clock": "event", "allowed_lateness_s": 0, "poll_s": 0.02} | alerting)),
            kafka=KafkaSettings(bootstrap_servers=bootstrap_servers),
            metrics=MetricsSettings(alerting_port=0),
        )

    return make


@pytest.fixture
def connection(make_settings: MakeSettings) -> Iterator[psycopg.Connection[Any]]:
    with connect(make_settings(), autocommit=True) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
