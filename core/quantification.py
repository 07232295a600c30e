"""How many of each label there truly are, when a classifier with known mistakes counted them. Pure numpy.

The share of a label among predictions is off by the classifier's mistakes, and the more so the further the mix of
labels is from that of the test set. With the confusion matrix of a test set, which tells P(predicted | true), the true
shares are those that make what was predicted most likely. They are found by expectation maximisation, which keeps them
at 0 or above and adding up to 1 (Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, 2002, with predicted labels in place of posterior probabilities; where no share
is at 0 this is the adjusted count of Forman, "Counting positives accurately despite inaccurate classification",
ECML 2005).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.scoring import TaskScore

Floats = NDArray[np.float64]

_PRIOR = 0.5  # texts added to each cell: one that no test text fell into is rare, and not impossible
_ROUNDS = 2000
_CLOSE = 1e-9


@dataclass(frozen=True)
class Rates:
    """What a classifier makes of each label: `values` (k, k) is P(predicted | true), a row for each true label."""

    labels: tuple[str, ...]
    values: Floats

    @classmethod
    def of(cls, labels: Sequence[str], confusion: Mapping[str, Mapping[str, int]]) -> Rates:
        """From counts by true and predicted label; those left out are 0."""
        counts = np.array([[confusion.get(true, {}).get(found, 0) for found in labels] for true in labels], np.float64)
        counts += _PRIOR
        return cls(tuple(labels), counts / counts.sum(axis=1, keepdims=True))


def rates_of(scores: Iterable[TaskScore], task: str, labels: Sequence[str]) -> Rates | None:
    """Those of a bundle, by its manifest's `evaluation` of the variant it serves; None where that has no matrix, or one
    that lacks a label."""
    for score in scores:
        if score.task == task and set(score.confusion) >= set(labels):
            return Rates.of(labels, score.confusion)
    return None


def mixed(rates: Mapping[str, Rates], messages: Mapping[str, float]) -> Rates | None:
    """Those of several models together, by how many `messages` each labelled; None if one of them is unknown."""
    used = {model: number for model, number in messages.items() if number > 0}
    if not used or not used.keys() <= rates.keys():
        return None
    total = sum(used.values())
    labels = rates[next(iter(used))].labels
    return Rates(labels, sum((rates[model].values * (number / total) for model, number in used.items()), np.zeros(1)))


def corrected_counts(predicted: Sequence[float] | Floats, rates: Rates) -> Floats:
    """True counts (k,), in the order of `rates.labels`, most likely behind the counts `predicted` (k,); same total."""
    seen = np.asarray(predicted, np.float64)
    total = seen.sum()
    if total <= 0:
        return np.zeros(len(seen))
    shares = np.full(len(seen), 1 / len(seen))
    for _ in range(_ROUNDS):
        joint = shares[:, None] * rates.values
        new = joint @ (seen / total / joint.sum(axis=0))
        moved = np.abs(new - shares).max()
        shares = new
        if moved < _CLOSE:
            break
    return shares * total
