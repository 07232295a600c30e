"""A classifier on labelled examples: figures per task, and those of each source by itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from core.classifier import Classifier
from core.errors import InputError
from core.labelled import SENTIMENT
from core.scoring import StreamScore, TaskScore, score_task
from core.unseen import SourceScore, source_score
from trainer.data.examples import Example, by_source, main_language


def judge(classifier: Classifier, examples: Sequence[Example]) -> list[TaskScore]:
    """Figures per task of `classifier` on labelled `examples`. Raises InputError for a label that it does not know."""
    predicted = classifier.predict([example.text for example in examples])
    scores = []
    for task in classifier.tasks:
        rows = [row for row, example in enumerate(examples) if task in example.labels]
        labels = classifier.labels(task)
        unknown = sorted({examples[row].labels[task] for row in rows} - set(labels))
        if unknown:
            raise InputError(
                f"a text is labelled {unknown[0]!r} for {task!r}; {classifier.name} knows {', '.join(labels)}"
            )
        truth = np.array([labels.index(examples[row].labels[task]) for row in rows], dtype=np.int64)
        scores.append(score_task(task, labels, truth, predicted[task][rows], classifier.uses(task)))
    return scores


def judge_streams(classifier: Classifier, examples: Sequence[Example], streams: Collection[str]) -> list[StreamScore]:
    """What it makes of the sentiment of those `examples` whose sources are in `streams`, by source."""
    chosen = [example for example in examples if example.source in streams and SENTIMENT in example.labels]
    return [
        StreamScore(source, one.confusion)
        for source, own in by_source(chosen).items()
        for one in judge(classifier, own)
        if one.task == SENTIMENT
    ]


def judge_sources(classifier: Classifier, examples: Sequence[Example]) -> list[SourceScore]:
    """The same on the `examples` of each source by itself, sources by name, without tasks that it has no label of."""
    found = []
    for source, own in by_source(examples).items():
        language = main_language(own)
        found += [source_score(source, language, one) for one in judge(classifier, own) if one.support]
    return found
