"""Noting how far the logs reach never holds up a worker, whatever the database does."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import psycopg
import pytest

from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.ledger import LedgerChange, change_ledger, read_ledger
from stream.progress import EndOffsets, Position
from tests.ports import free_port
from tests.stream.harness import (
    Workers,
    as_input,
    ask,
    make_settings,
    one_broker,
    produce,
    scenario_messages,
    wait_until,
)
from tests.stream.recovery import accounted

TOPIC = "newstide.messages"
SILENT_S = 2.0

WATCHED = """
from core.settings import load_settings
from stream import engine
from stream.worker import run_worker

engine._LOOP_SILENT_S = {silent}
run_worker(load_settings(metrics={{"worker_port": {port}}}), 0)
"""


def test_a_read_only_server_is_tried_again(database_url: str, tmp_path: Path) -> None:
    """As a standby before it takes over."""
    settings = make_settings("127.0.0.1:1", database_url, tmp_path)
    engine = open_engine(settings)
    change_ledger(engine, TOPIC, "a", [LedgerChange(0, None, "open", 0, 3)], replayed=True)
    noted = EndOffsets(TOPIC, lambda: connect(settings, autocommit=True))
    name = database_url.rsplit("/", 1)[1]
    with connect(settings, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
        noted.note({0: Position(1, 8)})
        assert read_ledger(engine, TOPIC)[0].end_offset == 3
        owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")  # type: ignore[arg-type]
    noted.note({0: Position(1, 8)})
    assert read_ledger(engine, TOPIC)[0].end_offset == 8
    engine.dispose()


def test_what_no_waiting_heals_is_raised(empty_database_url: str, tmp_path: Path) -> None:
    settings = make_settings("127.0.0.1:1", empty_database_url, tmp_path)
    with pytest.raises(psycopg.errors.UndefinedTable):
        EndOffsets(TOPIC, lambda: connect(settings, autocommit=True)).note({0: Position(1, 8)})


@one_broker
def test_a_ledger_that_is_locked_silences_no_loop(settings: Settings, workers: Workers) -> None:
    """As by a commit that hangs: `/healthz` stays well, and the worker goes on where it was."""
    port = free_port()
    sent = as_input(scenario_messages(60))
    produce(settings, sent[:30])
    workers.start(0, WATCHED.format(silent=SILENT_S, port=port))
    wait_until(lambda: accounted(settings) == 30, "the first committed")
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%AS seen%'"
    with connect(settings) as holder:
        holder.execute("SELECT FROM offset_ledger FOR UPDATE")
        produce(settings, sent[30:])
        wait_until(lambda: len(ask(settings, waiting)) == 1, "the end offsets wait for the lock")
        time.sleep(SILENT_S + 1)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).json()["checks"]["event loop"] == "ok"
    wait_until(lambda: accounted(settings) == 60, "the rest committed")
