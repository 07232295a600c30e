"""A score on sources that the model never saw: the texts to learn from without them, and their own to judge on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from core.errors import InputError
from trainer.data.examples import Example
from trainer.data.splits import PARTS, SIMILARITY, Split, group_near_duplicates


def taught_tasks(split: Split, labels: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of `labels` that `split` has two labels of to learn from, and any to choose by."""
    return [
        task
        for task in labels
        if len({e.labels[task] for e in split.train if task in e.labels}) > 1
        and any(task in e.labels for e in split.validation)
    ]


def without_sources(
    split: Split, labels: Mapping[str, Sequence[str]], names: Collection[str], similarity: float = SIMILARITY
) -> tuple[Split, list[Example]]:
    """For a score on sources the model never saw: a split without the sources `names`, and all texts of those.

    Near-duplicates of their texts are out of the split too. Of the texts to test on, labels of tasks that the split
    still teaches are kept. The split's own test part is that of the other sources.
    Raises InputError for an unknown source, or ones that are alone in labelling their tasks or in filling a part.
    """
    parts = (split.train, split.validation, split.test)
    everything = [example for part in parts for example in part]
    sources = sorted({example.source for example in everything})
    unknown = sorted(set(names) - set(sources))
    if unknown:
        raise InputError(f"there is no source {unknown[0]!r} among the texts; there are {', '.join(sources)}")
    shown = " and ".join(repr(name) for name in sorted(names))
    numbers = group_near_duplicates([example.text for example in everything], similarity)
    touched = {number for example, number in zip(everything, numbers, strict=True) if example.source in names}
    place = iter(numbers)
    left = [[example for example in part if next(place) not in touched] for part in parts]
    empty = [part for part, examples in zip(PARTS[:2], left, strict=False) if not examples]
    if empty:
        raise InputError(f"without source {shown} no text is left for {', '.join(empty)}; add another source")
    taught = taught_tasks(Split(*left), labels)
    held_out = []
    for example in everything:
        known = {task: label for task, label in example.labels.items() if task in taught}
        if example.source in names and known:
            held_out.append(msgspec.structs.replace(example, labels=known))
    if not held_out:
        raise stands_alone(names, {task for e in everything if e.source in names for task in e.labels})
    return Split(*left), held_out


def stands_alone(names: Collection[str], tasks: Collection[str]) -> InputError:
    """Why sources `names`, which label `tasks`, can't be judged by what the others teach."""
    shown = " and ".join(repr(name) for name in sorted(names))
    if not tasks:
        return InputError(
            f"source {shown} labels companies alone, and unseen sources are judged by labels of texts; leave it out"
        )
    return InputError(
        f"without source {shown} too little is labelled for {', '.join(sorted(tasks))}; an unseen source needs another "
        "that labels the same"
    )
