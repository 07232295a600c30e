"""Which words set some texts apart from others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from core.text import story_form

_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be been before being but by can could did do does for from get "
    "had has have he her here him his how i if in into is it its just like may me more most my new no not now of off "
    "on one only or our out over own said say says she so some than that the their them then there these they this to "
    "today too up us via was we were what when where which while who why will with would you your rt amp s t re"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())


def distinctive_words(texts: Iterable[str], background: Iterable[str], limit: int = 8) -> list[str]:
    """Up to `limit` words that more of `texts` hold than `background` makes likely, the strongest first.

    A word's strength is n log((n + 1/2) / (N + 1) / (b + 1/2) * (B + 1)): n of N texts hold it, b of B in the
    background (a signed log-likelihood term; Dunning 1993). At least two texts must hold it, if there are two.
    """
    inside, size = _holders(texts)
    outside, others = _holders(background)
    least = min(2, size)

    def strength(word: str) -> float:
        share = (inside[word] + 0.5) / (size + 1)
        return inside[word] * math.log(share / ((outside[word] + 0.5) / (others + 1)))

    ranked = sorted(((-strength(word), word) for word, n in inside.items() if n >= least))
    return [word for negated, word in ranked[:limit] if negated < 0]


def _holders(texts: Iterable[str]) -> tuple[Counter[str], int]:
    counter: Counter[str] = Counter()
    size = 0
    for text in texts:
        size += 1
        counter.update({word for word in story_form(text).split() if len(word) > 1 and not _ordinary(word)})
    return counter, size


def _ordinary(word: str) -> bool:
    return word in _COMMON or word.isdigit()
