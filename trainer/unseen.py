"""Material without one source, to be tested on that source: how a model does on texts of a kind it never saw."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trainer.data.examples import Example
from trainer.data.splits import Split
from trainer.data.unseen import without_source
from trainer.material import Material


def hold_out(material: Material, source: str) -> Material:
    """`material` without `source` in training and validation; its test part is all texts of `source`.

    Near-duplicates of those are left out as well. Tasks that the source has no labels for are not taught, as the test
    would say nothing of them. Raises InputError for an unknown source, or one that the others can't stand in for.
    """
    left, held_out = without_source(material.split, material.labels, source)
    labels = {task: names for task, names in material.labels.items() if any(task in e.labels for e in held_out)}
    before = len(material.split.train) + len(material.split.validation)
    split = Split(_of(labels, left.train), _of(labels, left.validation), held_out)
    removed = material.removed | {"held out or of other tasks": before - len(split.train) - len(split.validation)}
    weights = {task: weight for task, weight in material.class_weights.items() if task in labels}
    return msgspec.structs.replace(material, split=split, labels=labels, removed=removed, class_weights=weights)


def _of(labels: dict[str, tuple[str, ...]], examples: Sequence[Example]) -> list[Example]:
    """Examples with a label of those tasks, and no other."""
    found = []
    for example in examples:
        kept = {task: label for task, label in example.labels.items() if task in labels}
        if kept:
            found.append(msgspec.structs.replace(example, labels=kept))
    return found
