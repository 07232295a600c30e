"""Why a text got its label: how much each of its words moved the score, by leaving it out (occlusion).

Occlusion is Zeiler and Fergus (2014) on words; a weight is the probability of the label less what is left of it without
the words (Li, Monroe and Jurafsky 2016, in probabilities rather than logarithms). It asks the classifier alone, so it
holds for whatever network a bundle has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

MOST_SPANS = 64  # texts scored for one explanation; of longer texts, several words are left out at once
MOST_WORDS = 256  # more than a classifier reads
_DIGITS = 6
# Scripts without spaces are taken two characters at a time: most words there are as long.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|[$€£¥#@+-]?[^\W{_UNSPACED}]+(?:['’.,&/-][^\W{_UNSPACED}]+)*%?")


class Span(msgspec.Struct, frozen=True):
    """`text[start:end]`; without it the label would be `weight` less likely, or likelier where it is negative."""

    start: int
    end: int
    text: str
    weight: float


class Explanation(msgspec.Struct, frozen=True):
    """The label that a text got, with its score, and its spans in their order."""

    label: str
    score: float
    spans: list[Span]


class Scorer(Protocol):
    """What is asked of a classifier."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def labels(self, task: str) -> tuple[str, ...]: ...

    def predict(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]: ...


def explain(classifier: Scorer, text: str, labels: dict[str, str] | None = None) -> dict[str, Explanation]:
    """By task, why `text` got its label; or, for the tasks in `labels`, what moved the score of that label.

    One call of `classifier` with at most MOST_SPANS + 1 texts. Raises KeyError for a label or task it does not have.
    """
    spans = word_spans(text)
    variants = [text, *(text[:start] + " " + text[end:] for start, end in spans)]
    found = {}
    for task, scores in classifier.predict(variants).items():
        names = classifier.labels(task)
        wanted = (labels or {}).get(task)
        column = names.index(wanted) if wanted is not None else int(scores[0].argmax())
        whole = float(scores[0][column])
        found[task] = Explanation(
            names[column],
            round(whole, _DIGITS),
            [
                Span(start, end, text[start:end], round(whole - float(row[column]), _DIGITS))
                for (start, end), row in zip(spans, scores[1:], strict=True)
            ],
        )
    return found


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of `text` begin and end: at most MOST_SPANS, of as many words each, over the first MOST_WORDS."""
    words = []
    for match in _WORD.finditer(text):
        words.append(match.span())
        if len(words) == MOST_WORDS:
            break
    size = max(1, -(-len(words) // MOST_SPANS))
    groups = [words[at : at + size] for at in range(0, len(words), size)]
    return [(group[0][0], group[-1][1]) for group in groups]
