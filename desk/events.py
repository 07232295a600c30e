"""What is new, for pages that update themselves: one thread asks the store, every page hears of it.

An event says what kind of thing changed, and the page asks for what it shows. So an event that is missed does no harm,
and nobody hears of what they may not see.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from core.store.sql import load_queries

log = logging.getLogger(__name__)

_MARKS = text(load_queries(Path(__file__).with_suffix(".sql"))["marks"])
_MOST_WAITING = 16  # events for a page that does not read; it asks anew when it does

TOPICS: dict[str, tuple[str, ...]] = {
    "trends": ("messages", "committed_at", "judged_until"),
    "incidents": ("incident_changes", "feedback", "handling"),
    "labels": ("labels",),
    "models": ("model_changes",),
}
"""Kinds of events, and the marks that tell of them."""


class Events:
    """Watches one store every `every_s`, between `start` and `stop`."""

    def __init__(self, engine: Engine, every_s: float = 1.0) -> None:
        self._engine = engine
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="desk-events", daemon=True)
        self._listeners: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._lock = threading.Lock()
        self._marks: dict[str, Any] = {}
        self._changed: dict[str, float] = {}  # topic -> when a change of it was seen last, by the steady clock
        self._number = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and every subscription."""
        self._stopping.set()
        self._tell({"topic": "closing"})
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    @property
    def thread_name(self) -> str:
        return self._thread.name

    async def subscribe(self) -> AsyncIterator[str]:
        """Events as JSON, from now on, until the desk stops.

        The first one, `connected`, says for how many seconds each topic has not changed (`quiet_s`): what was asked
        for since then is not old.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MOST_WAITING)

        def put(event: dict[str, Any]) -> None:
            if not queue.full():
                queue.put_nowait(event)

        def tell(event: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(put, event)

        with self._lock:
            self._number += 1
            number = self._number
            self._listeners[number] = tell
        try:
            yield json.dumps({"topic": "connected", "quiet_s": self._quiet(), **_plain(self._marks)})
            while not self._stopping.is_set():
                event = await queue.get()
                if event["topic"] == "closing":
                    return
                yield json.dumps(event)
        finally:
            with self._lock:
                del self._listeners[number]

    def look(self) -> list[str]:
        """Ask the store once: the topics of what changed since the last look."""
        with self._engine.connect() as connection:
            marks = dict(connection.execute(_MARKS).one()._mapping)
        before, self._marks = self._marks, marks
        if not before:
            self._changed = dict.fromkeys(TOPICS, time.monotonic())
            return []
        changed = [topic for topic, names in TOPICS.items() if any(marks[name] != before[name] for name in names)]
        for topic in changed:
            self._changed[topic] = time.monotonic()
            self._tell({"topic": topic, **_plain(marks)})
        return changed

    def _quiet(self) -> dict[str, float]:
        """Seconds since each topic changed; nothing where nobody has looked yet."""
        now = time.monotonic()
        return {topic: round(now - at, 3) for topic, at in self._changed.items()}

    def _tell(self, event: dict[str, Any]) -> None:
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener(event)

    def _watch(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.look()
            except SQLAlchemyError as error:
                log.warning("the database failed: %s", str(error).splitlines()[0])


def _plain(marks: dict[str, Any]) -> dict[str, Any]:
    shown = ("judged_until", "committed_at")
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in marks.items()
        if name in shown
    }
