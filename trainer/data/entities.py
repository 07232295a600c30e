"""Sentiment towards companies that a text names: read from corpora, located in the text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from core.errors import InputError
from core.labelled import ENTITIES
from core.mentions import Span, Spans, occurrences

Locate = Callable[[str, Collection[str]], Mapping[str, Spans]]
"""Where a text, as a classifier reads it, names companies; nothing of those that it does not name."""

# Entity names in SEntFiN's `Decisions` hold unescaped apostrophes; a quote that ends one is followed by a colon.
_DECISION = re.compile(r"""['"](.+?)['"]\s*:\s*'(negative|neutral|positive)'\s*(?=[,}])""")
_WORD = re.compile(r"\w+")
_CASHTAG = re.compile(r"\$[A-Za-z]{1,6}\b")


class EntityLabel(msgspec.Struct, frozen=True, array_like=True):
    """The sentiment of a text towards a company, "" where it is not labelled, and where the text names it."""

    spans: Spans
    label: str


def decisions(cell: str) -> list[tuple[str, str]]:
    """Names and labels of a cell of SEntFiN: "{'Tata's': 'positive', 'MMTC': 'negative'}"."""
    return _DECISION.findall(cell)


def named_labels(
    cell: Any, names: Mapping[str, str] | None, labels: Sequence[str], where: str
) -> list[tuple[str, str]]:
    """Names and labels of a cell that holds objects {"name" or "value", "sentiment" or "label"}, as JSON or already
    read; `names` maps what the corpus calls labels, "" leaves an entity out.

    Raises InputError saying `where` for anything else, and for a label outside `labels`.
    """
    if not cell:
        return []
    try:
        entries = json.loads(cell) if isinstance(cell, str) else cell
        found = [
            (entry.get("name", entry.get("value")), entry.get("sentiment", entry.get("label"))) for entry in entries
        ]
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise InputError(
            f'{where}: entities are no list of objects {{"name", "sentiment"}} ({error}); mend or empty the cell'
        ) from error
    result = []
    for name, written in found:
        label = written if names is None else names.get(written) if isinstance(written, str) else None
        if not isinstance(name, str) or not (label == "" or label in labels):
            raise InputError(
                f"{where}: the entity {name!r:.80} has the sentiment {written!r:.80}; expected a name, and one of "
                f"{', '.join(labels)}, or a map labels.{ENTITIES}"
            )
        if label:
            result.append((name, label))
    return result


def located(text: str, pairs: Iterable[tuple[str, str]]) -> tuple[EntityLabel, ...]:
    """Labels of the companies that `text`, as a classifier reads it, names; in the order of their first mention.

    One that is not found there is left out, and so is a name with two labels. Where one name stands inside a longer
    one ("Tata" in "Tata Motors"), the place is the longer one's alone.
    """
    by_name: dict[str, set[str]] = {}
    for name, label in pairs:
        by_name.setdefault(" ".join(name.split()), set()).add(label)
    places = named_places(text, by_name)
    found = [EntityLabel(spans, min(by_name[name])) for name, spans in places.items() if len(by_name[name]) == 1]
    return tuple(sorted(found, key=lambda one: one.spans))


def named_places(text: str, names: Collection[str]) -> dict[str, Spans]:
    """Where `text` has each of `names` outside of longer ones; nothing of a name that it does not have."""
    taken: list[Span] = []
    found = {}
    for name in sorted(names, key=lambda name: (-len(name), name)):
        spans = tuple(span for span in occurrences(text, name) if not _touches(span, taken))
        taken += spans
        if spans:
            found[name] = spans
    return found


def outranked(
    text: str, labels: Sequence[EntityLabel], said: Mapping[str, str | None], locate: Locate
) -> tuple[tuple[EntityLabel, ...], int]:
    """What analysts `said` of companies in `text`, in place of the `labels` that it has there; and how many companies
    were said something of that `text` does not name.

    A company is known by its series, which `locate` looks for, or by a name in the text. None: analysts are split on
    it, and it loses its label. Two names of one place with different labels lose theirs too.
    """
    places = dict(locate(text, said))
    places |= named_places(text, [name for name in said if name not in places])
    by_place: dict[Spans, set[str | None]] = {}
    for name, spans in places.items():
        by_place.setdefault(spans, set()).add(said[name])
    taken = [span for spans in by_place for span in spans]
    kept = [one for one in labels if not any(_touches(span, taken) for span in one.spans)]
    for spans, found in by_place.items():
        label, *others = found
        if label is not None and not others:
            kept.append(EntityLabel(spans, label))
    return tuple(sorted(kept, key=lambda one: one.spans)), len(said) - len(places)


def nowhere(text: str, names: Collection[str]) -> dict[str, Spans]:
    """The `Locate` of one who knows no company by its series."""
    return {}


def _touches(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < end and span[1] > start for start, end in others)


def names_by_word(texts: Iterable[tuple[str, Iterable[EntityLabel]]]) -> dict[str, set[str]]:
    """Names of companies as `texts` write them where they are labelled, by their first word."""
    found: dict[str, set[str]] = {}
    for text, entities in texts:
        for start, end in (one.spans[0] for one in entities):
            name = text[start:end]
            for word in _WORD.findall(name.casefold())[:1]:
                found.setdefault(word, set()).add(name)
    return found


def unlabelled_mentions(text: str, names: Mapping[str, Iterable[str]]) -> tuple[EntityLabel, ...]:
    """Where `text`, as a classifier reads it, has a cashtag or one of the `names_by_word`; the labels are ""."""
    known = {name for word in _WORD.findall(text.casefold()) for name in names.get(word, ())}
    return located(text, [(name, "") for name in known.union(_CASHTAG.findall(text))])


def agreed(
    text: str, kept: Sequence[EntityLabel], copies: Iterable[tuple[str, Sequence[EntityLabel]]]
) -> tuple[EntityLabel, ...]:
    """Those of the labels `kept` of `text` that no copy of it contradicts."""

    def surface(of: str, one: EntityLabel) -> str:
        start, end = one.spans[0]
        return of[start:end].casefold()

    votes: dict[str, set[str]] = {}
    for copy, labels in copies:
        for one in labels:
            votes.setdefault(surface(copy, one), set()).add(one.label)
    return tuple(one for one in kept if votes.get(surface(text, one), {one.label}) == {one.label})
