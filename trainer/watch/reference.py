"""Measuring a model's reference on texts: what it then stores in its bundle."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.classifier import Classifier
from core.errors import BundleError, InputError
from core.reference import Distribution, EmbeddingReference, Reference, TaskReference
from trainer.watch.stability import count_bins

MAX_TEXTS = 5_000  # more would not move a decile
DIRECTIONS = 8
MAX_COMPONENTS = 9_000  # numbers in center and directions, which keeps the reference under 150 kB
_DECILES = np.arange(1, 10) / 10


def measure_reference(classifier: Classifier, texts: Sequence[str], seed: int = 0) -> Reference:
    """The reference of `classifier` over `texts`, or over 5,000 of them drawn with `seed`.

    Give texts the network was not fitted to (the validation part): on those it was fitted to it is surer than on any
    others of their kind, and that gap would look like drift. Raises InputError where there is no text.
    """
    if not texts:
        raise InputError("there is no text to measure a reference on; give the texts of the validation part")
    chosen = random.Random(seed).sample(list(texts), min(MAX_TEXTS, len(texts)))
    tasks = {}
    for task, scores in classifier.predict(chosen).items():
        counts = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])
        tasks[task] = TaskReference(_deciles(scores.max(axis=1)), _shares(counts))
    return Reference(len(chosen), tasks, _measure_embedding(classifier, chosen))


def project(vectors: NDArray[np.float32], embedding: EmbeddingReference) -> NDArray[np.float64]:
    """Positions (n, k) of `vectors` (n, width) along the directions of `embedding`.

    Raises BundleError for vectors of another width.
    """
    center = np.asarray(embedding.center)
    if vectors.shape[1:] != center.shape:
        raise BundleError(
            f"the network gives vectors of width {vectors.shape[-1]}, but its reference has {len(center)}; "
            "retrain the bundle"
        )
    return np.asarray((vectors - center) @ np.asarray(embedding.directions).T)


def _measure_embedding(classifier: Classifier, texts: Sequence[str]) -> EmbeddingReference | None:
    try:
        vectors = classifier.embed(texts).astype(np.float64)
    except BundleError:  # a network that gives no vectors has no reference for them
        return None
    center = vectors.mean(axis=0)
    count = min(DIRECTIONS, MAX_COMPONENTS // vectors.shape[1] - 1)
    _, spread, axes = np.linalg.svd(vectors - center, full_matrices=False)
    kept = axes[: max(count, 1)][spread[: max(count, 1)] > 1e-9 * max(spread[0], 1e-9)]
    if not len(kept):
        return None
    # A direction and its opposite are the same; one of them is chosen, so that a seed gives one reference.
    strongest = np.abs(kept).argmax(axis=1)
    kept = kept * np.sign(kept[np.arange(len(kept)), strongest])[:, None]
    bare = EmbeddingReference([_short(v) for v in center], [[round(float(v), 4) for v in axis] for axis in kept], [])
    positions = project(vectors.astype(np.float32), bare)
    return EmbeddingReference(bare.center, bare.directions, [_deciles(column) for column in positions.T])


def _deciles(values: NDArray[np.floating]) -> Distribution:
    """Bins that hold about a tenth of `values` each; fewer where many values are equal."""
    edges = sorted({_short(edge) for edge in np.quantile(values, _DECILES)})
    counts = count_bins(values, edges)
    # An empty bin expects nothing and tells nothing: drop the edge above it, or the last one below it.
    kept = [edge for edge, below in zip(edges, counts[:-1], strict=True) if below]
    if kept and not counts[-1]:
        kept.pop()
    return Distribution(kept, _shares(count_bins(values, kept)))


def _shares(counts: NDArray[np.int64]) -> list[float]:
    return [round(float(share), 5) for share in counts / counts.sum()]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
