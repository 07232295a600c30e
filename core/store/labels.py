"""Labels that analysts gave: an append-only table, where the latest row of an analyst for a text and task counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from core.errors import InputError, UndecodableMessage
from core.labelled import check_labels, read_objects
from core.records import MAX_TEXT_CHARACTERS, MAX_TITLE_CHARACTERS
from core.sources import EXPECTED_SOURCE, source_key, source_name
from core.store.messages import message_of
from core.store.sql import load_queries, records
from core.taxonomy import Taxonomy
from core.text import clean, word_form

_SQL = load_queries(Path(__file__).with_name("labels.sql"))

DEFAULT_SOURCE = "analysts"  # of a text that was never a message
MAX_ANALYST_CHARACTERS = 100
_MAX_CHARACTERS = MAX_TEXT_CHARACTERS + MAX_TITLE_CHARACTERS + 2
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Label:
    """What `analyst` said of a text in one task; a `label` of None takes back what they said before.

    `uid` names the stored message it was said of, if it was one, and `story` that message's. `final`: a verdict on what
    analysts disagree about, which outranks them.
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


class LabelledMessage(NamedTuple):
    """A stored message as labels know it: its text as it was classified, its source and its story."""

    text: str
    source: str
    story: UUID


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line of a file of labels; a message's text and source are not known before the store is asked."""

    number: int
    labels: dict[str, str]
    text: str = ""
    source: str = DEFAULT_SOURCE
    uid: UUID | None = None


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
        "step": step,
    }
    return int(connection.execute(text(_SQL["add"]), parameters).rowcount)


def read_labels(engine: Engine, analyst: str | None = None, newest: int | None = None) -> list[Label]:
    """Every row, superseded ones too, the oldest first; of one `analyst`, or only the `newest` where given."""
    with engine.connect() as connection:
        return records(Label, connection.execute(text(_SQL["newest"]), {"analyst": analyst, "limit": newest}))


def import_labels(engine: Engine, path: Path, analyst: str, taxonomy: Taxonomy) -> tuple[int, int]:
    """Add the labels in `path` as those of `analyst`: how many were added, how many the analyst had said already.

    All or nothing. Raises InputError naming the line that is malformed, unlabelled, labelled outside `taxonomy`,
    contradicts another line, or names a message that the store does not have.
    """
    name = clean(analyst)
    if not name or len(name) > MAX_ANALYST_CHARACTERS:
        raise InputError(f"analyst {analyst[:40]!r}: expected a name of 1 to {MAX_ANALYST_CHARACTERS} characters")
    lines = read_label_lines(path, taxonomy)
    messages = find_messages(engine, {line.uid for line in lines if line.uid is not None})
    missing = [line for line in lines if line.uid is not None and line.uid not in messages]
    if missing:
        named = ", ".join(f"line {line.number} ({line.uid})" for line in missing[:_MOST_NAMED])
        raise InputError(
            f"{path} names {len(missing)} messages that are not in the store: {named}; "
            'they are misspelt or past retention: give their "text" instead of "uid"'
        )
    labels = _resolve(path, lines, messages, name)
    added = add_labels(engine, labels)
    return added, len(labels) - added


def read_label_lines(path: Path, taxonomy: Taxonomy) -> list[LabelLine]:
    """Lines {"text" | "uid", "<task>": "<label>", "source"?} of `path`, checked against `taxonomy`.

    Raises InputError naming the line and the fault.
    """
    return [_line(f"{path} line {number}", number, entry, taxonomy) for number, entry in read_objects(path)]


def find_messages(engine: Engine, uids: Iterable[UUID]) -> dict[UUID, LabelledMessage]:
    """Each stored message among `uids`."""
    wanted = list(uids)
    if not wanted:
        return {}
    with engine.connect() as connection:
        rows: Iterable[Any] = connection.execute(text(_SQL["messages"]), {"uids": wanted})
        return {row.uid: LabelledMessage(message_of(row).body, row.source, row.story) for row in rows}


def _line(where: str, number: int, entry: Mapping[str, Any], taxonomy: Taxonomy) -> LabelLine:
    labels = check_labels(entry, taxonomy.tasks, where)
    given, uid, source = entry.get("text"), entry.get("uid"), entry.get("source")
    if (given is None) == (uid is None):
        raise InputError(f'{where}: expected one of the fields "text" and "uid"')
    if uid is not None:
        try:
            return LabelLine(number, labels, uid=UUID(uid if isinstance(uid, str) else ""))
        except ValueError:
            raise InputError(f"{where}: uid is {str(uid)[:80]!r}; expected the uid of a stored message") from None
    body = clean(given) if isinstance(given, str) else ""
    if not word_form(body):
        raise InputError(f"{where}: text is {str(given)[:80]!r}; expected some words")
    if len(body) > _MAX_CHARACTERS:
        raise InputError(f"{where}: text has {len(body)} characters; at most {_MAX_CHARACTERS} are accepted")
    if source is None:
        source = DEFAULT_SOURCE
    try:
        return LabelLine(number, labels, body, source_key(source_name(source)))
    except UndecodableMessage:
        raise InputError(f"{where}: source is {str(source)[:80]!r}; expected {EXPECTED_SOURCE}") from None


def _resolve(
    path: Path, lines: Sequence[LabelLine], messages: Mapping[UUID, LabelledMessage], analyst: str
) -> list[Label]:
    found: list[Label] = []
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    for line in lines:
        known = messages.get(line.uid) if line.uid is not None else None
        body, source, story = known or (line.text, line.source, None)
        for task, label in line.labels.items():
            earlier = seen.setdefault((body, task), (label, line.number))
            if earlier[0] != label:
                raise InputError(
                    f"{path} line {line.number}: {task} is {label!r}, but line {earlier[1]} labels the same text "
                    f"{earlier[0]!r}; keep one of them"
                )
            if earlier[1] == line.number:
                found.append(Label(body, source, task, label, analyst, line.uid, story=story))
    return found
