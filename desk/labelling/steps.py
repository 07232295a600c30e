"""What analysts say: each deed is one step, done once however often it is sent, and taken back as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from sqlalchemy import Connection

from core.errors import InputError
from core.label_lines import Subject
from core.labelled import SENTIMENT
from core.store.labels import Label, append_labels
from core.store.sql import records
from core.taxonomy import Taxonomy
from desk.labelling.items import Item, find_stories, read_items
from desk.labelling.sql import QUERIES
from desk.problems import Problem

UNDO_STEPS = 50

Words = Mapping[Subject, str | None]
"""Label by subject; None takes back what was said."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a step did: the words on each story that it changed, `rows` added. `again`: it was sent before."""

    stories: dict[UUID, dict[Subject, str | None]]
    rows: int
    again: bool = False


def check_words(words: Words, taxonomy: Taxonomy, where: str) -> None:
    """Raise InputError unless `words` name tasks and labels of `taxonomy`, at least one; companies have a sentiment
    alone."""
    if not words:
        raise InputError(f"{where} has no label; expected a label for one of {', '.join(taxonomy.tasks)}")
    for subject, label in words.items():
        task = subject.task
        if task not in taxonomy.tasks:
            raise InputError(f"{where}: {task[:80]!r} is no task; expected one of {', '.join(taxonomy.tasks)}")
        if subject.entity and task != SENTIMENT:
            raise InputError(f"{where}: {task} is no task for companies; they have a {SENTIMENT} alone")
        if label is not None and label not in taxonomy.tasks[task]:
            raise InputError(f"{where}: {subject} is {label[:80]!r}; expected one of {', '.join(taxonomy.tasks[task])}")


def keep_for_evaluation(
    given: Mapping[UUID, Words], is_for_evaluation: Callable[[UUID], bool]
) -> tuple[dict[UUID, Words], list[UUID]]:
    """What of `given` may be said by who saw what the model says, and the stories not labelled since they judge it.

    A word may be taken back all the same.
    """
    allowed: dict[UUID, Words] = {}
    kept = []
    for story, said in given.items():
        judges = is_for_evaluation(story)
        words = {subject: label for subject, label in said.items() if label is None or not judges}
        if len(words) < len(said):
            kept.append(story)
        if words:
            allowed[story] = words
    return allowed, kept


def resolve(connection: Connection, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """The story of each of `keys`, messages or stories. Raises Problem 404 naming one that is neither."""
    found = find_stories(connection, keys)
    left = [key for key in keys if key not in found]
    known = read_items(connection, left)
    missing = next((key for key in left if key not in known), None)
    if missing is not None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no message {missing} is stored, and no label is of it")
    return {key: found.get(key, key) for key in keys}


def save(
    connection: Connection,
    analyst: str,
    request: UUID,
    given: Mapping[UUID, Words],
    *,
    final: bool = False,
) -> Saved:
    """Say of each story what `given` holds; as the verdict on it with `final`.

    A request of this analyst that was done before changes nothing and answers as it did then. Raises Problem 404 for a
    story without a text, and InputError for a company that is none of the story's.
    """
    step = _begin(connection, analyst, request)
    if step is None:
        return _done(connection, analyst, request)
    items = read_items(connection, list(given))
    missing = next((story for story in given if story not in items), None)
    if missing is not None:
        raise Problem(HTTPStatus.NOT_FOUND, f"story {missing} has no text that is stored; it can't be labelled")
    labels = [
        _label(items[story], subject, label, analyst, final)
        for story, words in given.items()
        for subject, label in words.items()
    ]
    rows = append_labels(connection, labels, step)
    return Saved({story: dict(words) for story, words in given.items()}, rows)


def _label(item: Item, subject: Subject, label: str | None, analyst: str, final: bool) -> Label:
    if subject.entity and subject.entity not in item.entities:
        known = f"it has {', '.join(item.entities)}" if item.entities else "it has none"
        raise InputError(f"story {item.story} has no company {subject.entity[:80]!r}; {known}")
    return Label(
        item.body, item.source, subject.task, label, analyst, item.uid, final=final, story=item.story,
        entity=subject.entity,
    )  # fmt: skip


def undo(connection: Connection, analyst: str, request: UUID) -> Saved | None:
    """Take back the analyst's latest step that was not taken back yet, of their last 50: what it replaced counts again.

    None where there is none. Labels that somebody gave anew since then stay.
    """
    connection.execute(QUERIES["lock_steps"], {"analyst": analyst})
    known = connection.execute(QUERIES["step_of"], {"analyst": analyst, "request": request}).one_or_none()
    if known is not None:
        if known.undoes is None:
            raise InputError(f"request {request} gave labels; take an id of its own for each step")
        return _done(connection, analyst, request)
    last = connection.execute(QUERIES["last_step"], {"analyst": analyst, "steps": UNDO_STEPS}).one_or_none()
    if last is None:
        return None
    step = _begin(connection, analyst, request, undoes=last.id)
    former = records(Label, connection.execute(QUERIES["former_labels"], {"step": last.id}))
    rows = append_labels(connection, former, step)
    return Saved(_by_story(former), rows)


def is_done(connection: Connection, analyst: str, request: UUID) -> bool:
    """Whether that request of `analyst` was done before."""
    return connection.execute(QUERIES["step_of"], {"analyst": analyst, "request": request}).one_or_none() is not None


def steps_left(connection: Connection, analyst: str) -> int:
    """How many steps `analyst` can take back."""
    last = connection.execute(QUERIES["last_step"], {"analyst": analyst, "steps": UNDO_STEPS}).one_or_none()
    return 0 if last is None else int(last.left)


def _begin(connection: Connection, analyst: str, request: UUID, undoes: int | None = None) -> int | None:
    values = {"analyst": analyst, "request": request, "undoes": undoes}
    row = connection.execute(QUERIES["begin_step"], values).one_or_none()
    return None if row is None else int(row.id)


def _done(connection: Connection, analyst: str, request: UUID) -> Saved:
    step = connection.execute(QUERIES["step_of"], {"analyst": analyst, "request": request}).one()
    rows = list(connection.execute(QUERIES["step_labels"], {"step": step.id}))
    stories: dict[UUID, dict[Subject, str | None]] = defaultdict(dict)
    for row in rows:
        stories[row.story][Subject(row.task, row.entity)] = row.label
    return Saved(dict(stories), len(rows), again=True)


def _by_story(labels: Sequence[Label]) -> dict[UUID, dict[Subject, str | None]]:
    stories: dict[UUID, dict[Subject, str | None]] = defaultdict(dict)
    for label in labels:
        assert label.story is not None  # every stored label has one
        stories[label.story][Subject(label.task, label.entity)] = label.label
    return dict(stories)
