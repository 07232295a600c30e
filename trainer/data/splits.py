"""Near-duplicates as groups, and a stratified split into train, validation and test that no group straddles."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from core.errors import InputError
from core.text import story_form
from trainer.data.corpora import Example

SIMILARITY = 0.7  # Jaccard of word sets: a reworded headline is above it, another company's earnings line below
FRACTIONS = (0.8, 0.1, 0.1)


class Split(msgspec.Struct, frozen=True):
    """Examples to learn from, to choose the epoch and temperature with, and to report on."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def group_near_duplicates(texts: Sequence[str], similarity: float = SIMILARITY) -> list[int]:
    """Group number of each text; texts whose word sets have a Jaccard index of at least `similarity` share a group.

    An exact set-similarity join by prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007):
    two sets that similar share a word among the rarest n - ceil(similarity * n) + 1 of each.
    """
    words = [set(story_form(text).split()) for text in texts]
    frequency = Counter(word for members in words for word in members)
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    by_word: defaultdict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(texts)), key=lambda i: len(words[i])):
        size = len(words[index])
        rarest = sorted(words[index], key=lambda word: (frequency[word], word))
        prefix = rarest[: size - math.ceil(similarity * size) + 1] if size else []
        candidates = {other for word in prefix for other in by_word[word] if len(words[other]) >= similarity * size}
        for other in candidates:
            if root(other) != root(index):
                shared = len(words[index] & words[other])
                if shared >= similarity * (size + len(words[other]) - shared):
                    parent[root(index)] = root(other)
        for word in prefix:
            by_word[word].append(index)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(len(texts))]


def split_examples(examples: Sequence[Example], seed: int) -> Split:
    """Split `examples` 80/10/10 by whole groups of near-duplicates, stratified by source, task and label.

    A group counts under the rarest label among its members, so rare classes reach all three parts.
    Raises InputError when a part comes out empty.
    """
    groups: defaultdict[int, list[Example]] = defaultdict(list)
    for example, number in zip(examples, group_near_duplicates([e.text for e in examples]), strict=True):
        groups[number].append(example)
    frequency = Counter((e.source, task, label) for e in examples for task, label in e.labels.items())
    strata: defaultdict[tuple[str, str, str], list[list[Example]]] = defaultdict(list)
    for group in groups.values():
        keys = {(e.source, task, label) for e in group for task, label in e.labels.items()}
        strata[min(keys, key=lambda key: (frequency[key], key))].append(group)
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    generator = random.Random(seed)
    for key in sorted(strata):
        _deal(strata[key], parts, generator)
    names = ("train", "validation", "test")
    empty = [name for name, part in zip(names, parts, strict=True) if not part]
    if empty:
        raise InputError(f"{len(examples)} examples leave no text for {', '.join(empty)}; add labelled texts")
    return Split(*parts)


def _deal(groups: list[list[Example]], parts: Sequence[list[Example]], generator: random.Random) -> None:
    """Hand each group to the part that is furthest below its share of this stratum."""
    generator.shuffle(groups)
    total = sum(len(group) for group in groups)
    given = [0, 0, 0]
    for group in groups:
        part = max(
            range(3),
            key=lambda i: (
                FRACTIONS[i] * total - given[i]
                if given[i] + len(group) <= FRACTIONS[i] * total + 1 or i == 0
                else -math.inf
            ),
        )
        given[part] += len(group)
        parts[part].extend(group)
