"""Whether a worker gets its work done: commits follow each other, or there is nothing to commit."""

from __future__ import annotations

import time
from collections.abc import Callable


class CommitProgress:
    """Two checks of `core.health`, fed by the engine and its watchdog. Thread-safe: each field is set at once.

    Called, it is the one of readiness: None while nothing waits or a commit came within `within_s`. `stalled` is that
    of liveness: a worker that could commit and did not for `stalled_after_s`, as of the latest look. A database or
    broker that is away is never held against it, so that no probe restarts a worker for another's outage.
    """

    def __init__(self, within_s: float, stalled_after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._stalled_after_s = stalled_after_s
        self._clock = clock
        self._moved_at = self._able_since = clock()
        self._reason: str | None = "the worker has not joined its group yet"
        self._stalled: str | None = None

    def committed(self) -> None:
        """A batch is in the store for good."""
        self._moved_at = self._clock()

    def look(self, lag: int | None, waiting_for_database: bool) -> None:
        """What the watchdog saw: records behind (None: Kafka or the database did not say)."""
        now = self._clock()
        if waiting_for_database or lag is None:
            self._able_since = now
        if waiting_for_database:
            self._reason = "the database fails; batches are held and tried again"
        elif lag is None:
            self._reason = "the lag is not known: Kafka or the database does not answer"
        elif lag == 0:
            self._moved_at = now
            self._reason = None
        else:
            silence = now - self._moved_at
            late = silence > self._within_s
            self._reason = f"{lag} records behind, and no commit for {silence:.0f} s" if late else None
        able = now - max(self._moved_at, self._able_since)
        stalled = able > self._stalled_after_s
        self._stalled = f"{lag} records behind, and none committed for {able:.0f} s" if stalled else None

    def stalled(self) -> str | None:
        """Why this worker should be started anew."""
        return self._stalled

    def __call__(self) -> str | None:
        return self._reason
