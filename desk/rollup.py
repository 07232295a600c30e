"""Adds up the minutes of trends by the hour, so that a view of weeks reads hours.

What `trend_hours` in the store answers is exact at any moment, however far this has come. A worker that changes a
minute before `marked_until` notes its hour as unrolled, in the same transaction. An hour is rolled only after every
transaction is over that could have begun before it was marked. And rolling reads the minutes and takes away the notes
in one snapshot: a change that it does not see keeps its note, and until that hour is rolled again, minutes are read.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from desk.store.rollup import QUERIES

log = logging.getLogger(__name__)

_LOCK = 0x726F6C6C  # any constant that all desks of a store share
_HOUR, _CHUNK = timedelta(hours=1), timedelta(days=1)
_MOST_MARKED = 48  # hours that are rolled again in one pass
_PATIENCE_S = 2.0


class Rollup:
    """Rolls up one store every `every_s`, between `start` and `stop`; several desks may."""

    def __init__(self, engine: Engine, every_s: float = 5.0) -> None:
        self._engine = engine
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk-rollup", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def thread_name(self) -> str:
        return self._thread.name

    def roll(self) -> bool:
        """Roll up what is over and what has changed; False where another desk is at it."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not _one(connection, "try_lock", key=_LOCK).taken:
                return False
            try:
                self._roll_new(connection)
                self._roll_marked(connection)
                connection.execute(QUERIES["forget_merged"])
            finally:
                connection.execute(QUERIES["unlock"], {"key": _LOCK})
        return True

    def _roll_new(self, connection: Connection) -> None:
        state = _one(connection, "state")
        if state.over is None or state.over <= state.rolled_until:
            return
        connection.execute(QUERIES["mark_until"], {"until": state.over})
        horizon = _one(connection, "horizon").horizon
        deadline = time.monotonic() + _PATIENCE_S
        while not _one(connection, "is_past", horizon=horizon).past:
            if time.monotonic() > deadline or self._stopping.wait(0.05):
                return
        state = _one(connection, "state")  # what those transactions brought may be older than all before
        since = max(state.rolled_until, state.first_hour)
        while since < state.marked_until and not self._stopping.is_set():
            until = min(state.marked_until, since + _CHUNK)
            with self._snapshot() as work, work.begin():
                span = {"since": since, "until": until}
                work.execute(QUERIES["forget"], span)
                work.execute(QUERIES["roll"], span)
                work.execute(QUERIES["move"], {"until": until})
            since = until

    def _roll_marked(self, connection: Connection) -> None:
        hours: list[datetime] = [row.hour for row in connection.execute(QUERIES["marked"], {"limit": _MOST_MARKED})]
        for hour in hours:
            if self._stopping.is_set():
                return
            with self._snapshot() as work, work.begin():
                span = {"since": hour, "until": hour + _HOUR}
                work.execute(QUERIES["unmark"], {"hour": hour})
                work.execute(QUERIES["forget"], span)
                work.execute(QUERIES["roll"], span)

    def _snapshot(self) -> Connection:
        return self._engine.connect().execution_options(isolation_level="REPEATABLE READ")

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.roll()
            except SQLAlchemyError as error:
                log.warning("trends were not rolled up: %s", str(error).splitlines()[0])


def _one(connection: Connection, query: str, **parameters: Any) -> Any:
    return connection.execute(QUERIES[query], parameters).one()
