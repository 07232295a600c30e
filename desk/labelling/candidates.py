"""Stories that may be labelled, read from the store: the newest ones, and those behind alerts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from desk.labelling.order import Candidate, margin
from desk.labelling.sql import QUERIES

POOL = 10_000  # messages looked at: a look costs the same on a store of any size
SHADOW_POOL = 5_000
FRESH_S = 20.0
_ALERTS, _STORIES_OF_ALERT = 20, 25


class Candidates:
    """The candidates of one store, looked up again after `fresh_s` seconds. Thread-safe.

    Who asks while another thread looks gets those of the look before.
    """

    def __init__(self, engine: Engine, fresh_s: float = FRESH_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._fresh_s = fresh_s
        self._clock = clock
        self._looking = threading.Lock()
        self._found: list[Candidate] | None = None
        self._at = 0.0

    def read(self) -> list[Candidate]:
        """One candidate for each story, in no particular order."""
        if self._found is not None and self._clock() - self._at < self._fresh_s:
            return self._found
        if self._looking.acquire(blocking=self._found is None):
            try:
                if self._found is None or self._clock() - self._at >= self._fresh_s:
                    with self._engine.connect() as connection:
                        self._found = read_candidates(connection)
                    self._at = self._clock()
            finally:
                self._looking.release()
        assert self._found is not None  # somebody has looked
        return self._found

    def note_labelled(self, story: UUID, tasks: frozenset[str]) -> None:
        """Have what was just labelled offered no more, before the next look."""
        found = self._found
        if found is not None:
            self._found = [replace(one, labelled=one.labelled | tasks) if one.story == story else one for one in found]


def read_candidates(connection: Connection, pool: int = POOL) -> list[Candidate]:
    """The stories among the `pool` newest messages and behind the newest alerts."""
    rows = list(connection.execute(QUERIES["newest_stories"], {"pool": pool}))
    driving = list(connection.execute(QUERIES["alert_stories"], {"alerts": _ALERTS, "stories": _STORIES_OF_ALERT}))
    differences = {
        row.uid: frozenset(row.tasks)
        for row in connection.execute(QUERIES["shadow_differences"], {"pool": SHADOW_POOL})
    }
    alerting = {row.story for row in driving}
    by_story = {row.story: row for row in (*driving, *rows)}
    labelled = {
        row.story: frozenset(row.tasks)
        for row in connection.execute(QUERIES["labelled_tasks"], {"stories": list(by_story)})
    }
    return [
        Candidate(
            story=row.story,
            uid=row.uid,
            source=row.source,
            reach=row.reach,
            margins=_margins(row),
            disagrees=differences.get(row.uid, frozenset()),
            alerting=row.story in alerting,
            labelled=labelled.get(row.story, frozenset()),
        )
        for row in by_story.values()
    ]


def _margins(row: Any) -> dict[str, float]:
    found = {"sentiment": margin(row.sentiment), "topic": margin(row.topic)}
    return {task: value for task, value in found.items() if value is not None}
