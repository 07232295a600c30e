"""How many of each label there truly are, when a classifier with known mistakes counted them. Pure numpy.

The share of a label among predictions is off by the classifier's mistakes, and the more so the further the mix of
labels is from that of the texts it was tested on. With P(predicted | true), known from tested texts, the true shares
are those that make what was predicted most likely. They are found by expectation maximisation, which keeps them at 0 or
above and adding up to 1 (Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, 2002, with predicted labels in place of posterior probabilities; where no share
is at 0 this is the adjusted count of Forman, "Counting positives accurately despite inaccurate classification",
ECML 2005).

A classifier makes other mistakes on another source, so that P(predicted | true) of a stream that nobody tested is known
from those of the tested sources as a group: each row is drawn from a Dirichlet distribution around their mean, which
varies as much as the sources do. The moment estimate of that is DerSimonian and Laird's ("Meta-analysis in clinical
trials", Controlled Clinical Trials 7, 1986) with the Dirichlet-multinomial variance (Mosimann, "On the compound
multinomial distribution", Biometrika 49, 1962). Mistakes of both kinds nearly make up for each other where the mix of
labels is the usual one of a source, whatever they are by themselves: `anchored` fits them to what is usual. Texts of
the stream itself, labelled by people, are added. And the correction is made by as much as all this supports: see
`corrected_counts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.labelled import SENTIMENT
from core.scoring import StreamScore, TaskScore

Floats = NDArray[np.float64]
Confusion = Mapping[str, Mapping[str, int]]

_PRIOR = 0.5  # texts added to each cell: one that no test text fell into is rare, and not impossible
_USUAL_TEXTS = 30.0  # of a label that tested sources are worth for another one (that is so of the English bundle's)
_USUAL_WEIGHT = 300.0  # and how many tested texts it takes to believe otherwise
_LEAST_TEXTS = 3.0
_FITTING_ROUNDS = 500
_SINGULAR = 1e6  # condition of P(predicted | true) from which on predictions tell nothing
_ROUNDS = 2000
_CLOSE = 1e-9


@dataclass(frozen=True)
class Rates:
    """What a classifier makes of each label: `values` (k, k) is P(predicted | true), a row for each true label, known
    as if from `texts` (k,) of the stream itself."""

    labels: tuple[str, ...]
    values: Floats
    texts: Floats

    @classmethod
    def of(cls, labels: Sequence[str], sources: Sequence[Confusion]) -> Rates:
        """From counts by true and predicted label of each source; those left out are 0."""
        counts = np.stack([_table(labels, confusion) for confusion in sources])
        total = counts.sum(axis=0) + _PRIOR
        values = total / total.sum(axis=1, keepdims=True)
        return cls(tuple(labels), values, np.minimum(_alike(counts, values), total.sum(axis=1)))

    def anchored(self, usual: Sequence[float] | Floats) -> Rates:
        """The same for a stream whose `usual` counts (k,) as predicted are right as a whole: the nearest rates by which
        the usual shares stay what they are, by iterative proportional fitting (Deming and Stephan, "On a least squares
        adjustment of a sampled frequency table when the expected marginal totals are known", Annals of Mathematical
        Statistics 11, 1940)."""
        shares = np.asarray(usual, np.float64) + _PRIOR
        shares /= shares.sum()
        joint = self.values * shares[:, None]
        for _ in range(_FITTING_ROUNDS):
            joint *= shares / joint.sum(axis=0)
            off = np.abs(joint.sum(axis=1) - shares).max()
            joint *= (shares / joint.sum(axis=1))[:, None]
            if off < _CLOSE:
                break
        return Rates(self.labels, joint / joint.sum(axis=1, keepdims=True), self.texts)

    def with_own(self, confusion: Confusion) -> Rates:
        """The same when texts of the stream itself are known as well."""
        counts = self.values * self.texts[:, None] + _table(self.labels, confusion)
        texts = counts.sum(axis=1)
        return Rates(self.labels, counts / texts[:, None], texts)


def rates_of(streams: Iterable[StreamScore], scores: Iterable[TaskScore], labels: Sequence[str]) -> Rates | None:
    """Those of sentiments of a bundle, by its manifest's `streams`, or else by the `evaluation` of the variant it
    serves; None where neither has a matrix, or one that lacks a label."""
    sources = [score.confusion for score in streams]
    if not sources:
        sources = [score.confusion for score in scores if score.task == SENTIMENT]
    known = {label for confusion in sources for label in confusion}
    return Rates.of(labels, sources) if known >= set(labels) else None


def mixed(rates: Mapping[str, Rates], messages: Mapping[str, float]) -> Rates | None:
    """Those of several models together, by how many `messages` each labelled; None if one of them is unknown."""
    used = {model: number for model, number in messages.items() if number > 0}
    if not used or not used.keys() <= rates.keys():
        return None
    shares = {model: number / sum(used.values()) for model, number in used.items()}
    values = sum((rates[model].values * share for model, share in shares.items()), np.zeros(1))
    texts = sum((rates[model].texts * share for model, share in shares.items()), np.zeros(1))
    return Rates(rates[next(iter(used))].labels, values, texts)


def corrected_counts(predicted: Sequence[float] | Floats, rates: Rates) -> Floats:
    """True counts (k,), in the order of `rates.labels`, behind the counts `predicted` (k,); same total.

    With q the predicted shares and p the most likely true ones, these are q + w (p - q), with the w in [0, 1] of the
    least expected squared error. That follows from the chance in n predictions and from the doubt about the rates, to
    first order in both: where q is off by a bias b and by chance u of covariance U, and p by A u and by m of covariance
    V, w = (|b|^2 - tr((A - I) U)) / (|b|^2 + tr((A - I) U (A - I)') + tr(V)). On average |p - q|^2 is that denominator,
    from which |b|^2 follows (positive part, as in Efron and Morris, "Stein's estimation rule and its competitors",
    JASA 68, 1973). So a difference within the error leaves the counts as they are.
    """
    seen = np.asarray(predicted, np.float64)
    total = seen.sum()
    if total <= 0:
        return np.zeros(len(seen))
    if np.linalg.cond(rates.values) > _SINGULAR:
        return seen
    shares = seen / total
    likely = _most_likely(shares, rates.values)
    return (shares + _weight(shares, likely, total, rates) * (likely - shares)) * total


def _most_likely(seen: Floats, rates: Floats) -> Floats:
    """True shares (k,) by expectation maximisation."""
    shares = np.full(len(seen), 1 / len(seen))
    for _ in range(_ROUNDS):
        new = shares * (rates @ (seen / (shares @ rates)))
        moved = np.abs(new - shares).max()
        shares = new
        if moved < _CLOSE:
            break
    return shares


def _weight(seen: Floats, likely: Floats, number: float, rates: Rates) -> float:
    """w of `corrected_counts`, of so many predictions."""
    moved = float(((likely - seen) ** 2).sum())
    if moved <= 0:
        return 0.0
    back = np.linalg.inv(rates.values).T
    off = back - np.eye(len(seen))
    spread = np.stack([np.diag(row) - np.outer(row, row) for row in rates.values])
    chance = np.tensordot(likely, spread, 1) / number
    doubt = np.tensordot(likely**2 / (rates.texts + 1.0), spread, 1)
    lost = np.trace(off @ chance @ off.T) + np.trace(back @ doubt @ back.T) + np.trace(off @ chance)
    return float(np.clip(1.0 - lost / moved, 0.0, 1.0))


def _table(labels: Sequence[str], confusion: Confusion) -> Floats:
    return np.array([[confusion.get(true, {}).get(found, 0) for found in labels] for true in labels], np.float64)


def _alike(counts: Floats, mean: Floats) -> float:
    """The texts of a label that sources of `counts` (sources, k, k) are worth for another source: the concentration of
    the Dirichlet distribution around `mean` (k, k) that rows of sources are drawn from, the same for all labels."""
    texts = counts.sum(axis=2)
    square = ((counts - texts[:, :, None] * mean) ** 2 / (np.maximum(texts, 1.0)[:, :, None] * mean)).sum(axis=(0, 2))
    degrees = np.maximum((texts > 0).sum(axis=0) - 1.0, 0.0)
    weight = texts.sum(axis=0) - (texts**2).sum(axis=0) / np.maximum(texts.sum(axis=0), 1.0) - degrees
    found = square / (counts.shape[2] - 1.0) - degrees
    several = degrees > 0  # a label that one source has tells nothing of how they differ
    alike = found[several].sum() + _USUAL_WEIGHT / (_USUAL_TEXTS + 1.0)
    share = alike / (weight[several].sum() + _USUAL_WEIGHT)
    return max(float(1.0 / max(share, 1e-9) - 1.0), _LEAST_TEXTS)
