"""Why a text got its label: how much each of its words moved the score, by leaving it out (occlusion).

Occlusion is Zeiler and Fergus (2014) on words: the probability of the label less what is left of it without the words
(Li, Monroe and Jurafsky 2016, in probabilities rather than logarithms). Where two words say the same, neither is missed
while the other is there. What the words that weigh most in the text weigh is therefore the mean over the text and the
text without its heaviest word. It asks the classifier alone, so it holds for whatever network a bundle has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

MOST_SPANS = 64  # texts scored for one explanation; of longer texts, several words are left out at once
CLOSER = 12  # words that are looked at twice: a headline has no more
MOST_WORDS = 256  # more than a classifier reads
_DIGITS = 6
# Scripts without spaces are taken two characters at a time: most words there are as long.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|[$€£¥#@+-]?[^\W{_UNSPACED}]+(?:['’.,&/-][^\W{_UNSPACED}]+)*%?")


class Span(msgspec.Struct, frozen=True):
    """`text[start:end]`; without it the label is `weight` less likely, or likelier where it is negative: of the CLOSER
    spans behind the heaviest, on average in the text and in the text without the heaviest."""

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

    One call of `classifier` with at most MOST_SPANS + 1 texts, and for each task one of CLOSER. Raises KeyError for a
    label or task it does not have.
    """
    spans = word_spans(text)
    found = {}
    for task, scores in classifier.predict([text, *(without(text, span) for span in spans)]).items():
        names = classifier.labels(task)
        wanted = (labels or {}).get(task)
        column = names.index(wanted) if wanted is not None else int(scores[0].argmax())
        weights = scores[0, column] - scores[1:, column]
        if len(spans) > 1:
            first, *closer = np.argsort(-weights, kind="stable")[: CLOSER + 1]
            left = classifier.predict([without(text, spans[first], spans[other]) for other in closer])[task]
            weights[closer] = (weights[closer] + scores[1 + first, column] - left[:, column]) / 2
        found[task] = Explanation(
            names[column],
            round(float(scores[0, column]), _DIGITS),
            [
                Span(start, end, text[start:end], round(float(weight), _DIGITS))
                for (start, end), weight in zip(spans, weights, strict=True)
            ],
        )
    return found


def without(text: str, *spans: tuple[int, int]) -> str:
    """`text` with each of `spans` taken out."""
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return text


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
