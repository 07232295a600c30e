"""Where a command finds its database and broker: the configured ones, else the embedded parts of this directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from core.errors import NewstideError
from core.settings import Settings
from core.store.connection import open_engine, wait_for_database
from core.store.migration import migrate
from newstide.embedded.postgres import EmbeddedPostgres


class AlreadyRunning(NewstideError):
    """Another `newstide up` uses this directory; stop it, or give this one a directory of its own."""


def amended(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """`settings` with some values of some sections replaced."""
    changed = {name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    return settings.model_copy(update=changed)


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """Settings whose database answers and has the newest schema; the embedded one is started for as long as needed."""
    if settings.database.url:
        wait_for_database(settings)
        yield _migrated(settings)
        return
    with EmbeddedPostgres(settings.embedded.directory, settings.embedded.database_port) as postgres:
        yield _migrated(amended(settings, database={"url": postgres.url}))


@contextmanager
def store(settings: Settings) -> Iterator[Engine]:
    """An engine on that database."""
    with database(settings) as found:
        engine = open_engine(found)
        try:
            yield engine
        finally:
            engine.dispose()


def with_broker(settings: Settings) -> Settings:
    """Settings with the broker of a running `newstide up` filled in, where none is configured and one runs here."""
    if settings.kafka.bootstrap_servers:
        return settings
    with suppress(OSError, ValueError, KeyError):
        note = json.loads(_note(settings.embedded.directory).read_text())
        host, port = note["bootstrap_servers"].rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=1).close()
        return amended(settings, kafka={"bootstrap_servers": note["bootstrap_servers"]})
    return settings


@contextmanager
def announced(directory: Path, bootstrap_servers: str) -> Iterator[None]:
    """Let other commands of this directory find the broker for as long as the block runs."""
    note = _note(directory)
    note.write_text(json.dumps({"bootstrap_servers": bootstrap_servers}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the directory for one stack. Raises AlreadyRunning naming the process that has it."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = directory / "up.lock"
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise AlreadyRunning(
                f"`newstide up` runs already in {directory.absolute()} (process {holder}); stop it, "
                "or set NEWSTIDE_EMBEDDED__DIRECTORY to another place"
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _migrated(settings: Settings) -> Settings:
    engine = open_engine(settings, pool_size=1)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    return settings


def _note(directory: Path) -> Path:
    return directory / "broker.json"
