"""How many labels there are, kept up to date: the page asks after every label, and rows are kept for good."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from desk.labelling.sql import QUERIES

_AT_ONCE = 5_000  # more new rows than this are counted with all others

_Key = tuple[str, str, bool, str | None]


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Rows of one analyst, task and label: `given` all of them, `current` those that no later row replaced.

    `companies`: they are of companies in texts, else of the texts themselves.
    """

    analyst: str
    task: str
    companies: bool
    label: str | None
    given: int
    current: int


class LabelCounter:
    """Counts the rows of one store, exactly. Thread-safe.

    All rows are counted once, then only those above the highest id known. A row below it may be committed later than
    that: then there are more new rows than ids above, and all are counted anew.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._rows, self._last = -1, 0
        self._given: Counter[_Key] = Counter()
        self._current: Counter[_Key] = Counter()

    def read(self) -> list[LabelCount]:
        """Counts of every row there is, by analyst, task, what it is of, and label."""
        with self._lock, self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            rows = int(connection.execute(QUERIES["rows"]).scalar_one())
            if rows != self._rows and not self._add(connection, rows - self._rows):
                self._count(connection)
            self._rows = rows
            order = sorted(self._given, key=lambda key: (*key[:3], key[3] or ""))
            return [LabelCount(*key, self._given[key], self._current[key]) for key in order]

    def _add(self, connection: Connection, new: int) -> bool:
        """Count what came since; False where that are other rows than those above the last id."""
        if self._rows < 0 or not 0 < new <= _AT_ONCE:
            return False
        rows = list(connection.execute(QUERIES["rows_after"], {"after": self._last, "limit": new + 1}))
        if len(rows) != new:
            return False
        for row in rows:
            self._given[_key(row)] += 1
            self._current[_key(row)] += 1
            if row.former is not None:
                self._current[row.former_analyst, row.task, row.companies, row.former_label] -= 1
        self._last = rows[-1].id
        return True

    def _count(self, connection: Connection) -> None:
        rows = list(connection.execute(QUERIES["counts"]))
        self._given = Counter({_key(row): row.given for row in rows})
        self._current = Counter({_key(row): row.current for row in rows})
        self._last = max((row.last for row in rows), default=0)


def _key(row: Any) -> _Key:
    return row.analyst, row.task, row.companies, row.label
