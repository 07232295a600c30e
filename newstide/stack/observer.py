"""Looks into the store of a running stack, in a thread of its own: a database that hangs or is away stops nothing else.

What it saw last stays until it sees something newer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from core.store.alerts import count_alerts
from core.store.ledger import PartitionProgress, read_ledger
from core.store.recount import totals
from newstide.stack.background import DATABASE_AWAY
from newstide.stack.screen import Snapshot
from newstide.stack.snapshots import Snapshots

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Summary:
    """What the store holds when a stack has drained, and how long this run took from its first record to the last."""

    messages: int
    stories: int
    dead_letters: int
    alerts: int
    seconds: float
    messages_per_second: float


@dataclass(frozen=True)
class Progress:
    """How far a stack has come: its replay, with a summary once that has ended, and whether alerting has finished.

    A new object is made at each change, so that an observation tells what it was of.
    """

    replay: UUID | None = None
    replay_summary: dict[str, Any] | None = None
    judged: bool = False


@dataclass(frozen=True)
class Observation:
    """The store at one moment. `settled`: all that the replay sent is committed, and its dead letters are archived."""

    progress: Progress
    snapshot: Snapshot
    behind: int
    settled: bool
    summary: Summary | None


class Observer:
    """Observes twice a second from `start()` to `stop()`.

    `progress` and `engine` are asked for each observation. With `details` it fills whole snapshots, without it reads
    only what decides whether the stack has drained. An observation of a settled and judged stack comes with a summary.
    """

    def __init__(
        self,
        topic: str,
        engine: Callable[[], Engine],
        progress: Callable[[], Progress],
        letters_archived: Callable[[Engine], bool],
        *,
        details: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._topic = topic
        self._engine = engine
        self._progress = progress
        self._letters_archived = letters_archived
        self._snapshots = Snapshots() if details else None
        self._say = say
        self._latest: Observation | None = None
        self._error: BaseException | None = None
        self._away_since: float | None = None
        self._began = time.monotonic()
        self._read = 0
        self._last_read: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._observe, name="observer", daemon=True)

    @property
    def latest(self) -> Observation | None:
        """The newest observation, of the present run or a former one. Raises what went wrong in the thread."""
        if self._error is not None:
            raise self._error
        return self._latest

    @property
    def database_is_away(self) -> bool:
        """True while the latest look failed."""
        return self._away_since is not None

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """End the thread; one that hangs in a query is left to itself."""
        self._stopping.set()
        self._thread.join(within_s)

    def summarise(self) -> Summary:
        """Totals of the store, and the speed of this run. Raises one of DATABASE_AWAY."""
        engine = self._engine()
        seconds = time.monotonic() - self._began
        counts = totals(engine)
        return Summary(
            messages=counts["messages"],
            stories=counts["stories"],
            dead_letters=counts["dead_letters"],
            alerts=count_alerts(engine),
            seconds=round(seconds, 2),
            messages_per_second=round(self._read / seconds, 1),
        )

    def _observe(self) -> None:
        while True:
            try:
                self._latest = self._look()
                self._note_return()
            except DATABASE_AWAY as error:
                self._note_outage(error)
            except BaseException as error:
                self._error = error
                return
            if self._stopping.wait(_LOOK_EVERY_S):
                return

    def _look(self) -> Observation:
        progress, engine = self._progress(), self._engine()
        ledger = read_ledger(engine, self._topic)
        self._count(ledger)
        behind = sum(max((row.end_offset or 0) - (row.next_offset or 0), 0) for row in ledger)
        settled = behind == 0 and progress.replay_summary is not None and self._letters_archived(engine)
        return Observation(
            progress=progress,
            snapshot=self._snapshots.take(engine, ledger) if self._snapshots is not None else Snapshot(),
            behind=behind,
            settled=settled,
            summary=self.summarise() if settled and progress.judged else None,
        )

    def _count(self, ledger: list[PartitionProgress]) -> None:
        read = sum(row.next_offset or 0 for row in ledger)
        if self._last_read is not None:
            self._read += max(read - self._last_read, 0)
        self._last_read = read

    def _note_outage(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            self._say(f"the database is away ({reason}); waiting for it")

    def _note_return(self) -> None:
        if self._away_since is not None:
            self._say(f"the database answers again after {time.monotonic() - self._away_since:.1f} s")
            self._away_since = None
