"""Figures and lists of labels, as the store has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from core.label_lines import Subject
from core.store.labels import Label
from core.store.sql import records
from desk.labelling.agreement import Word
from desk.labelling.sql import QUERIES

_PAGE = 1_000
AGREEMENT_POOL = 10_000  # the latest labels, which agreement and disputes are looked for in


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of the table of labels; `label` None takes back what was said. `entity`: the company in the text that it is
    of, empty where it is of the text. `counts`: no later row replaced it."""

    id: int
    story: UUID
    uid: UUID | None
    text: str
    source: str
    task: str
    entity: str
    label: str | None
    analyst: str
    labelled_at: datetime
    final: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class HourCount:
    """Labels that an analyst gave in the hour that begins with `hour`."""

    analyst: str
    hour: datetime
    labels: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """A text, or the company `entity` in it, that analysts are split on, with the label of each of them. `at` orders
    disputes by their latest label."""

    at: int
    story: UUID
    task: str
    entity: str
    text: str
    uid: UUID | None
    source: str
    analysts: list[str]
    labels: list[str]


def read_history(
    engine: Engine,
    reader: str,
    *,
    before: int | None = None,
    analyst: str | None = None,
    task: str | None = None,
    story: UUID | None = None,
    words: str | None = None,
    limit: int = 50,
) -> list[LabelRow]:
    """Rows with ids below `before`, the newest first, as `reader` may see them; `words` are somewhere in the text."""
    values = {"before": before, "analyst": analyst, "task": task, "story": story, "limit": limit, "reader": reader}
    pattern = f"%{_escaped(words)}%" if words else None
    with engine.connect() as connection:
        return records(LabelRow, connection.execute(QUERIES["history"], {**values, "words": pattern}))


def count_by_hour(engine: Engine, hours: int) -> list[HourCount]:
    """Labels of each analyst in the last `hours`, the present one included."""
    with engine.connect() as connection:
        return records(HourCount, connection.execute(QUERIES["hours"], {"hours": hours}))


def read_words(engine: Engine, pool: int = AGREEMENT_POOL) -> list[Word]:
    """What analysts say of the texts that more than one of them labelled, among the `pool` latest labels."""
    with engine.connect() as connection:
        return [
            Word(row.story, row.text, row.task, row.analyst, row.label, row.entity)
            for row in connection.execute(QUERIES["labelled_twice"], {"pool": pool})
        ]


def read_counting(connection: Connection) -> Iterator[Label]:
    """Every label that counts, and every verdict, text by text; rows come as they are read."""
    rows = connection.execution_options(stream_results=True, yield_per=_PAGE).execute(QUERIES["words"])
    return (Label(**row._mapping) for row in rows)


def read_disputes(
    engine: Engine, *, task: str | None = None, before: tuple[int, str, str] | None = None, limit: int = 50
) -> list[Dispute]:
    """Disputes without a verdict, the latest first; `before`: `at`, task and entity of the last on the page before."""
    at, of_task, of_entity = before or (None, None, None)
    values = {"task": task, "before": at, "before_task": of_task, "before_entity": of_entity, "limit": limit}
    with engine.connect() as connection:
        return records(Dispute, connection.execute(QUERIES["disputed"], {**values, "pool": AGREEMENT_POOL}))


def disputants(connection: Connection, story: UUID, subject: Subject) -> set[str]:
    """Who disagrees about a story in one task, or about a company in it; nobody where that is not disputed."""
    rows = connection.execute(QUERIES["disputed_story"], {"story": story, **subject._asdict()})
    return {analyst for row in rows for analyst in row.analysts}


def _escaped(words: str) -> str:
    return words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
