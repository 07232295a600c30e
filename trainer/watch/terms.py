"""Terms that set groups of texts apart: class-based TF-IDF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from core.text import model_input, word_form

# What tweets and wire copy add to the stop words: `rt`, user names as the model reads them, clipped forms.
_STOP_WORDS = ENGLISH_STOP_WORDS | {
    *("rt", "user", "amp", "via", "says", "said", "say", "new", "today", "don", "ll", "ve", "re")
}


def class_terms(texts: Sequence[str], groups: NDArray[np.int64], limit: int = 8) -> dict[int, list[str]]:
    """Up to `limit` terms of one or two words for each group in `groups` (n,), the strongest first.

    The weight of term t in group c is tf(t, c) log(1 + A / tf(t)), with tf(t) over all groups and A the mean number
    of terms of a group (Grootendorst 2022, "BERTopic", equation 2). A term counts once in a text, and needs two texts
    of the group: a single one that repeats itself names no theme. Texts outside of all themes are a group too.
    """
    numbers = np.unique(groups)
    try:
        counter = CountVectorizer(analyzer=lambda text: list(_terms(text)), binary=True)
        counts = counter.fit_transform(texts)
    except ValueError:  # no text has a term
        return {int(number): [] for number in numbers}
    words = counter.get_feature_names_out()
    frequency = np.stack([np.asarray(counts[groups == number].sum(axis=0)).ravel() for number in numbers])
    weights = frequency * np.log1p(frequency.sum() / len(numbers) / frequency.sum(axis=0))
    weights[frequency < 2] = 0
    return {int(number): _pick(words, weights[row], frequency[row], limit) for row, number in enumerate(numbers)}


def _terms(text: str) -> Iterator[str]:
    """Words of `text` that say something, and pairs of such words that stand side by side."""
    previous = ""
    for word in word_form(model_input(text)).split():
        bare = word.strip("$#")
        if bare in _STOP_WORDS or len(bare) < 2 or bare.isdigit():
            previous = ""
            continue
        yield word
        if previous and previous != word:
            yield f"{previous} {word}"
        previous = word


def _pick(words: NDArray[np.object_], weights: NDArray[np.float64], counts: NDArray[np.int64], limit: int) -> list[str]:
    """The heaviest terms; a pair takes the place of its words where most texts that hold them hold the pair."""
    order = sorted(np.flatnonzero(weights > 0), key=lambda index: (-weights[index], words[index]))[: limit * 8]
    counts_of = {words[index]: int(counts[index]) for index in order}
    absorbed: Counter[str] = Counter()
    for term, count in counts_of.items():
        for word in term.split() if " " in term else ():
            if count >= 0.6 * counts_of.get(word, 0):
                absorbed[word] += 1
    picked: list[str] = []
    for term in counts_of:
        said = {word for other in picked for word in other.split()}
        if not absorbed[term] and not set(term.split()) <= said:
            picked.append(term)
    return picked[:limit]
