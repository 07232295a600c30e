"""How a model does on sources that its training left out: figures of each, and their mean, by which models are chosen.

A model is bought for news that nobody labelled yet. Its figures on texts of the corpora it learned from say little of
that, because each corpus draws its borders elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from core.language import ENGLISH
from core.scoring import TaskScore

NEGATIVE = "negative"


class SourceScore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of one task on the texts of one source. `language`: of most of its texts, "" where they tell none.

    `negative_recall`: the greatest recall of the label `negative` that a threshold on its score reaches with a
    precision of at least `core.scoring.PRECISION` on these texts, 0 where none is that precise; None for a task without
    that label, and where no text carries it.
    """

    source: str
    language: str
    task: str
    support: int
    accuracy: float
    macro_f1: float
    ece: float
    negative_recall: float | None = None


class MeanScore(msgspec.Struct, frozen=True):
    """The plain mean over `sources` sources: each counts once, however many texts it has."""

    task: str
    sources: int
    accuracy: float
    macro_f1: float
    ece: float
    negative_recall: float | None


class Unseen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures on sources that were left out: `of` this very model, whose training left them all out, or of trainings by
    the same recipe that left out one or a few each."""

    of: Literal["model", "recipe"]
    scores: list[SourceScore]


def source_score(source: str, language: str, score: TaskScore) -> SourceScore:
    """What is kept of the figures of a task on a source."""
    negative = next((one for one in score.labels if one.label == NEGATIVE and one.support), None)
    return SourceScore(
        source,
        language,
        score.task,
        score.support,
        score.accuracy,
        score.macro_f1,
        score.ece,
        negative.recall_at_precision if negative is not None else None,
    )


def mean_scores(scores: Iterable[SourceScore], language: str | None = ENGLISH) -> list[MeanScore]:
    """Means per task over the sources in `language`, or over all of them, tasks in order of appearance.

    A source whose texts tell no language counts among those of each.
    """
    by_task: dict[str, list[SourceScore]] = {}
    for score in scores:
        if language is None or score.language in ("", language):
            by_task.setdefault(score.task, []).append(score)
    return [
        MeanScore(
            task,
            len(found),
            _mean([one.accuracy for one in found]),
            _mean([one.macro_f1 for one in found]),
            _mean([one.ece for one in found]),
            _mean(recalls) if (recalls := [r for one in found if (r := one.negative_recall) is not None]) else None,
        )
        for task, found in by_task.items()
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
