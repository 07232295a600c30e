"""Whether a model fits what newstide does with it: the language of a message, tasks and sentiments that trends count,
labels of the taxonomy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from core.bundle import Manifest
from core.errors import BundleError
from core.language import ENGLISH
from core.taxonomy import Taxonomy

SENTIMENTS = ("negative", "neutral", "positive")  # columns of the trends, so of every model's scores
TASKS = ("sentiment", "topic")
UNREAD = "unread"  # how a message counts that no model reads


class Reader(Protocol):
    """A model, or what stands for one: the languages that it reads, the one it is for first."""

    @property
    def languages(self) -> Sequence[str]: ...


AnyReader = TypeVar("AnyReader", bound=Reader)


def in_order(models: Iterable[AnyReader]) -> list[AnyReader]:
    """`models` of different languages in the order that `reader_of` asks for, the same everywhere: English first."""
    return sorted(models, key=lambda model: (model.languages[0] != ENGLISH, model.languages[0]))


def reader_of(language: str, models: Sequence[AnyReader]) -> AnyReader | None:
    """The one of `models`, which are `in_order`, that labels messages in `language`; None where none reads it.

    The one that is for this language, else the first that reads it too; where nobody knows the language (""), the
    first.
    """
    if not language:
        return next(iter(models), None)
    readers = [model for model in models if language in model.languages]
    return next((model for model in readers if model.languages[0] == language), next(iter(readers), None))


def is_read(language: str, languages: Collection[str]) -> bool:
    """Whether a model that reads `languages` labels a message in `language`; where nobody knows it (""), it does."""
    return not language or language in languages


def check_fit(manifest: Manifest) -> None:
    """Raise BundleError unless a worker can run the model: both tasks, and the sentiments in the trends' order."""
    missing = [task for task in TASKS if task not in manifest.tasks]
    if missing:
        raise BundleError(f"{manifest.name} has no task {' or '.join(missing)}, which a worker needs; retrain it")
    if tuple(manifest.tasks["sentiment"].labels) != SENTIMENTS:
        raise BundleError(
            f"{manifest.name} gives the sentiments {', '.join(manifest.tasks['sentiment'].labels)}; trends count "
            f"{', '.join(SENTIMENTS)}, in this order: retrain it"
        )
    if manifest.entity is not None and tuple(manifest.entity.labels) != SENTIMENTS:
        raise BundleError(
            f"{manifest.name} gives companies the sentiments {', '.join(manifest.entity.labels)}; trends count "
            f"{', '.join(SENTIMENTS)}, in this order: retrain it"
        )


def labels_unlike(manifest: Manifest, taxonomy: Taxonomy) -> str:
    """What sets the model's labels apart from the taxonomy's; empty if nothing does."""
    faults = []
    for task in TASKS:
        mine, theirs = manifest.tasks[task].labels, list(taxonomy.tasks.get(task, ()))
        if mine != theirs:
            extra = [label for label in mine if label not in theirs]
            lacking = [label for label in theirs if label not in mine]
            what = [f"has {', '.join(extra)}"] if extra else []
            what += [f"lacks {', '.join(lacking)}"] if lacking else []
            faults.append(f"`{task}` {' and '.join(what) or 'has its labels in another order'}")
    return "; ".join(faults)
