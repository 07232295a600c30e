"""Parts of labelled texts that are judged on their own: by source, length, language, month. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.scoring import TaskScore, score_task
from core.text import model_input

LENGTHS = ((10, "1-10 words"), (20, "11-20 words"), (40, "21-40 words"))
LONGER = "over 40 words"
MOST_VALUES = 50  # of one kind; the rarer ones share a slice, or a file with a source per line would fill the screen
OTHERS = "(others)"


class Slice(msgspec.Struct, frozen=True):
    """Figures of the texts whose `kind` (source, length, language or month) is `value`."""

    kind: str
    value: str
    tasks: list[TaskScore]


def slice_keys(entry: Mapping[str, Any]) -> dict[str, str]:
    """Where a labelled line belongs: its length, and its source, language and month if it has the fields.

    The month is that of `published_at`, an ISO 8601 time, or a field `month`, as `2014-09`.
    """
    words = len(model_input(str(entry.get("text", ""))).split())
    keys = {"length": next((name for most, name in LENGTHS if words <= most), LONGER)}
    for kind in ("source", "language"):
        value = entry.get(kind)
        if isinstance(value, str) and value:
            keys[kind] = value[:100]
    month = entry.get("month") or entry.get("published_at")
    if isinstance(month, str) and len(month) >= 7 and month[:4].isdigit() and month[4] == "-" and month[5:7].isdigit():
        keys["month"] = month[:7]
    return keys


def score_slices(
    task: str,
    labels: tuple[str, ...],
    truth: NDArray[np.int64],
    scores: NDArray[np.float32],
    keys: Sequence[Mapping[str, str]],
) -> dict[tuple[str, str], TaskScore]:
    """Figures of one task per kind and value in `keys`, one mapping for each row of `truth` (n,) and `scores`."""
    found = {}
    for kind in sorted({kind for row in keys for kind in row}):
        counts = Counter(row[kind] for row in keys if kind in row)
        kept = {value for value, _ in counts.most_common(MOST_VALUES)}
        rows: dict[str, list[int]] = {}
        for number, row in enumerate(keys):
            if kind in row:
                rows.setdefault(row[kind] if row[kind] in kept else OTHERS, []).append(number)
        for value, members in rows.items():
            found[kind, value] = score_task(task, labels, truth[members], scores[members])
    return found


def gather_slices(scores: Iterable[Mapping[tuple[str, str], TaskScore]]) -> list[Slice]:
    """The slices of all tasks, by kind and value; lengths from short to long."""
    slices: dict[tuple[str, str], list[TaskScore]] = {}
    for found in scores:
        for key, score in found.items():
            slices.setdefault(key, []).append(score)
    lengths = [name for _, name in LENGTHS] + [LONGER]

    def place(key: tuple[str, str]) -> tuple[str, int, str]:
        kind, value = key
        return kind, lengths.index(value) if kind == "length" else int(value == OTHERS), value

    return [Slice(*key, slices[key]) for key in sorted(slices, key=place)]
