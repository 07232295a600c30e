"""Which words of some headlines surge, against others. Pure.

A word's strength is the z-score of its log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn,
"Fightin' Words", Political Analysis 2008, equations 16-22), counted by headlines that hold it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_PRIOR = 500.0  # words that the prior weighs as much as
_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be been before being but by can could did do does for from get "
    "had has have he her here him his how i if in into is it its just like may me more most my new no not now of off "
    "on one only or our out over own said say says she so some than that the their them then there these they this to "
    "today too up us via was we were what when where which while who why will with would you your rt amp s t re user"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())
_WORD = re.compile(r"\w+")
_ADDRESS = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_FIRST_WITHOUT_SPACES = "\u2e80"  # scripts from here on set no spaces: pairs of characters stand for words


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
    ours, theirs = Counter[str](), Counter[str]()
    for headline in inside:
        ours.update(words(headline))
    for headline in background:
        theirs.update(words(headline))
    size, others = ours.total(), theirs.total()
    terms = (log_odds(word, count, theirs[word], size, others) for word, count in ours.items() if count >= 2)
    return sorted((term for term in terms if term.strength > 0), key=lambda term: (-term.strength, term.word))[:limit]


def log_odds(word: str, inside: int, background: int, size: int, others: int) -> Term:
    """The term of a word that counts `inside` of `size` and `background` of `others`: delta, and delta over the root of
    its variance, of equations 16, 20 and 22."""
    prior = _PRIOR * (inside + background) / (size + others)
    mine, other = inside + prior, background + prior
    delta = math.log(mine / (size + _PRIOR - mine)) - math.log(other / (others + _PRIOR - other))
    return Term(word, inside, background, delta, delta / math.sqrt(1 / mine + 1 / other))


def words(headline: str) -> set[str]:
    """The words that are counted of a headline, each once."""
    found: set[str] = set()
    for word in _WORD.findall(_ADDRESS.sub(" ", headline).casefold()):
        if word[-1] >= _FIRST_WITHOUT_SPACES:
            found.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif len(word) > 1 and word not in _COMMON and not word.isdigit():
            found.add(word)
    return found
