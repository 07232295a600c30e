"""The pace of a replay: a multiple of real time, or as fast as it goes."""

from __future__ import annotations

import threading
import time
from datetime import datetime

from core.records import Message

_LONGEST_SLEEP_S = 0.5


class Pace:
    """Waits so that event time passes `speed` times as fast as the clock; None: never waits.

    It begins after the first `unpaced_rows`.
    """

    def __init__(self, speed: float | None, stop: threading.Event, unpaced_rows: int = 0) -> None:
        self._speed = speed
        self._unpaced_rows = unpaced_rows
        self._stop = stop
        self._first: tuple[datetime, float] | None = None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def due_in(self, row: int, message: Message) -> float:
        """Seconds until the `message` of row `row` is due; 0 if it is late, out of order or has no time of its own."""
        if self._speed is None or not message.has_own_time or row <= self._unpaced_rows:
            return 0.0
        now = time.monotonic()
        if self._first is None:
            self._first = (message.published_at, now)
        event, wall = self._first
        return max(0.0, (message.published_at - event).total_seconds() / self._speed - (now - wall))

    def sleep(self, seconds: float) -> None:
        self._stop.wait(min(seconds, _LONGEST_SLEEP_S))
