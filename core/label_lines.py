"""Labels as JSON lines: what one analyst says of one text. Pure.

A line is {"text" | "uid", "<task>": "<label>", "entities"?: [{"name", "sentiment"}], "source"?, "analyst"?, "final"?,
"story"?}; what else it holds is passed over. `entities` are companies in the text, each by its series or as the text
writes it, and what is said of each; a line with companies needs no label of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from core.errors import InputError, UndecodableMessage
from core.labelled import ENTITIES, SENTIMENT, check_labels
from core.records import MAX_ENTITIES, MAX_TEXT_CHARACTERS, MAX_TITLE_CHARACTERS
from core.sources import EXPECTED_SOURCE, source_key, source_name
from core.taxonomy import Taxonomy
from core.text import clean, word_form

DEFAULT_SOURCE = "analysts"  # of a text that was never a message
MAX_ANALYST_CHARACTERS = 100
MAX_ENTITY_CHARACTERS = 64  # as in a record
_MAX_CHARACTERS = MAX_TEXT_CHARACTERS + MAX_TITLE_CHARACTERS + 2


class Subject(NamedTuple):
    """What a label is of: a text in one task, or, where `entity` is not empty, what the text says of that company."""

    task: str
    entity: str = ""

    def __str__(self) -> str:
        return f"{self.task} of {self.entity!r:.80}" if self.entity else self.task


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line of a file of labels. Of a message that is named by its `uid` alone, text and source are not known before
    the store is asked. `story` is believed of a message that the store no longer has."""

    number: int
    labels: dict[str, str]
    text: str = ""
    source: str = DEFAULT_SOURCE
    uid: UUID | None = None
    analyst: str | None = None
    final: bool = False
    story: UUID | None = None
    entities: dict[str, str] = field(default_factory=dict)  # label by company

    @property
    def words(self) -> dict[Subject, str]:
        """All labels of the line."""
        of_text = {Subject(task): label for task, label in self.labels.items()}
        return of_text | {Subject(SENTIMENT, entity): label for entity, label in self.entities.items()}


def read_label_lines(
    objects: Iterable[tuple[int, Mapping[str, Any]]], where: str, taxonomy: Taxonomy
) -> list[LabelLine]:
    """The numbered `objects` of the file `where`, checked against `taxonomy`.

    Raises InputError naming the line and the fault.
    """
    return [label_line(f"{where} line {number}", number, entry, taxonomy) for number, entry in objects]


def label_line(where: str, number: int, entry: Mapping[str, Any], taxonomy: Taxonomy) -> LabelLine:
    """The line that `entry` is. Raises InputError naming `where` and the fault."""
    entities = _entities(where, entry.get(ENTITIES), taxonomy.tasks.get(SENTIMENT, ()))
    unlabelled = entities and not any(entry.get(task) is not None for task in taxonomy.tasks)
    labels = {} if unlabelled else check_labels(entry, taxonomy.tasks, where)
    given = entry.get("text")
    uid = _uuid(where, "uid", entry.get("uid"))
    if given is None and uid is None:
        raise InputError(f'{where}: expected one of the fields "text" and "uid"')
    analyst = entry.get("analyst")
    final = entry.get("final")
    if final not in (None, True, False):
        raise InputError(f"{where}: final is {str(final)[:80]!r}; expected true or false")
    return LabelLine(
        number,
        labels,
        _text(where, given) if given is not None else "",
        _source(where, entry.get("source")),
        uid,
        checked_analyst(analyst, f"{where}: ") if analyst is not None else None,
        bool(final),
        _uuid(where, "story", entry.get("story")),
        entities,
    )


def checked_analyst(name: Any, where: str = "") -> str:
    """`name` as it is stored. Raises InputError for what is none."""
    found = clean(name) if isinstance(name, str) else ""
    if not found or len(found) > MAX_ANALYST_CHARACTERS:
        shown = str(name)[:40]
        raise InputError(f"{where}analyst {shown!r}: expected a name of 1 to {MAX_ANALYST_CHARACTERS} characters")
    return found


def checked_entity(name: Any, where: str) -> str:
    """`name` of a company as it is stored. Raises InputError, which begins with `where`, for what is none."""
    found = clean(name) if isinstance(name, str) else ""
    if not found or len(found) > MAX_ENTITY_CHARACTERS:
        shown = str(name)[:40]
        raise InputError(f"{where}company {shown!r}: expected a name of 1 to {MAX_ENTITY_CHARACTERS} characters")
    return found


def _entities(where: str, given: Any, labels: Sequence[str]) -> dict[str, str]:
    """Label by company."""
    if given is None or (isinstance(given, list) and all(isinstance(one, str) for one in given)):
        return {}  # names alone, as records of messages have them, label nothing
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InputError(
            f'{where}: {ENTITIES} is {str(given)[:80]}; expected a list of objects {{"name", "{SENTIMENT}"}}'
        )
    found: dict[str, str] = {}
    for one in given:
        name, label = checked_entity(one.get("name"), f"{where}: "), one.get(SENTIMENT)
        if label not in labels:
            raise InputError(
                f"{where}: the {SENTIMENT} of {name!r} is {str(label)[:80]!r}; expected one of {', '.join(labels)}"
            )
        if found.setdefault(name, label) != label:
            raise InputError(f"{where}: {name!r} has two labels; keep one of them")
    if len(found) > MAX_ENTITIES:
        raise InputError(f"{where}: {len(found)} companies are labelled; at most {MAX_ENTITIES} are accepted")
    return found


def _text(where: str, given: Any) -> str:
    body = clean(given) if isinstance(given, str) else ""
    if not word_form(body):
        raise InputError(f"{where}: text is {str(given)[:80]!r}; expected some words")
    if len(body) > _MAX_CHARACTERS:
        raise InputError(f"{where}: text has {len(body)} characters; at most {_MAX_CHARACTERS} are accepted")
    return body


def _source(where: str, given: Any) -> str:
    if given is None:
        return DEFAULT_SOURCE
    try:
        return source_key(source_name(given))
    except UndecodableMessage:
        raise InputError(f"{where}: source is {str(given)[:80]!r}; expected {EXPECTED_SOURCE}") from None


def _uuid(where: str, field: str, given: Any) -> UUID | None:
    if given is None:
        return None
    try:
        return UUID(given if isinstance(given, str) else "")
    except ValueError:
        what = "the uid of a stored message" if field == "uid" else "the id of a story"
        raise InputError(f"{where}: {field} is {str(given)[:80]!r}; expected {what}") from None
