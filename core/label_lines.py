"""Labels as JSON lines: what one analyst says of one text. Pure.

A line is {"text" | "uid", "<task>": "<label>", "source"?, "analyst"?, "final"?, "story"?}; what else it holds is passed
over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.errors import InputError, UndecodableMessage
from core.labelled import check_labels
from core.records import MAX_TEXT_CHARACTERS, MAX_TITLE_CHARACTERS
from core.sources import EXPECTED_SOURCE, source_key, source_name
from core.taxonomy import Taxonomy
from core.text import clean, word_form

DEFAULT_SOURCE = "analysts"  # of a text that was never a message
MAX_ANALYST_CHARACTERS = 100
_MAX_CHARACTERS = MAX_TEXT_CHARACTERS + MAX_TITLE_CHARACTERS + 2


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


def read_label_lines(
    objects: Iterable[tuple[int, Mapping[str, Any]]], where: str, taxonomy: Taxonomy
) -> list[LabelLine]:
    """The numbered `objects` of the file `where`, checked against `taxonomy`.

    Raises InputError naming the line and the fault.
    """
    return [label_line(f"{where} line {number}", number, entry, taxonomy) for number, entry in objects]


def label_line(where: str, number: int, entry: Mapping[str, Any], taxonomy: Taxonomy) -> LabelLine:
    """The line that `entry` is. Raises InputError naming `where` and the fault."""
    labels = check_labels(entry, taxonomy.tasks, where)
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
    )


def checked_analyst(name: Any, where: str = "") -> str:
    """`name` as it is stored. Raises InputError for what is none."""
    found = clean(name) if isinstance(name, str) else ""
    if not found or len(found) > MAX_ANALYST_CHARACTERS:
        shown = str(name)[:40]
        raise InputError(f"{where}analyst {shown!r}: expected a name of 1 to {MAX_ANALYST_CHARACTERS} characters")
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
