"""The same words for many stories: of each story those that fit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from core.errors import InputError
from desk.labelling.items import read_items
from desk.labelling.steps import Words, keep_for_evaluation


@dataclass(frozen=True, slots=True)
class Alike:
    """What is to be said of which stories, and which are left out: `kept` for evaluation, or `without` any of the
    companies."""

    words: dict[UUID, Words]
    kept: list[UUID]
    without: list[UUID]


def share_words(
    connection: Connection, stories: Iterable[UUID], words: Words, is_for_evaluation: Callable[[UUID], bool]
) -> Alike:
    """`words` for each of `stories`, those of a company where it is in the story.

    What judges the model is left out, see `keep_for_evaluation`. Raises InputError for a company that is in none of
    them.
    """
    wanted = list(dict.fromkeys(stories))
    companies = {subject.entity for subject in words if subject.entity}
    items = read_items(connection, wanted) if companies else {}
    known = {story: set(item.entities) for story, item in items.items()}
    absent = companies.difference(*known.values())
    if absent:
        raise InputError(f"none of these stories has a company {min(absent)[:80]!r}")
    fitting: dict[UUID, Words] = {}
    for story in wanted:
        inside = {"", *known.get(story, ())}
        fitting[story] = {subject: label for subject, label in words.items() if subject.entity in inside}
    without = [story for story in wanted if not fitting[story]]
    allowed, kept = keep_for_evaluation(fitting, is_for_evaluation)
    return Alike(allowed, kept, without)
