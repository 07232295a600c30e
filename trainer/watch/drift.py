"""Drift: whether what comes in still looks to the model like its own texts did.

Judged on a window of a fixed number of stories, so that a figure means the same on a quiet feed and a busy one and
does not grow with traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from core.bundle import Bundle
from core.classifier import EMBEDDING, Classifier
from core.reference import Reference
from core.store.samples import NEWEST, Sampled, read_window
from trainer.watch.reference import project
from trainer.watch.stability import MODERATE, Stability, compare, count_bins

WINDOW = 1_000
SMALLEST_WINDOW = 200  # below, chance alone reaches the threshold
FALSE_ALARM = 1e-3  # of a whole report without any drift, at most


class Shift(msgspec.Struct, frozen=True):
    """One quantity: its stability index less the mean of chance, the level that chance reaches, and the verdict."""

    quantity: str
    psi: float
    chance: float
    verdict: str  # stable, moderate or large


class DriftReport(msgspec.Struct, frozen=True):
    """Shifts of `model` on `window` stories, the largest first; none, and a `note` why, where nothing was measured."""

    model: str
    window: int
    shifts: list[Shift] = []
    note: str = ""

    @property
    def large(self) -> list[Shift]:
        """Shifts that call for a new model."""
        return [shift for shift in self.shifts if shift.verdict == "large"]


def measure_drift(
    engine: Engine,
    bundle: Bundle,
    *,
    window: int = WINDOW,
    newest: int = NEWEST,
    seed: int = 0,
    classifier: Classifier | None = None,
) -> DriftReport:
    """Drift of the newest messages that the model of `bundle` labelled, against the reference in its manifest.

    `window` stories are drawn with `seed` from the `newest` messages: their stored scores are compared, and their
    texts embedded again by `classifier` (made from `bundle` where None). Fewer stories give no verdict, because a
    smaller window is another measure. Raises ValueError for a window under 200.
    """
    if window < SMALLEST_WINDOW:
        raise ValueError(f"a window of {window} stories is too small to judge; at least {SMALLEST_WINDOW} are needed")
    reference = bundle.manifest.reference
    if reference is None:
        return DriftReport(bundle.name, window, note=f"{bundle.name} carries no reference; retrain it to have drift")
    sample = fitting(read_window(engine, bundle.name, window, seed, newest), bundle)
    if len(sample) < window:
        found = f"{len(sample)} of {window} stories among the newest {newest} messages were labelled by {bundle.name}"
        return DriftReport(bundle.name, window, note=f"{found}; too few to judge")
    vectors = None
    if reference.embedding is not None:
        vectors = (classifier or Classifier(bundle)).embed([entry.message.body for entry in sample])
    scores = {
        task: np.array([entry.scores[task] for entry in sample], dtype=np.float32)
        for task in reference.tasks
        if task in sample[0].scores
    }
    return DriftReport(bundle.name, window, compare_window(reference, scores, vectors))


def compare_window(
    reference: Reference, scores: Mapping[str, NDArray[np.float32]], vectors: NDArray[np.float32] | None
) -> list[Shift]:
    """Shifts of `scores` (n, labels) per task and of `vectors` (n, width) against `reference`, the largest first.

    The confidence and the predicted labels of each task, and each direction of the embeddings, are one quantity each;
    they share the probability of a false alarm among them (Bonferroni).
    """
    samples: list[tuple[str, Sequence[float], NDArray[np.int64]]] = []
    for task, values in scores.items():
        confidence, labels = reference.tasks[task].confidence, reference.tasks[task].labels
        samples.append((f"{task} confidence", confidence.shares, count_bins(values.max(axis=1), confidence.edges)))
        samples.append((f"{task} labels", labels, np.bincount(values.argmax(axis=1), minlength=len(labels))))
    if vectors is not None and reference.embedding is not None:
        positions = project(vectors, reference.embedding)
        for number, along in enumerate(reference.embedding.along):
            counts = count_bins(positions[:, number], along.edges)
            samples.append((f"{EMBEDDING} direction {number + 1}", along.shares, counts))
    level = FALSE_ALARM / max(len(samples), 1)
    shifts = [_judge(name, compare(shares, counts, reference.texts, level)) for name, shares, counts in samples]
    return sorted(shifts, key=lambda shift: -shift.psi)


def fitting(sample: Sequence[Sampled], bundle: Bundle) -> list[Sampled]:
    """Messages whose scores fit the tasks of `bundle`: another model may have had the same name and other labels."""
    widths = {task: len(spec.labels) for task, spec in bundle.manifest.tasks.items()}
    return [entry for entry in sample if all(len(scores) == widths.get(task) for task, scores in entry.scores.items())]


def _judge(quantity: str, stability: Stability) -> Shift:
    verdict = "stable"
    if stability.shifted:
        verdict = "large"
    elif stability.psi >= MODERATE and stability.psi > stability.chance:
        verdict = "moderate"
    return Shift(quantity, round(stability.psi, 4), round(stability.chance, 4), verdict)
