"""The archive of dead letters, as the operator's commands read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from core.store.sql import load_queries

_SQL = load_queries(Path(__file__).with_suffix(".sql"))
_PAGE = 50  # letters of up to 900 kB in memory at once


@dataclass(frozen=True, slots=True)
class ArchivedLetter:
    """A dead letter in the store; `size` in bytes, `value` None where it was not asked for.

    `replayed_at` is None until it was sent again. `context` is that of `core.dead_letters.DeadLetter`.
    """

    id: UUID
    origin: str
    stage: str
    topic: str
    key: bytes | None
    value: bytes | None
    size: int
    reason: str
    failed_at: datetime
    replayed_at: datetime | None
    context: Mapping[str, str]


def list_dead_letters(
    engine: Engine, *, include_replayed: bool = False, limit: int | None = None, values: bool = False
) -> Iterator[ArchivedLetter]:
    """Letters, the newest first, read a page at a time."""
    at: datetime | None = None
    last: UUID | None = None
    left = limit
    while left is None or left > 0:
        page = _PAGE if left is None else min(_PAGE, left)
        rows = _read(engine, "newest", values=values, replayed=include_replayed, at=at, id=last, limit=page)
        yield from rows
        if len(rows) < page:
            return
        at, last = rows[-1].failed_at, rows[-1].id
        left = None if left is None else left - len(rows)


def find_dead_letters(engine: Engine, name: str) -> list[UUID]:
    """Ids of the letters of origin `name`, or of the one with that id."""
    given = None
    with suppress(ValueError):
        given = UUID(name)
    return [letter.id for letter in _read(engine, "named", name=name, id=given)]


def open_dead_letters(engine: Engine) -> list[UUID]:
    """Ids of all letters that were not sent again, the oldest first."""
    with engine.connect() as connection:
        return list(connection.execute(text(_SQL["open_ids"])).scalars())


def read_dead_letters(engine: Engine, ids: Sequence[UUID]) -> Iterator[list[ArchivedLetter]]:
    """The letters of `ids` with their values, a page at a time."""
    for start in range(0, len(ids), _PAGE):
        yield _read(engine, "by_ids", ids=list(ids[start : start + _PAGE]))


def mark_replayed(engine: Engine, ids: Iterable[UUID]) -> None:
    """Note that the letters were sent again."""
    with engine.begin() as connection:
        connection.execute(text(_SQL["mark_replayed"]), {"ids": list(ids)})


def note_failure(engine: Engine, letter: UUID, reason: str) -> None:
    """Note why another try at the letter failed."""
    with engine.begin() as connection:
        connection.execute(text(_SQL["still_dead"]), {"id": letter, "reason": reason.replace("\x00", "\ufffd")})


def _read(engine: Engine, query: str, **parameters: Any) -> list[ArchivedLetter]:
    with engine.connect() as connection:
        return [ArchivedLetter(**row._mapping) for row in connection.execute(text(_SQL[query]), parameters)]
