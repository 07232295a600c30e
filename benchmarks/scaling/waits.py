"""What the workers' sessions in Postgres do, seen ten times a second."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import psycopg

_EVERY_S = 0.1

# Every transaction adds to the rows of the series `all`, so one that has done so keeps the others from it until its
# commit: from the statement on trends to the last one.
_LOOK = """
SELECT CASE WHEN wait_event_type = 'Lock' THEN 'lock'
            WHEN state = 'idle' THEN 'idle'
            WHEN query ~ '^\\s*(INSERT INTO (trend|source) |INSERT INTO trend_change|UPDATE offset_ledger|COMMIT)'
                 THEN CASE wait_event_type WHEN 'IO' THEN 'serial, disk' ELSE 'serial' END
            WHEN wait_event_type IN ('IO', 'LWLock') THEN lower(wait_event_type)
            WHEN state = 'idle in transaction' THEN 'worker'
            ELSE 'running' END
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Waits:
    """Looks from entering the `with` block until leaving it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: Counter[str] = Counter()
        self._looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def sessions(self) -> dict[str, float]:
        """How many sessions were, on average, in each state but idle."""
        return {state: round(count / self._looks, 4) for state, count in sorted(self._seen.items()) if state != "idle"}

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._stop.is_set():
                rows: list[Any] = connection.execute(_LOOK).fetchall()
                self._seen.update(row[0] for row in rows)
                self._looks += 1
                self._stop.wait(_EVERY_S - time.monotonic() % _EVERY_S)
