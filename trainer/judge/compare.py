"""Two bundles on the same labelled texts: who is right where, and whether the difference could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from core.classifier import Classifier
from core.errors import InputError
from core.labelled import ENTITIES, read_labelled_lines
from core.scoring import TaskScore, score_task
from core.text import model_input
from trainer.data.dataset import UNKNOWN_SOURCE
from trainer.data.examples import Example

RESAMPLES = 10_000
INTERVAL = (2.5, 97.5)  # percentiles


class TaskComparison(msgspec.Struct, frozen=True):
    """An old and a new classifier on one task, over the same `texts` labelled texts.

    `p_value`: exact two-sided McNemar test on the texts that only one of them gets right. `difference`: accuracy of new
    less old, `low` and `high` its 95% bootstrap interval. `f1_drops`: old F1 less new F1 per label that occurs.
    """

    task: str
    texts: int
    old: TaskScore
    new: TaskScore
    only_old_right: int
    only_new_right: int
    p_value: float
    difference: float
    low: float
    high: float
    f1_drops: dict[str, float]


def compare(old: Classifier, new: Classifier, examples: Sequence[Example], seed: int = 0) -> list[TaskComparison]:
    """One comparison for each task that both classifiers have and `examples` label, in the order of `old`.

    Raises InputError where they share no task, a shared task has other labels, an example carries a label that the
    task has not, or no example is labelled for a shared task.
    """
    tasks = common_tasks(old, new)
    texts = [example.text for example in examples]
    predicted = old.predict(texts), new.predict(texts)
    found = []
    for task, labels in tasks.items():
        rows = [row for row, example in enumerate(examples) if task in example.labels]
        if not rows:
            continue
        truth = _truth([examples[row] for row in rows], task, labels)
        # A bundle may keep the same labels in another order.
        columns = [new.labels(task).index(label) for label in labels]
        scores = predicted[0][task][rows], predicted[1][task][rows][:, columns]
        found.append(compare_scores(task, labels, truth, *scores, seed=seed))
    if not found:
        raise InputError(f"none of {len(examples)} texts is labelled for {', '.join(tasks)}; give labelled texts")
    return found


def compare_scores(
    task: str,
    labels: tuple[str, ...],
    truth: NDArray[np.int64],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    seed: int = 0,
) -> TaskComparison:
    """The comparison of two tables of scores (n, labels) against label numbers `truth` (n,), n at least 1."""
    right = old.argmax(axis=1) == truth, new.argmax(axis=1) == truth
    only_old, only_new = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    low, high = bootstrap_interval(only_old, only_new, len(truth), seed)
    figures = score_task(task, labels, truth, old), score_task(task, labels, truth, new)
    return TaskComparison(
        task=task,
        texts=len(truth),
        old=figures[0],
        new=figures[1],
        only_old_right=only_old,
        only_new_right=only_new,
        p_value=mcnemar(only_old, only_new),
        difference=(only_new - only_old) / len(truth),
        low=low,
        high=high,
        f1_drops={
            one.label: one.f1 - other.f1
            for one, other in zip(figures[0].labels, figures[1].labels, strict=True)
            if one.support
        },
    )


def mcnemar(only_old: int, only_new: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947): each discordant text is a fair coin.

    1 where the two never differ in being right.
    """
    discordant = only_old + only_new
    return float(binomtest(only_new, discordant, 0.5).pvalue) if discordant else 1.0


def bootstrap_interval(only_old: int, only_new: int, texts: int, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval (Efron 1979) of the difference in accuracy, new less old, resampling `texts` texts.

    A text adds -1, 0 or 1 to the difference, so a resample of texts is a draw of three counts.
    """
    shares = np.array([only_old, only_new, texts - only_old - only_new]) / texts
    counts = np.random.default_rng(seed).multinomial(texts, shares, size=RESAMPLES)
    low, high = np.percentile((counts[:, 1] - counts[:, 0]) / texts, INTERVAL)
    return float(low), float(high)


def common_tasks(old: Classifier, new: Classifier) -> dict[str, tuple[str, ...]]:
    """Labels, in the order of `old`, of each task that both have.

    Raises InputError where they share no task or disagree on the labels of one.
    """
    tasks = {task: old.labels(task) for task in old.tasks if task in new.tasks}
    if not tasks:
        raise InputError(
            f"{old.name} has the tasks {', '.join(old.tasks)}, {new.name} has {', '.join(new.tasks)}; "
            "only bundles with a task in common can be compared"
        )
    for task, labels in tasks.items():
        differing = sorted(set(labels) ^ set(new.labels(task)))
        if differing:
            raise InputError(
                f"task {task!r}: {old.name} and {new.name} do not have the same labels ({', '.join(differing)}); "
                "only bundles with equal labels can be compared"
            )
    return tasks


def read_examples(path: Path, tasks: Mapping[str, Sequence[str]]) -> list[Example]:
    """Examples of lines {"text", "<task>": "<label>", "source"?} of `path` that carry a label for one of `tasks`; those
    that label companies alone, as the test part of a dataset has some, are passed over.

    Raises InputError naming the file and the line that is malformed, unlabelled, or labelled otherwise.
    """
    return [
        Example(
            model_input(line.text),
            line.labels,
            _string(line.fields, "source") or UNKNOWN_SOURCE,
            language=_string(line.fields, "language"),
        )
        for line in read_labelled_lines(path, tasks, instead=ENTITIES)
        if line.labels
    ]


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _truth(examples: Sequence[Example], task: str, labels: tuple[str, ...]) -> NDArray[np.int64]:
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = sorted({e.labels[task] for e in examples} - set(labels))
    if unknown:
        raise InputError(f"a text is labelled {unknown[0]!r} for {task!r}; the bundles know {', '.join(labels)}")
    return np.array([numbers[example.labels[task]] for example in examples], dtype=np.int64)
