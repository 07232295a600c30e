"""Whether there is enough of every class to learn and to judge it, and what each class weighs. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.data.dataset import count_labels
from trainer.data.examples import Example
from trainer.data.splits import PARTS, Split

Labels = Mapping[str, tuple[str, ...]]


def labels_seen(examples: Iterable[Example], taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """Labels of the tasks of `taxonomy` that any text is labelled for. Raises InputError where that is none."""
    seen = {task for example in examples for task in example.labels}
    labels = {task: names for task, names in taxonomy.tasks.items() if task in seen}
    if not labels:
        raise InputError(f"no text is labelled for {', '.join(taxonomy.tasks)}; check the fields of the corpora")
    return labels


def check_classes(examples: Sequence[Example], labels: Labels, least: int) -> None:
    """Raise InputError for labels that no text carries, or fewer than `least`."""
    counts = count_labels({"all": examples}, labels)["all"]
    empty = [f"{label!r} ({task})" for task, row in counts.items() for label, count in row.items() if not count]
    if empty:
        raise InputError(
            f"no text is labelled {', '.join(empty)}; add texts of it, or take the label out of the taxonomy"
        )
    few = [
        f"{label!r} ({task}) has {count}"
        for task, row in counts.items()
        for label, count in row.items()
        if count < least
    ]
    if few:
        raise InputError(
            f"too few texts: {', '.join(few)}; a label needs {least}: add texts of it, "
            "take it out of the taxonomy, or lower least_texts in the spec's options"
        )


def check_train(train: Sequence[Example], labels: Labels) -> None:
    """Raise InputError for a label that no text to learn from carries."""
    counts = count_labels({"train": train}, labels)["train"]
    missing = [f"{label!r} ({task})" for task, row in counts.items() for label, count in row.items() if not count]
    if missing:
        raise InputError(
            f"no text of {', '.join(missing)} is left for train: those there are copies of each other or resemble "
            "the frozen test set; add texts of it"
        )


def split_warnings(split: Split, labels: Labels, taxonomy: Taxonomy) -> list[str]:
    """What can't be judged with `split`: labels that validation or test lack, tasks without any text."""
    warnings = [f"no text is labelled for {task}" for task in taxonomy.tasks if task not in labels]
    parts = {PARTS[1]: split.validation, PARTS[2]: split.test}
    for part, counts in count_labels(parts, labels).items():
        for task, row in counts.items():
            lacking = [label for label, count in row.items() if not count]
            if lacking:
                warnings.append(f"{part} has no text of {', '.join(lacking)} ({task})")
    return warnings


def class_weights(train: Sequence[Example], labels: Labels, kind: str) -> dict[str, dict[str, float]]:
    """Weight of each label in the loss: 1, or with `kind` balanced n / (labels * count), or with sqrt its root.

    Scaled so that the mean over the texts of `train` is 1, which leaves the rate of learning as it was.
    Balanced: King and Zeng 2001, as in scikit-learn.
    """
    counts = count_labels({"train": train}, labels)["train"]
    return {task: _weights(row, kind) for task, row in counts.items()}


def _weights(counts: Mapping[str, int], kind: str) -> dict[str, float]:
    total = sum(counts.values())
    if kind == "none" or not total:
        return dict.fromkeys(counts, 1.0)
    used = Counter({label: count for label, count in counts.items() if count})
    raw = {label: total / (len(used) * count) for label, count in used.items()}
    if kind == "sqrt":
        raw = {label: math.sqrt(weight) for label, weight in raw.items()}
    scale = total / sum(weight * used[label] for label, weight in raw.items())
    return {label: round(raw[label] * scale, 6) if label in raw else 1.0 for label in counts}
