"""A score on a source that the model never saw: the texts to learn from without it, and its own to judge on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from core.errors import InputError
from trainer.data.examples import Example
from trainer.data.splits import PARTS, SIMILARITY, Split, group_near_duplicates


def without_source(
    split: Split, labels: Mapping[str, Sequence[str]], name: str, similarity: float = SIMILARITY
) -> tuple[Split, list[Example]]:
    """For a score on a source the model never saw: a split without source `name`, and all texts of that source.

    Near-duplicates of its texts are out of the split too. Of the texts to test on, labels of tasks that the split still
    teaches are kept. The split's own test part is that of the other sources.
    Raises InputError for an unknown source, or one that is alone in labelling its tasks or in filling a part.
    """
    parts = (split.train, split.validation, split.test)
    everything = [example for part in parts for example in part]
    sources = sorted({example.source for example in everything})
    if name not in sources:
        raise InputError(f"there is no source {name!r} among the texts; there are {', '.join(sources)}")
    numbers = group_near_duplicates([example.text for example in everything], similarity)
    touched = {number for example, number in zip(everything, numbers, strict=True) if example.source == name}
    place = iter(numbers)
    left = [[example for example in part if next(place) not in touched] for part in parts]
    empty = [part for part, examples in zip(PARTS[:2], left, strict=False) if not examples]
    if empty:
        raise InputError(f"without source {name!r} no text is left for {', '.join(empty)}; add another source")
    taught = {task for task in labels if len({e.labels[task] for e in left[0] if task in e.labels}) > 1} & {
        task for example in left[1] for task in example.labels
    }
    held_out = []
    for example in everything:
        known = {task: label for task, label in example.labels.items() if task in taught}
        if example.source == name and known:
            held_out.append(msgspec.structs.replace(example, labels=known))
    if not held_out:
        own = sorted({task for example in everything if example.source == name for task in example.labels})
        raise InputError(f"only source {name!r} labels {', '.join(own)}; an unseen source needs another that does")
    return Split(*left), held_out
