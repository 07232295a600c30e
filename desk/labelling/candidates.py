"""Stories that may be labelled, read from the store: the newest, those behind alerts, those that a shadow doubts."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from desk.labelling.order import Candidate, Ranking, margin
from desk.labelling.sql import QUERIES

log = logging.getLogger(__name__)

POOL = 10_000  # messages looked at: a look costs the same on a store of any size
SHADOW_POOL = 5_000
FRESH_S, OLD_S = 20.0, 300.0
_ALERTS, _STORIES_OF_ALERT = 20, 25


class Candidates:
    """The candidates of one store. Thread-safe.

    Who asks when they are older than `fresh_s` gets them all the same, and has others looked up meanwhile; only when
    they are older than `old_s` does one wait for the look.
    """

    def __init__(
        self,
        engine: Engine,
        fresh_s: float = FRESH_S,
        old_s: float = OLD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._fresh_s = fresh_s
        self._old_s = old_s
        self._clock = clock
        self._looking = threading.Lock()
        self._found = Ranking([])
        self._at = -math.inf

    def read(self) -> Ranking:
        """One candidate for each story."""
        age = self._clock() - self._at
        if age >= self._old_s:
            with self._looking:
                if self._clock() - self._at >= self._old_s:
                    self._look()
        elif age >= self._fresh_s and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look_and_release, name="desk-candidates", daemon=True).start()
        return self._found

    def _look_and_release(self) -> None:
        try:
            self._look()
        except SQLAlchemyError as error:
            log.warning("the database failed: %s", str(error).splitlines()[0])
        finally:
            self._looking.release()

    def _look(self) -> None:
        with self._engine.connect() as connection:
            self._found = Ranking(read_candidates(connection))
        self._at = self._clock()


def read_candidates(connection: Connection, pool: int = POOL) -> list[Candidate]:
    """The stories among the `pool` newest messages, behind the newest alerts, and those that a shadow doubts."""
    rows = list(connection.execute(QUERIES["newest_stories"], {"pool": pool}))
    driving = list(connection.execute(QUERIES["alert_stories"], {"alerts": _ALERTS, "stories": _STORIES_OF_ALERT}))
    differing = list(connection.execute(QUERIES["shadow_differences"], {"pool": SHADOW_POOL}))
    disagrees: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in differing:
        disagrees[row.story] |= set(row.tasks)
    alerting = {row.story for row in driving}
    by_story = {row.story: row for row in (*differing, *driving, *rows)}
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
            disagrees=frozenset(disagrees.get(row.story, ())),
            alerting=row.story in alerting,
            labelled=labelled.get(row.story, frozenset()),
        )
        for row in by_story.values()
    ]


def _margins(row: Any) -> dict[str, float]:
    found = {"sentiment": margin(row.sentiment or ()), "topic": margin(row.topic or ())}
    return {task: value for task, value in found.items() if value is not None}
