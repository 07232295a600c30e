"""Waiting for the commit of what Kafka acknowledged, against a real ledger."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from core.settings import Settings, load_settings
from ingest.confirmation import Confirmation, NotCommitted


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load_settings(database={"url": database_url}, embedded={"directory": tmp_path})


MESSAGES, LETTERS = "newstide.messages", "newstide.dead-letters"


def commit(engine: Engine, partition: int, next_offset: int, topic: str = MESSAGES) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO offset_ledger (topic, partition, next_offset) VALUES (:t, :p, :n) "
                "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset"
            ),
            {"t": topic, "p": partition, "n": next_offset},
        )


def test_it_returns_once_every_partition_is_committed(settings: Settings, engine: Engine) -> None:
    confirmation = Confirmation(settings)
    commit(engine, 0, 5)
    commit(engine, 1, 2)
    waiting = threading.Thread(
        target=confirmation.wait, args=({(MESSAGES, 0): 5, (LETTERS, 0): 2, (MESSAGES, 1): 3}, 30)
    )
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive()
    commit(engine, 1, 3)
    time.sleep(0.3)
    assert waiting.is_alive(), "the archive has not read the dead letters"
    commit(engine, 0, 2, LETTERS)
    waiting.join(10)
    assert not waiting.is_alive()
    confirmation.close()


def test_what_is_not_committed_in_time_is_said(settings: Settings, engine: Engine) -> None:
    confirmation = Confirmation(settings)
    commit(engine, 0, 4)
    with pytest.raises(NotCommitted, match="not committed within 0 s"):
        confirmation.wait({(MESSAGES, 0): 5}, 0.2)
    with pytest.raises(NotCommitted):
        confirmation.wait({(MESSAGES, 7): 1}, 0.2)
    confirmation.wait({}, 0.2)
    confirmation.close()


def test_a_database_that_hiccups_is_asked_again(settings: Settings, engine: Engine, database_url: str) -> None:
    confirmation = Confirmation(settings)
    commit(engine, 0, 4)
    waiting = threading.Thread(target=confirmation.wait, args=({(MESSAGES, 0): 5}, 30))
    waiting.start()
    time.sleep(0.3)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    commit(engine, 0, 5)
    waiting.join(10)
    assert not waiting.is_alive()
    confirmation.close()
