"""What the training schedule keeps in Postgres: its runs, its lock, and what it decides by."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import psycopg
from sqlalchemy import Engine, text

from core.settings import Settings
from core.store.connection import connect
from core.store.models import find_model
from core.store.sql import fetch_rows, load_queries, records

_SQL = load_queries(Path(__file__).with_name("training.sql"))
_LOCK = 0x74726169  # any constant that all newstide processes share

Outcome = Literal["running", "refused", "candidate", "shadow", "live", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One run. `refused`: a gate said no; `candidate`, `shadow` and `live`: how far the model got; `failed` and
    `interrupted`: it was not promoted. `model`: the one that came of it, if one was registered."""

    id: int
    began_at: datetime
    ended_at: datetime | None
    reasons: list[dict[str, Any]]
    outcome: Outcome
    model: str | None
    detail: dict[str, Any]


class TrainingLock:
    """One training at a time in one database: an advisory lock, which ends with the process that holds it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None

    def acquire(self) -> str | None:
        """None once the lock is held by this object, also if it was before; else who holds it, in words."""
        if self.is_held():
            return None
        self.close()
        name = f"newstide {socket.gethostname()[:40]}:{os.getpid()}"
        connection = connect(self._settings, autocommit=True, application_name=name)
        if connection.execute(_SQL["take_lock"], {"key": _LOCK}).fetchone() == (True,):
            self._connection = connection
            return None
        with connection:
            holders = fetch_rows(connection, _SQL["lock_holder"], {"key": _LOCK})
        if not holders:
            return "another process, which ended just now"
        name = holders[0].application_name or "a process without a name"
        return f"{name}, connected since {holders[0].backend_start.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def is_held(self) -> bool:
        """Whether the lock is still held; it is lost with its connection."""
        if self._connection is None:
            return False
        try:
            return self._connection.execute(_SQL["holds_lock"], {"key": _LOCK}).fetchone() == (True,)
        except psycopg.Error:
            return False

    def close(self) -> None:
        """Release the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_run(engine: Engine, reasons: list[dict[str, Any]]) -> int:
    """Record that a run begins now, for `reasons`; its number. Hold the lock."""
    detail = {"process": f"{socket.gethostname()}:{os.getpid()}"}
    parameters = {"reasons": _json(reasons), "detail": _json(detail)}
    with engine.begin() as connection:
        return int(connection.execute(text(_SQL["open_run"]), parameters).scalar_one())


def close_run(engine: Engine, run: int, outcome: Outcome, model: str | None, detail: dict[str, Any]) -> None:
    """Record how run number `run` ended; one that has ended already stays as it is."""
    with engine.begin() as connection:
        connection.execute(
            text(_SQL["close_run"]), {"id": run, "outcome": outcome, "model": model, "detail": _json(detail)}
        )


def close_abandoned(engine: Engine) -> list[int]:
    """Mark runs as interrupted whose process is gone; their numbers. Hold the lock: then no run is under way."""
    with engine.begin() as connection:
        return [int(row.id) for row in connection.execute(text(_SQL["close_abandoned"]))]


def is_running(engine: Engine, run: int) -> bool:
    """Whether run number `run` is still open: another process that took the lock meanwhile has closed it."""
    with engine.connect() as connection:
        return bool(connection.execute(text(_SQL["is_running"]), {"id": run}).scalar_one())


def list_runs(engine: Engine, limit: int = 20) -> list[TrainingRun]:
    """Runs, the newest first."""
    with engine.connect() as connection:
        return records(TrainingRun, connection.execute(text(_SQL["runs"]), {"limit": limit}))


def last_learned_at(engine: Engine) -> datetime | None:
    """When the last run began that turned labels into a model, whatever became of the model."""
    with engine.connect() as connection:
        return cast("datetime | None", connection.execute(text(_SQL["last_learned"])).scalar_one())


def began_run_of(engine: Engine, model: str) -> datetime | None:
    """When the run began that `model` came of: labels given later it can't know. None where it came of no run."""
    with engine.connect() as connection:
        return cast("datetime | None", connection.execute(text(_SQL["began_run_of"]), {"model": model}).scalar_one())


def learned_until(engine: Engine) -> datetime | None:
    """Labels given after this moment no training has seen; None where nothing was ever learned.

    A run builds its dataset as it begins and registers its model hours later: labels of those hours are in neither.
    """
    live = find_model(engine, state="live")
    learned = [last_learned_at(engine)]
    if live is not None:
        learned.append(began_run_of(engine, live.name) or live.created_at)
    return max((moment for moment in learned if moment is not None), default=None)


def count_new_labels(engine: Engine, since: datetime | None) -> int:
    """Texts that analysts labelled after `since`, per task: a correction, or a second opinion, of one counts once."""
    with engine.connect() as connection:
        return int(connection.execute(text(_SQL["new_labels"]), {"since": since}).scalar_one())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
