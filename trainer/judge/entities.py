"""What labels of companies are worth beside the label of their text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.bundle import ENTITY
from core.classifier import Classifier
from core.labelled import SENTIMENT
from core.scoring import EntityScore, MentionShare, score_task
from trainer.data.examples import Example


def judge_entities(classifier: Classifier, examples: Sequence[Example]) -> EntityScore:
    """Figures of `classifier`, which has the head for them, on the labelled companies of `examples`.

    A company that is named behind the last token read gets the label of the text, as in service.
    """
    labels = classifier.entity_labels
    named = [example for example in examples if example.entities]
    scores, by_text = entity_scores(classifier, named)
    truth = np.array([labels.index(one.label) for example in named for one in example.entities], dtype=np.int64)
    own = scores.argmax(axis=1) == truth
    of_text = by_text.argmax(axis=1) == truth
    text = np.repeat(np.arange(len(named)), [len(example.entities) for example in named])
    several = np.array([len(example.entities) > 1 for example in named], dtype=bool)
    opposite = np.array([{labels[0], labels[-1]} <= {one.label for one in e.entities} for e in named], dtype=bool)

    def share(chosen: NDArray[np.bool_]) -> MentionShare:
        rows = chosen[text]
        count = int(rows.sum())
        right = [float(hits[rows].mean()) if count else 0.0 for hits in (own, of_text)]
        return MentionShare(int(chosen.sum()), count, *right)

    return EntityScore(score_task(ENTITY, labels, truth, scores), share(several), share(opposite))


def entity_scores(
    classifier: Classifier, examples: Sequence[Example]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (mentions, labels) of the labelled companies of `examples`, text by text: theirs, and their text's."""
    labels = classifier.entity_labels
    read = classifier.read(
        [example.text for example in examples], [[one.spans for one in example.entities] for example in examples]
    )
    columns = [classifier.labels(SENTIMENT).index(label) for label in labels]
    counts = [len(example.entities) for example in examples]
    by_text = np.repeat(read.scores[SENTIMENT][:, columns], counts, axis=0)
    found = [scores for mentions in read.mentions for scores in mentions]
    own = [row if scores is None else scores for row, scores in zip(by_text, found, strict=True)]
    return np.array(own, dtype=np.float32).reshape(-1, len(labels)), by_text
