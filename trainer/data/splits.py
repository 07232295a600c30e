"""Near-duplicates as groups, and a stratified split into train, validation and test that no group straddles."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from core.errors import InputError
from core.labelled import ENTITIES
from core.text import word_form
from trainer.data.examples import Example

SIMILARITY = 0.7  # Jaccard of word sets: a reworded headline is above it, another company's earnings line below
FRACTIONS = (0.8, 0.1, 0.1)
PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
_NO_SPACES = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


class Split(msgspec.Struct, frozen=True):
    """Examples to learn from, to choose the epoch and temperature with, and to report on."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def group_near_duplicates(texts: Sequence[str], similarity: float = SIMILARITY) -> list[int]:
    """Group number of each text; texts whose word sets have a Jaccard index of at least `similarity` share a group.

    Words in a script without spaces, Chinese and Japanese, count as the pairs of their characters.

    An exact set-similarity join by prefix filtering (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007):
    two sets that similar share a word among the rarest n - ceil(similarity * n) + 1 of each.
    """
    words = [_units(text) for text in texts]
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


def _units(text: str) -> set[str]:
    """What two texts are compared by."""
    found: set[str] = set()
    for word in word_form(text).split():
        if len(word) > 2 and _NO_SPACES.search(word):
            found.update(word[place : place + 2] for place in range(len(word) - 1))
        else:
            found.add(word)
    return found


def split_examples(
    examples: Sequence[Example],
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
    similarity: float = SIMILARITY,
) -> Split:
    """Split `examples` by whole groups of near-duplicates, stratified by source, task and label.

    A group counts under the rarest label among its members, so rare classes reach all three parts.
    Raises InputError when a part comes out empty.
    """
    numbers = group_near_duplicates([example.text for example in examples], similarity)
    return split_groups(examples, numbers, seed, fractions)


def split_groups(
    examples: Sequence[Example],
    numbers: Sequence[int],
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
    fixed: Mapping[int, int] | None = None,
    test_closed: bool = False,
) -> Split:
    """Split `examples`, the group of each in `numbers`; a group in `fixed` goes to that part (0 train,
    1 validation, 2 test).

    With `test_closed`, the test part takes the fixed groups only. Groups come in the same order whatever is fixed, so a
    second split, its test groups fixed to what they were in the first, deals the others as the first one did.
    Raises InputError when a part comes out empty.
    """
    groups: defaultdict[int, list[Example]] = defaultdict(list)
    for example, number in zip(examples, numbers, strict=True):
        groups[number].append(example)
    frequency = Counter(key for example in examples for key in _strata(example))
    strata: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, group in groups.items():
        keys = {key for example in group for key in _strata(example)}
        strata[min(keys, key=lambda key: (key[1] == ENTITIES, frequency[key], key))].append(number)
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    generator = random.Random(seed)
    takers = (TRAIN, VALIDATION) if test_closed else (TRAIN, VALIDATION, TEST)
    for key in sorted(strata, key=lambda key: (key[1] == ENTITIES, key)):  # last, so that they move no other text
        generator.shuffle(strata[key])
        sizes = [len(groups[number]) for number in strata[key]]
        places = _deal(strata[key], sizes, fractions, fixed or {}, takers)
        for number, place in zip(strata[key], places, strict=True):
            parts[place].extend(groups[number])
    empty = [name for name, part in zip(PARTS, parts, strict=True) if not part]
    if empty:
        raise InputError(f"{len(examples)} examples leave no text for {', '.join(empty)}; add labelled texts")
    return Split(*parts)


def _strata(example: Example) -> list[tuple[str, str, str]]:
    """Source, task and label of what `example` may be dealt by; what it says of companies where it has nothing else."""
    if example.labels:
        return [(example.source, task, label) for task, label in example.labels.items()]
    return [(example.source, ENTITIES, one.label) for one in example.entities]


def _deal(
    numbers: Sequence[int],
    sizes: Sequence[int],
    fractions: Sequence[float],
    fixed: Mapping[int, int],
    takers: Sequence[int],
) -> list[int]:
    """The part of each group: where it is fixed, else the one of `takers` furthest below its share of this stratum."""
    total = sum(sizes)
    given = [0, 0, 0]
    places = []

    def lack(part: int, size: int) -> float:
        share = fractions[part] * total
        return share - given[part] if given[part] + size <= share + 1 or part == TRAIN else -math.inf

    for number, size in zip(numbers, sizes, strict=True):
        place = fixed[number] if number in fixed else max(takers, key=lambda part: lack(part, size))
        given[place] += size
        places.append(place)
    return places
