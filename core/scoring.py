"""Figures of a classifier against true labels: accuracy, precision, recall, F1, calibration. Pure numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15
PRECISION = 0.8  # that a recall at a precision asks for


class LabelScore(msgspec.Struct, frozen=True):
    """Precision, recall and F1 of one label, and how many texts truly carry it.

    `recall_at_precision`: as `best_recall` has it, 0 where no threshold is precise enough; None in bundles made before.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    recall_at_precision: float | None = None


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text is said to carry `label` where its score is at least `threshold`, and else to carry the likeliest of the
    others. Precision and recall of the label by that rule, and accuracy of all labels, on the texts at hand."""

    label: str
    threshold: float
    precision: float
    recall: float
    accuracy: float


class Average(msgspec.Struct, frozen=True):
    """Precision, recall and F1 averaged over labels."""

    precision: float
    recall: float
    f1: float


class TaskScore(msgspec.Struct, frozen=True):
    """Figures of one task. `macro_f1`: the plain mean over the labels that occur, as is `macro`.

    `weighted`: the mean weighted by the texts of a label. `confusion`: for each true label how many of its texts got
    which label, zeros left out. Bundles made before these were kept have none of the three. `uses`: what thresholds
    that were chosen elsewhere come to on these texts, by use.
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
    uses: dict[str, OperatingPoint] = {}


class StreamScore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a classifier makes of the test texts of a `source` that is a sample of a stream: `confusion` of sentiments,
    as in `TaskScore`."""

    source: str
    confusion: dict[str, dict[str, int]]


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


def score_task(
    task: str,
    labels: tuple[str, ...],
    truth: NDArray[np.int64],
    scores: NDArray[np.float32],
    uses: Mapping[str, OperatingPoint] = {},
) -> TaskScore:
    """Figures of `scores` (n, labels), rows summing to 1, against label numbers `truth` (n,).

    The thresholds of `uses` are judged on these texts too.
    """
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
            LabelScore(
                name,
                float(precision[i]),
                float(recall[i]),
                float(f1[i]),
                int(support[i]),
                point.recall if (point := best_recall(labels, i, truth, scores)) else 0.0,
            )
            for i, name in enumerate(labels)
        ],
        macro=_average(columns, (support > 0).astype(np.int64)),
        weighted=_average(columns, support),
        confusion={
            labels[i]: {labels[j]: int(confusion[i, j]) for j in np.flatnonzero(confusion[i])}
            for i in np.flatnonzero(support)
        },
        uses={
            use: operating_point(labels, labels.index(one.label), one.threshold, truth, scores)
            for use, one in uses.items()
        },
    )


def macro_f1(confusion: Mapping[str, Mapping[str, int]]) -> float:
    """The same figure as in `TaskScore`, from its `confusion` alone; 0 for no texts."""
    got = Counter[str]()
    for counts in confusion.values():
        got.update(counts)
    support = {label: total for label, counts in confusion.items() if (total := sum(counts.values()))}
    scores = [2 * confusion[label].get(label, 0) / (total + got[label]) for label, total in support.items()]
    return sum(scores) / max(len(scores), 1)


def best_recall(
    labels: tuple[str, ...],
    label: int,
    truth: NDArray[np.int64],
    scores: NDArray[np.float32],
    precision: float = PRECISION,
) -> OperatingPoint | None:
    """The point of greatest recall of `label` among those thresholds of its score that reach this `precision`.

    The threshold is chosen on these very texts: it says how well the scores rank them, and a threshold that was chosen
    elsewhere does no better. Of equal recalls the highest threshold. None where no threshold is precise enough, which
    is so where no text carries the label.
    """
    ranked, taken, hits = _ranking(truth == label, scores[:, label])
    enough = np.flatnonzero((hits >= precision * taken) & (hits > 0))
    if not len(enough):
        return None
    best = enough[hits[enough].argmax()]
    return operating_point(labels, label, float(ranked[best]), truth, scores)


def best_accuracy(
    labels: tuple[str, ...], label: int, truth: NDArray[np.int64], scores: NDArray[np.float32]
) -> OperatingPoint:
    """The point of greatest accuracy over all labels among all thresholds of the score of `label`, the highest of equal
    ones; the greatest score where there are no texts to choose by."""
    if not len(truth):
        return operating_point(labels, label, 1.0, truth, scores)
    ranked, _, gains = _ranking(truth == label, scores[:, label])
    others = _likeliest_other(label, scores) == truth
    _, _, losses = _ranking(others, scores[:, label])
    worth = gains - losses
    if worth.max() <= 0:  # nothing is gained by ever saying it; the next number above all scores says it of none
        return operating_point(labels, label, float(np.nextafter(ranked[0], np.float32(2))), truth, scores)
    return operating_point(labels, label, float(ranked[worth.argmax()]), truth, scores)


def operating_point(
    labels: tuple[str, ...], label: int, threshold: float, truth: NDArray[np.int64], scores: NDArray[np.float32]
) -> OperatingPoint:
    """What saying `label` from `threshold` on comes to on these texts; precision is 0 where it is never said."""
    said = scores[:, label] >= np.float32(threshold)
    given = np.where(said, label, _likeliest_other(label, scores))
    hits = int((said & (truth == label)).sum())
    return OperatingPoint(
        labels[label],
        threshold,
        hits / max(int(said.sum()), 1),
        hits / max(int((truth == label).sum()), 1),
        float((given == truth).sum() / max(len(truth), 1)),
    )


def _likeliest_other(label: int, scores: NDArray[np.float32]) -> NDArray[np.int64]:
    rest = scores.copy()
    rest[:, label] = -1
    return rest.argmax(axis=1)


def _ranking(
    is_hit: NDArray[np.bool_], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Different scores, the greatest first, and how many texts and hits have at least that score."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(is_hit[order], dtype=np.int64)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))
    return ranked[ends], (ends + 1).astype(np.int64), hits[ends]


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
