"""Figures of a classifier against true labels: accuracy, precision, recall, F1, calibration. Pure numpy."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15


class LabelScore(msgspec.Struct, frozen=True):
    """Precision, recall and F1 of one label, and how many texts truly carry it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class Average(msgspec.Struct, frozen=True):
    """Precision, recall and F1 averaged over labels."""

    precision: float
    recall: float
    f1: float


class TaskScore(msgspec.Struct, frozen=True):
    """Figures of one task. `macro_f1`: the plain mean over the labels that occur, as is `macro`.

    `weighted`: the mean weighted by the texts of a label. `confusion`: for each true label how many of its texts got
    which label, zeros left out. Bundles made before these were kept have none of the three.
    """

    task: str
    accuracy: float
    macro_f1: float
    ece: float
    support: int
    labels: list[LabelScore]
    macro: Average | None = None
    weighted: Average | None = None
    confusion: dict[str, dict[str, int]] = {}


class MentionShare(msgspec.Struct, frozen=True):
    """Of the `mentions` of companies in some `texts`, the share that is labelled right: by labels of their own, and by
    the label of their text."""

    texts: int
    mentions: int
    accuracy: float
    by_text: float


class EntityScore(msgspec.Struct, frozen=True):
    """Figures of sentiment towards mentioned companies: over all mentions; in texts with labels for two companies or
    more; and in those of them that are good for one and bad for another."""

    mentions: TaskScore
    several: MentionShare
    opposite: MentionShare


def score_task(task: str, labels: tuple[str, ...], truth: NDArray[np.int64], scores: NDArray[np.float32]) -> TaskScore:
    """Figures of `scores` (n, labels), rows summing to 1, against label numbers `truth` (n,)."""
    if scores.shape != (len(truth), len(labels)):
        raise ValueError(f"scores of shape {scores.shape} do not fit {len(truth)} texts and {len(labels)} labels")
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    hits = np.diag(confusion)
    precision = _ratio(hits, confusion.sum(axis=0))
    recall = _ratio(hits, confusion.sum(axis=1))
    f1 = _ratio(2 * hits, confusion.sum(axis=0) + confusion.sum(axis=1))
    support = confusion.sum(axis=1)
    columns = (precision, recall, f1)
    return TaskScore(
        task=task,
        accuracy=float(hits.sum() / max(len(truth), 1)),
        macro_f1=float(f1[support > 0].mean()) if len(truth) else 0.0,
        ece=expected_calibration_error(truth, scores),
        support=len(truth),
        labels=[
            LabelScore(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(labels)
        ],
        macro=_average(columns, (support > 0).astype(np.int64)),
        weighted=_average(columns, support),
        confusion={
            labels[i]: {labels[j]: int(confusion[i, j]) for j in np.flatnonzero(confusion[i])}
            for i in np.flatnonzero(support)
        },
    )


def expected_calibration_error(truth: NDArray[np.int64], scores: NDArray[np.float32], bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Naeini, Cooper and Hauskrecht 2015)."""
    if not len(truth):
        return 0.0
    confidence = scores.max(axis=1).astype(np.float64)
    correct = (scores.argmax(axis=1) == truth).astype(np.float64)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Rows of `logits` (n, labels) divided by `temperature`, as probabilities in float32."""
    scaled = logits.astype(np.float32) / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def _average(columns: tuple[NDArray[np.float64], ...], weights: NDArray[np.int64]) -> Average:
    total = max(int(weights.sum()), 1)
    return Average(*(float(column @ weights / total) for column in columns))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
