"""Where a command finds its database and broker: the configured ones, else the embedded parts of this directory."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core.errors import NewstideError, describe_fault
from core.settings import Settings
from core.store.connection import open_engine, wait_for_database
from core.store.migration import migrate
from newstide.embedded.keeper import DatabaseKeeper
from newstide.embedded.locks import try_lock
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.embedded.process import read_command_line, working_in

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 0.5
_LOOKERS_LEAVE_WITHIN_S = 0.5  # a command that looks whether a stack runs here holds the lock for a moment
_KILLED_END_WITHIN_S = 2.0  # a server whose owner was killed


class AlreadyRunning(NewstideError):
    """Another stack or command uses this directory; stop it, or give this one a directory of its own."""


def amended(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """`settings` with some values of some sections replaced."""
    changed = {name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    return settings.model_copy(update=changed)


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """Settings whose database answers and has the newest schema; the embedded one runs for as long as needed."""
    with kept_database(settings) as (found, _):
        yield found


@contextmanager
def database_address(settings: Settings) -> Iterator[Settings]:
    """Settings that name a database; a configured one is waited for by the process, which answers probes meanwhile."""
    if settings.database.url:
        yield settings
        return
    with database(settings) as found:
        yield found


@contextmanager
def kept_database(
    settings: Settings, say: Callable[[str], None] = log.warning, *, may_move: bool = False
) -> Iterator[tuple[Settings, DatabaseKeeper | None]]:
    """The same with the keeper of an embedded database; see DatabaseKeeper for `say` and `may_move`."""
    if settings.database.url:
        wait_for_database(settings)
        yield _migrated(settings), None
        return
    server = EmbeddedPostgres(settings.embedded.directory, settings.embedded.database_port)
    may_move = may_move and settings.embedded.database_port == 0
    with DatabaseKeeper(server, say, may_move=may_move) as keeper:
        yield _migrated(amended(settings, database={"url": server.url})), keeper


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
        if not _is_held(settings.embedded.directory):
            return settings  # left behind by a stack that was killed; somebody else may have that port now
        note = json.loads(_note(settings.embedded.directory).read_text())
        host, port = note["bootstrap_servers"].rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=1).close()
        return amended(settings, kafka={"bootstrap_servers": note["bootstrap_servers"]})
    return settings


def is_running(directory: Path) -> bool:
    """Whether a stack runs in `directory`."""
    return _lock_file(directory).exists() and _is_held(directory)


def announce(directory: Path, bootstrap_servers: str) -> None:
    """Let other commands of this directory find the broker, until `withdraw`."""
    draft = _note(directory).with_suffix(".tmp")
    with _explained(directory):
        draft.write_text(json.dumps({"bootstrap_servers": bootstrap_servers}))
        draft.replace(_note(directory))


def withdraw(directory: Path) -> None:
    """Take that announcement back."""
    _note(directory).unlink(missing_ok=True)


@contextmanager
def exclusive(directory: Path, *, anew: bool = False) -> Iterator[None]:
    """Hold the directory for one stack; `anew`: emptied of what another one left there.

    Raises AlreadyRunning naming the process that has it, or that has the database which would be removed.
    """
    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        handle = _lock_file(directory).open("a+")
    with handle:
        if not _take(handle):
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise AlreadyRunning(
                f"a stack runs already in {directory.absolute()} (process {holder}); stop it, "
                "or set NEWSTIDE_EMBEDDED__DIRECTORY to another place"
            )
        with _explained(directory):
            handle.seek(0)
            handle.truncate()
            handle.write(str(os.getpid()))
            handle.flush()
        if anew:
            _empty(directory)
        yield


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NewstideError(
            f"{directory.absolute()} can't be used: {describe_fault(error)}; make it writable and free space, "
            "or set NEWSTIDE_EMBEDDED__DIRECTORY to another place"
        ) from error


def _empty(directory: Path) -> None:
    """Remove everything but the lock file: with a new one a second stack would hold the same directory."""
    deadline = time.monotonic() + _KILLED_END_WITHIN_S
    while (server := _database_server(directory)) is not None or EmbeddedPostgres(directory).in_use():
        if time.monotonic() > deadline:
            raise AlreadyRunning(
                f"a command uses the database in {directory.absolute()}, which would be removed "
                f"(process {server or 'unknown'}); stop it, or set NEWSTIDE_EMBEDDED__DIRECTORY to another place"
            )
        time.sleep(0.05)
    try:
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != _lock_file(directory):
                entry.unlink()
    except OSError as error:
        raise NewstideError(f"{error.filename} can't be removed: {error.strerror}; remove it, and try again") from error


def _database_server(directory: Path) -> int | None:
    """The process of an embedded database in `directory`, as far as Linux shows it to us; None: there is none."""
    data = EmbeddedPostgres(directory).data
    return next((pid for pid in working_in(data) if str(data) in read_command_line(pid)), None)


def _take(handle: IO[str]) -> bool:
    deadline = time.monotonic() + _LOOKERS_LEAVE_WITHIN_S
    while not try_lock(handle):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_held(directory: Path) -> bool:
    with _lock_file(directory).open() as handle:
        return not try_lock(handle, shared=True)


def _migrated(settings: Settings) -> Settings:
    engine = open_engine(settings, pool_size=1)
    deadline = time.monotonic() + settings.database.start_timeout_s
    try:
        while True:
            try:
                migrate(engine)
                return settings
            except OperationalError:  # it answered a moment ago: a restart, or the keeper is at it
                if time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_AFTER_S)
    finally:
        engine.dispose()


def _lock_file(directory: Path) -> Path:
    return directory / "up.lock"


def _note(directory: Path) -> Path:
    return directory / "broker.json"
