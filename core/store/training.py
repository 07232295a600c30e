"""What the training schedule keeps in Postgres: its runs, its lock, and what it decides by."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import psycopg
from sqlalchemy import Engine, text

from core.fitting import reader_of
from core.language import ENGLISH, language_of
from core.settings import Settings
from core.store.connection import connect
from core.store.models import list_models
from core.store.sql import fetch_rows, load_queries, records

_SQL = load_queries(Path(__file__).with_name("training.sql"))
_LOCK = 0x74726169  # any constant that all newstide processes share

Outcome = Literal["running", "refused", "candidate", "shadow", "live", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One run. `refused`: a gate said no; `candidate`, `shadow` and `live`: how far the model got; `failed` and
    `interrupted`: it was not promoted. `model`: the one that came of it, if one was registered. `language`: what that
    was to be for."""

    id: int
    language: str
    began_at: datetime
    ended_at: datetime | None
    reasons: list[dict[str, Any]]
    outcome: Outcome
    model: str | None
    detail: dict[str, Any]


class TrainingLock:
    """One training for a language at a time in one database: an advisory lock, which ends with the process that holds
    it."""

    def __init__(self, settings: Settings, language: str = ENGLISH) -> None:
        self._settings = settings
        self._key = _LOCK if language == ENGLISH else zlib.crc32(f"training {language}".encode())
        self._connection: psycopg.Connection[Any] | None = None

    def acquire(self) -> str | None:
        """None once the lock is held by this object, also if it was before; else who holds it, in words."""
        if self.is_held():
            return None
        self.close()
        name = f"newstide {socket.gethostname()[:40]}:{os.getpid()}"
        connection = connect(self._settings, autocommit=True, application_name=name)
        if connection.execute(_SQL["take_lock"], {"key": self._key}).fetchone() == (True,):
            self._connection = connection
            return None
        with connection:
            holders = fetch_rows(connection, _SQL["lock_holder"], {"key": self._key})
        if not holders:
            return "another process, which ended just now"
        name = holders[0].application_name or "a process without a name"
        return f"{name}, connected since {holders[0].backend_start.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def is_held(self) -> bool:
        """Whether the lock is still held; it is lost with its connection."""
        if self._connection is None:
            return False
        try:
            return self._connection.execute(_SQL["holds_lock"], {"key": self._key}).fetchone() == (True,)
        except psycopg.Error:
            return False

    def close(self) -> None:
        """Release the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_run(engine: Engine, reasons: list[dict[str, Any]], language: str = ENGLISH) -> int:
    """Record that a run for a model of `language` begins now, for `reasons`; its number. Hold the lock."""
    detail = {"process": f"{socket.gethostname()}:{os.getpid()}"}
    parameters = {"language": language, "reasons": _json(reasons), "detail": _json(detail)}
    with engine.begin() as connection:
        return int(connection.execute(text(_SQL["open_run"]), parameters).scalar_one())


def close_run(engine: Engine, run: int, outcome: Outcome, model: str | None, detail: dict[str, Any]) -> None:
    """Record how run number `run` ended; one that has ended already stays as it is."""
    with engine.begin() as connection:
        connection.execute(
            text(_SQL["close_run"]), {"id": run, "outcome": outcome, "model": model, "detail": _json(detail)}
        )


def close_abandoned(engine: Engine, language: str = ENGLISH) -> list[int]:
    """Mark runs for `language` as interrupted whose process is gone; their numbers. Hold the lock: then none is under
    way."""
    with engine.begin() as connection:
        return [int(row.id) for row in connection.execute(text(_SQL["close_abandoned"]), {"language": language})]


def is_running(engine: Engine, run: int) -> bool:
    """Whether run number `run` is still open: another process that took the lock meanwhile has closed it."""
    with engine.connect() as connection:
        return bool(connection.execute(text(_SQL["is_running"]), {"id": run}).scalar_one())


def list_runs(engine: Engine, limit: int = 20, language: str | None = None) -> list[TrainingRun]:
    """Runs, those for `language` if given, the newest first."""
    with engine.connect() as connection:
        return records(TrainingRun, connection.execute(text(_SQL["runs"]), {"limit": limit, "language": language}))


def last_learned_at(engine: Engine, language: str = ENGLISH) -> datetime | None:
    """When the last run began that turned labels into a model of `language`, whatever became of the model."""
    with engine.connect() as connection:
        found = connection.execute(text(_SQL["last_learned"]), {"language": language})
        return cast("datetime | None", found.scalar_one())


def began_run_of(engine: Engine, model: str) -> datetime | None:
    """When the run began that `model` came of: labels given later it can't know. None where it came of no run."""
    with engine.connect() as connection:
        return cast("datetime | None", connection.execute(text(_SQL["began_run_of"]), {"model": model}).scalar_one())


def learned_until(engine: Engine, language: str = ENGLISH) -> datetime | None:
    """Labels given after this moment no training for `language` has seen; None where nothing was ever learned.

    A run builds its dataset as it begins and registers its model hours later: labels of those hours are in neither.
    """
    live = reader_of(language, list_models(engine, "live"))
    learned = [last_learned_at(engine, language)]
    if live is not None:
        learned.append(began_run_of(engine, live.name) or live.created_at)
    return max((moment for moment in learned if moment is not None), default=None)


def count_new_labels(engine: Engine, since: datetime | None, language: str = ENGLISH) -> int:
    """Texts that analysts labelled after `since` and that the model for `language` learns from, per task: a correction,
    or a second opinion, of one counts once, and so do all companies of a text together."""
    with engine.connect() as connection:
        texts = list(connection.execute(text(_SQL["new_labels"]), {"since": since}).scalars())
    return len(learned_texts(engine, texts, language))


def learned_texts(engine: Engine, texts: Sequence[str], language: str) -> set[int]:
    """Positions of those `texts` that a model for `language` learns from: texts in it, and others that its live model
    reads. Where no model of another language is live, that is all of them."""
    live = list_models(engine, "live")
    if all(row.language == language for row in live):
        return set(range(len(texts)))
    own = reader_of(language, live)
    found = [language_of(one) for one in texts]
    return {at for at, code in enumerate(found) if code == language or (own and reader_of(code, live) is own)}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
