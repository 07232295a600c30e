"""Themes among messages that the model is unsure of: suggested topics, for analysts to name or to dismiss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from sqlalchemy import Engine

from core.classifier import Classifier
from core.store.samples import NEWEST, Sampled, count_stories, read_unsure
from trainer.watch.terms import class_terms

CONFIDENCE = 0.6  # a topic below this probability is unsure
MARGIN = 0.2  # so is one that leads the second by less
COMPONENTS = 15  # density means little in more dimensions (Campello et al. 2013 cluster in few; so does BERTopic)
EXAMPLES = 3
_CHUNK = 256  # texts embedded between two moves of the progress bar
_OUTSIDE = -1


class Theme(msgspec.Struct, frozen=True):
    """A cluster of stories. `growth` is its share in the recent half of all stories over that in the earlier half
    (half a story added to each); `labels` are the topics the model gave them, the commonest first; `examples` are the
    headlines nearest to its middle."""

    terms: list[str]
    stories: int
    earlier: int
    recent: int
    growth: float
    first_at: datetime
    last_at: datetime
    labels: dict[str, int]
    examples: list[str]


class Discovery(msgspec.Struct, frozen=True):
    """Themes, the most surely growing first; `stories` looked at, `unsure` ones clustered, `outside` of all themes."""

    stories: int
    unsure: int
    outside: int
    themes: list[Theme]


def discover(
    engine: Engine,
    classifier: Classifier,
    *,
    since: datetime | None = None,
    limit: int = 5_000,
    min_size: int = 10,
    newest: int = NEWEST,
    seed: int = 0,
    quiet: bool = True,
) -> Discovery:
    """Themes among the newest `limit` stories since `since` whose topic is unsure, in the languages of
    `classifier`, which embeds them.

    A theme has at least `min_size` stories (2 or more). The same store, bundle and seed give the same themes. Raises
    BundleError for a bundle whose network gives no embeddings.
    """
    sample = read_unsure(engine, classifier.languages, since, limit, CONFIDENCE, MARGIN, newest)
    bodies = [entry.message.body for entry in sample]
    with Progress(
        TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True, disable=quiet
    ) as progress:
        bar = progress.add_task("embedding", total=len(bodies))
        vectors = embed_all(classifier, bodies, lambda done: progress.update(bar, completed=done))
    groups = cluster(vectors, min_size, seed)
    themes = describe(sample, vectors, groups)
    stories = count_stories(engine, classifier.languages, since, newest)
    return Discovery(stories, len(sample), int(np.sum(groups == _OUTSIDE)), themes)


def embed_all(
    classifier: Classifier, texts: Sequence[str], done: Callable[[int], object] = lambda count: None
) -> NDArray[np.float32]:
    """Vectors (n, width) of `texts`; `done` is called with how many are ready."""
    parts = [classifier.embed([])]
    for start in range(0, len(texts), _CHUNK):
        parts.append(classifier.embed(texts[start : start + _CHUNK]))
        done(min(start + _CHUNK, len(texts)))
    return np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]


def cluster(vectors: NDArray[np.float32], min_size: int, seed: int = 0) -> NDArray[np.int64]:
    """Cluster number of each of the `vectors` (n, width), -1 for none: HDBSCAN (Campello, Moulavi and Sander 2013) on
    the leading principal components of their directions. Fewer than 2 x `min_size` vectors hold no cluster.
    """
    outside = np.full(len(vectors), _OUTSIDE, dtype=np.int64)
    if min_size < 2:
        raise ValueError(f"a cluster of {min_size} is none; min_size is 2 or more")
    if len(vectors) < 2 * min_size:
        return outside
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = (vectors / np.maximum(lengths, 1e-12)).astype(np.float64)
    directions -= directions.mean(axis=0)
    if not np.abs(directions).max() > 1e-9:
        return outside
    components = min(COMPONENTS, *directions.shape)
    reduced = PCA(components, random_state=seed).fit_transform(directions)
    # Few neighbours make a point dense, since what is new is small at first; the leaves of the tree are themes where
    # the excess of mass would take all talk of the largest companies as one.
    model = HDBSCAN(min_cluster_size=min_size, min_samples=min(3, min_size), cluster_selection_method="leaf", copy=True)
    return np.asarray(model.fit_predict(reduced), dtype=np.int64)


def describe(sample: Sequence[Sampled], vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> list[Theme]:
    """The themes of `groups` (n,), the most surely growing first.

    Sure growth is (recent - earlier) / sqrt(recent + earlier), the normal score of an even split: 12 against 2 comes
    before 3 against 0, and before 120 against 110.
    """
    if not len(sample):
        return []
    terms = class_terms([entry.message.body for entry in sample], groups)
    order = np.argsort([entry.message.published_at.timestamp() for entry in sample], kind="stable")
    late = np.zeros(len(sample), dtype=bool)
    late[order[len(sample) // 2 :]] = True
    halves = (int(np.sum(~late)), int(np.sum(late)))
    themes = []
    for number in np.unique(groups[groups != _OUTSIDE]):
        members = np.flatnonzero(groups == number)
        entries = [sample[int(index)] for index in members]
        recent = int(late[members].sum())
        earlier = len(members) - recent
        growth = (recent + 0.5) / (halves[1] + 0.5) / ((earlier + 0.5) / (halves[0] + 0.5))
        times = [entry.message.published_at for entry in entries]
        themes.append(
            Theme(
                terms=terms[int(number)],
                stories=len(members),
                earlier=earlier,
                recent=recent,
                growth=round(growth, 2),
                first_at=min(times),
                last_at=max(times),
                labels=dict(Counter(entry.topic for entry in entries).most_common()),
                examples=[_headline(sample[index]) for index in _nearest(vectors, members)],
            )
        )
    return sorted(themes, key=lambda t: (-(t.recent - t.earlier) / t.stories**0.5, -t.stories, t.terms, t.examples))


def _nearest(vectors: NDArray[np.float32], members: NDArray[np.int64]) -> list[int]:
    distance = np.linalg.norm(vectors[members] - vectors[members].mean(axis=0), axis=1)
    return [int(index) for index in members[np.argsort(distance, kind="stable")[:EXAMPLES]]]


def _headline(entry: Sampled) -> str:
    return " ".join((entry.message.title or entry.message.text).split())[:200]
