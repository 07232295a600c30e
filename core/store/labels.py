"""Labels that analysts gave: an append-only table, where the latest row of an analyst for a text, or for one company in
it, and task counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from core.errors import InputError
from core.label_lines import LabelLine, Subject, checked_analyst, read_label_lines
from core.labelled import read_objects
from core.store.messages import message_of
from core.store.sql import load_queries, records
from core.taxonomy import Taxonomy
from core.text import clean

_SQL = load_queries(Path(__file__).with_name("labels.sql"))

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Label:
    """What `analyst` said of a text in one task; a `label` of None takes back what they said before.

    `uid` names the stored message it was said of, if it was one, and `story` that message's. `final`: a verdict on what
    analysts disagree about, which outranks them. `entity`: the company in the text that it is of, by its series or as
    the text writes it; empty where it is of the text itself.
    """

    text: str
    source: str
    task: str
    label: str | None
    analyst: str
    uid: UUID | None = None
    labelled_at: datetime | None = None
    final: bool = False
    story: UUID | None = None
    entity: str = ""


class LabelledMessage(NamedTuple):
    """A stored message as labels know it: its text, cleaned as that of files is, its source and its story."""

    text: str
    source: str
    story: UUID


def add_labels(engine: Engine, labels: Sequence[Label]) -> int:
    """Append `labels` in one transaction; the number added. One that repeats its analyst's latest word is passed over.

    Times are the store's own: `labelled_at` is not looked at.
    """
    with engine.begin() as connection:
        return append_labels(connection, labels)


def append_labels(connection: Connection, labels: Sequence[Label], step: int | None = None) -> int:
    """The same within a transaction of the caller's; `step` is the deed that they belong to."""
    if not labels:
        return 0
    parameters = {
        "uids": [label.uid for label in labels],
        "texts": [label.text for label in labels],
        "sources": [label.source for label in labels],
        "tasks": [label.task for label in labels],
        "labels": [label.label for label in labels],
        "analysts": [label.analyst for label in labels],
        "finals": [label.final for label in labels],
        "stories": [label.story for label in labels],
        "entities": [label.entity for label in labels],
        "step": step,
    }
    return int(connection.execute(text(_SQL["add"]), parameters).rowcount)


def read_labels(engine: Engine, analyst: str | None = None, newest: int | None = None) -> list[Label]:
    """Every row, superseded ones too, the oldest first; of one `analyst`, or only the `newest` where given."""
    with engine.connect() as connection:
        return records(Label, connection.execute(text(_SQL["newest"]), {"analyst": analyst, "limit": newest}))


def import_labels(engine: Engine, path: Path, analyst: str | None, taxonomy: Taxonomy) -> tuple[int, int]:
    """Add the labels in `path` as those of `analyst`, or of whom each line names.

    Returns how many were added, and how many had been said already.

    All or nothing. Raises InputError naming the line that is malformed, unlabelled, labelled outside `taxonomy`, names
    nobody, contradicts another line, or names a message that the store does not have.
    """
    lines = read_label_lines(read_objects(path), str(path), taxonomy)
    with engine.begin() as connection:
        return add_label_lines(connection, lines, str(path), analyst)


def add_label_lines(
    connection: Connection, lines: Sequence[LabelLine], where: str, analyst: str | None
) -> tuple[int, int]:
    """The same for lines that were read from `where`, in a transaction of the caller's."""
    name = checked_analyst(analyst) if analyst is not None else None
    uids = {line.uid for line in lines if line.uid is not None}
    messages = find_messages(connection, uids)
    missing = [line for line in lines if line.uid is not None and not line.text and line.uid not in messages]
    if missing:
        named = ", ".join(f"line {line.number} ({line.uid})" for line in missing[:_MOST_NAMED])
        raise InputError(
            f"{where} names {len(missing)} messages that are not in the store: {named}; "
            'they are misspelt or past retention: give their "text" too'
        )
    labels = _resolve(where, lines, messages, name)
    added = append_labels(connection, labels)
    return added, len(labels) - added


def find_messages(connection: Connection, uids: Iterable[UUID]) -> dict[UUID, LabelledMessage]:
    """Each stored message among `uids`."""
    wanted = list(uids)
    if not wanted:
        return {}
    rows: Iterable[Any] = connection.execute(text(_SQL["messages"]), {"uids": wanted})
    return {row.uid: LabelledMessage(clean(message_of(row).body), row.source, row.story) for row in rows}


def _resolve(
    where: str, lines: Sequence[LabelLine], messages: Mapping[UUID, LabelledMessage], analyst: str | None
) -> list[Label]:
    found: list[Label] = []
    seen: dict[tuple[str, Subject, str, bool], tuple[str, int]] = {}
    for line in lines:
        known = messages.get(line.uid) if line.uid is not None else None
        body, source = (line.text, line.source) if line.text or known is None else (known.text, known.source)
        story = known.story if known is not None else line.story
        name = analyst or line.analyst
        if name is None:
            raise InputError(f'{where} line {line.number} names no analyst; expected a field "analyst"')
        for subject, label in line.words.items():
            earlier = seen.setdefault((body, subject, name, line.final), (label, line.number))
            if earlier[0] != label:
                raise InputError(
                    f"{where} line {line.number}: {subject} is {label!r}, but line {earlier[1]} labels the same text "
                    f"{earlier[0]!r}; keep one of them"
                )
            if earlier[1] == line.number:
                task, entity = subject
                said = Label(body, source, task, label, name, line.uid, None, line.final, story, entity)
                found.append(said)
    return found
