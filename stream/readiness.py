"""Whether a worker gets its work done: commits follow each other, or there is nothing to commit."""

from __future__ import annotations

import time


class CommitProgress:
    """A check of `core.health`, fed by the engine and its watchdog. Thread-safe: each field is set at once."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._moved_at = time.monotonic()
        self._reason: str | None = "the worker has not joined its group yet"

    def committed(self) -> None:
        """A batch is in the store for good."""
        self._moved_at = time.monotonic()

    def look(self, lag: int | None, waiting_for_database: bool) -> None:
        """What the watchdog saw: records behind (None: Kafka or the database did not say)."""
        if waiting_for_database:
            self._reason = "the database fails; batches are held and tried again"
        elif lag is None:
            self._reason = "the lag is not known: Kafka or the database does not answer"
        elif lag == 0:
            self._moved_at = time.monotonic()
            self._reason = None
        else:
            silence = time.monotonic() - self._moved_at
            late = silence > self._within_s
            self._reason = f"{lag} records behind, and no commit for {silence:.0f} s" if late else None

    def __call__(self) -> str | None:
        return self._reason
