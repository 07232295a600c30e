"""What a model's own texts looked like to it: the reference that live traffic is compared with to find drift."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import msgspec

from core.errors import BundleError

MAX_BINS = 100
MAX_DIRECTIONS = 32
MAX_WIDTH = 8192
_ROUNDING = 0.01  # shares are written with few digits, so their sum is 1 up to this


class Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantity in bins: increasing inner `edges` (k - 1) and the `shares` (k) of texts between them, summing to 1.

    A value on an edge belongs to the bin above it; the outer bins are open.
    """

    edges: list[float]
    shares: list[float]


class TaskReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The top probability in deciles, and the share of texts predicted as each label, in the order of the scores."""

    confidence: Distribution
    labels: list[float]


class EmbeddingReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Vectors along their leading principal directions: `center` (width,), `directions` (k, width) of length 1,
    and for each direction the distribution of (vector - center) · direction."""

    center: list[float]
    directions: list[list[float]]
    along: list[Distribution]


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Distributions over `texts` texts, per task and of their embeddings; None where the network gives none."""

    texts: int
    tasks: dict[str, TaskReference]
    embedding: EmbeddingReference | None = None


def check_reference(reference: Reference, tasks: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise BundleError, naming the part, unless `reference` is finite, of matching shapes and fits `tasks`."""
    if reference.texts < 1:
        _refuse(where, f"it stands on {reference.texts} texts; at least one is needed")
    if set(reference.tasks) != set(tasks):
        _refuse(where, f"it has the tasks {sorted(reference.tasks)}; the manifest has {sorted(tasks)}")
    for task, part in reference.tasks.items():
        _check_distribution(part.confidence, f"{where}, confidence of `{task}`")
        if len(part.labels) != len(tasks[task]):
            _refuse(f"{where}, `{task}`", f"it has {len(part.labels)} label shares for {len(tasks[task])} labels")
        _check_shares(part.labels, f"{where}, labels of `{task}`")
    if reference.embedding is not None:
        _check_embedding(reference.embedding, f"{where}, embedding")


def _check_embedding(embedding: EmbeddingReference, where: str) -> None:
    width, count = len(embedding.center), len(embedding.directions)
    if not (1 <= width <= MAX_WIDTH and 1 <= count <= MAX_DIRECTIONS):
        _refuse(where, f"{count} directions of width {width}; 1 to {MAX_DIRECTIONS} of 1 to {MAX_WIDTH} are accepted")
    if len(embedding.along) != count:
        _refuse(where, f"it has {len(embedding.along)} distributions for {count} directions")
    for number, direction in enumerate(embedding.directions, start=1):
        if len(direction) != width:
            _refuse(where, f"direction {number} has {len(direction)} components; the center has {width}")
    if not all(math.isfinite(value) for row in (embedding.center, *embedding.directions) for value in row):
        _refuse(where, "a component is not finite")
    for number, distribution in enumerate(embedding.along, start=1):
        _check_distribution(distribution, f"{where}, direction {number}")


def _check_distribution(distribution: Distribution, where: str) -> None:
    edges, shares = distribution.edges, distribution.shares
    if len(shares) != len(edges) + 1 or len(shares) > MAX_BINS:
        _refuse(where, f"{len(edges)} edges and {len(shares)} shares; expected one share more, at most {MAX_BINS}")
    if not all(math.isfinite(edge) for edge in edges):
        _refuse(where, "an edge is not finite")
    if any(high <= low for low, high in itertools.pairwise(edges)):
        _refuse(where, "its edges do not increase")
    _check_shares(shares, where)


def _check_shares(shares: Sequence[float], where: str) -> None:
    # NaN fails both comparisons.
    if not all(0 <= share <= 1 for share in shares) or not abs(math.fsum(shares) - 1) <= _ROUNDING:
        _refuse(where, "its shares are not between 0 and 1 with the sum 1")


def _refuse(where: str, fault: str) -> None:
    raise BundleError(f"{where}: the reference can't be used: {fault}; retrain the bundle")
