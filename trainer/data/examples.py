"""A labelled text, and copies of it merged into one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec

from core.text import word_form
from trainer.data.entities import EntityLabel, Locate, agreed, nowhere, outranked

UNNAMED = "companies that the text does not name"


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text in the form a classifier reads, with a label for at least one task or for a company that it names.

    `language` and `published_at` (ISO 8601) are empty where the corpus does not tell them. `by_analysts`: whether
    analysts decided any of its labels, though the text may be of a corpus.
    """

    text: str
    labels: dict[str, str]
    source: str
    language: str = ""
    published_at: str = ""
    entities: tuple[EntityLabel, ...] = ()
    by_analysts: bool = False


class Tie(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text whose label in one task, or for the company `entity` in it, is open: `votes` counts labels, and no label
    has more than every other one.

    `between` is `analysts`, or `corpora` where copies of a text in corpora disagree and no analyst decided.
    """

    text: str
    source: str
    task: str
    votes: dict[str, int]
    between: str
    entity: str = ""


class Merged(msgspec.Struct, frozen=True):
    """One example per story form in order of first appearance, the ties met, and counts of what was taken out."""

    examples: list[Example]
    ties: list[Tie]
    removed: dict[str, int]


def merge(
    examples: Iterable[Example],
    decided: Mapping[tuple[str, str], str] | None = None,
    contested: Collection[tuple[str, str]] = (),
    companies: Mapping[str, Mapping[str, str | None]] | None = None,
    locate: Locate = nowhere,
) -> Merged:
    """Join the labels of all copies of a text (equal story forms); counts of `duplicates`, `conflicts`, `empty`.

    Where copies disagree on a task, the majority's label stays; without a majority the text loses that task, because
    neither learning from it nor being judged on it would mean anything. Keys of story form and task: `decided` gives
    the label there whatever the copies say, and those in `contested` are lost. `companies`: by story form, what
    analysts say of companies in the text (None where they are split), which outranks the copies too; `locate` finds
    those that are known by their series.
    """
    decided, companies = decided or {}, companies or {}
    copies: dict[str, list[Example]] = {}
    counts = Counter(duplicates=0, conflicts=0, empty=0)
    for example in examples:
        form = word_form(example.text)
        if not form:
            counts["empty"] += 1
            continue
        copies.setdefault(form, []).append(example)
    merged, ties = [], []
    for form, same in copies.items():
        counts["duplicates"] += len(same) - 1
        labels = {}
        for task in sorted({task for example in same for task in example.labels}):
            votes = Counter(example.labels[task] for example in same if task in example.labels).most_common()
            if (form, task) in decided:
                labels[task] = decided[form, task]
            elif (form, task) in contested:
                continue
            elif len(votes) == 1 or votes[0][1] > votes[1][1]:
                labels[task] = votes[0][0]
            else:
                counts["conflicts"] += 1
                ties.append(Tie(same[0].text, same[0].source, task, dict(sorted(votes)), "corpora"))
        kept = next((example for example in same if example.entities), same[0])  # spans fit their own copy alone
        entities = agreed(kept.text, kept.entities, ((example.text, example.entities) for example in same))
        if form in companies:
            entities, unnamed = outranked(kept.text, entities, companies[form], locate)
            counts[UNNAMED] += unnamed
        if labels or entities:
            told = any((form, task) in decided for task in labels) or any(companies.get(form, {}).values())
            merged.append(msgspec.structs.replace(kept, labels=labels, entities=entities, by_analysts=told))
    return Merged(merged, ties, dict(counts))


def by_source(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """The examples of each source, sources by name."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.source, []).append(example)
    return dict(sorted(found.items()))


def main_language(examples: Iterable[Example]) -> str:
    """The language that most of those `examples` that tell one are in; "" where none does."""
    languages = Counter(example.language for example in examples if example.language)
    return languages.most_common(1)[0][0] if languages else ""


def merge_duplicates(examples: Iterable[Example]) -> tuple[list[Example], dict[str, int]]:
    """One example per story form, and counts of what was taken out: `merge` without analysts."""
    merged = merge(examples)
    return merged.examples, merged.removed
