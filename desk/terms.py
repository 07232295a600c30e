"""Which words of some headlines surge, against others. Pure.

A word's strength is the z-score of its log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn,
"Fightin' Words", Political Analysis 2008, equations 16-22), counted by headlines that hold it.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from desk.expectation import Floats

_PRIOR = 500.0  # words that the prior weighs as much as
_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be been before being but by can could did do does for from get "
    "had has have he her here him his how i if in into is it its just like may me more most my new no not now of off "
    "on one only or our out over own said say says she so some than that the their them then there these they this to "
    "today too up us via was we were what when where which while who why will with would you your rt amp s t re user"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())
_WORD = re.compile(r"\w+")
_ADDRESS = re.compile(r"https?://\S+|www\.\S+")
_FIRST_WITHOUT_SPACES = "\u2e80"  # scripts from here on set no spaces: pairs of characters stand for words
_MOST_KEPT = 16_384  # headlines, some 500 bytes each: spans that are looked at again share nearly all of theirs


@dataclass(frozen=True, slots=True)
class Term:
    """A word, the headlines that hold it inside and in the background, its log-odds ratio and z-score."""

    word: str
    inside: int
    background: int
    log_odds: float
    strength: float


def surging_terms(inside: Iterable[str], background: Iterable[str], limit: int) -> list[Term]:
    """The `limit` strongest words of the headlines `inside` that two of them hold, and more than the background."""
    ours, theirs = _count(inside), _count(background)
    candidates = [word for word, count in ours.items() if count >= 2]
    counts, before = ([counted[word] for word in candidates] for counted in (ours, theirs))
    odds, strengths = log_odds(np.array(counts, float), np.array(before, float), ours.total(), theirs.total())
    found = zip(candidates, counts, before, odds.tolist(), strengths.tolist(), strict=True)
    terms = (Term(*each) for each in found if each[-1] > 0)
    return sorted(terms, key=lambda term: (-term.strength, term.word))[:limit]


def log_odds(inside: Floats, background: Floats, size: int, others: int) -> tuple[Floats, Floats]:
    """Of words that count `inside` of `size` and `background` of `others`, arrays [word]: delta, and delta over the
    root of its variance, of equations 16, 20 and 22."""
    prior = _PRIOR * (inside + background) / (size + others)
    mine, other = inside + prior, background + prior
    with np.errstate(divide="ignore", invalid="ignore"):  # of the only word there is, nothing can be said: NaN
        delta = np.log(mine / (size + _PRIOR - mine)) - np.log(other / (others + _PRIOR - other))
    return delta, delta / np.sqrt(1 / mine + 1 / other)


def words(headline: str) -> set[str]:
    """The words that are counted of a headline, each once."""
    text = headline.casefold()
    if "://" in text or "www." in text:
        text = _ADDRESS.sub(" ", text)
    found: set[str] = set()
    for word in set(_WORD.findall(text)):
        if word[-1] >= _FIRST_WITHOUT_SPACES:
            found.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif len(word) > 1 and word not in _COMMON and not word.isdigit():
            found.add(word)
    return found


def _count(headlines: Iterable[str]) -> Counter[str]:
    """Word -> how many of the headlines hold it."""
    return Counter(chain.from_iterable(map(_kept_words, headlines)))


@lru_cache(_MOST_KEPT)
def _kept_words(headline: str) -> tuple[str, ...]:
    return tuple(map(sys.intern, words(headline)))
