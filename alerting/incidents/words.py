"""Which words set some texts apart from others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from core.text import story_form

_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be been before being but by can could did do does for from get "
    "had has have he her here him his how i if in into is it its just like may me more most my new no not now of off "
    "on one only or our out over own said say says she so some than that the their them then there these they this to "
    "today too up us via was we were what when where which while who why will with would you your rt amp s t re"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())
_PRIOR_WORDS = 50.0  # weight of the language at large, in words
_LEAST = 0.5  # prior count of a word never seen: a new word is not held against its surge


def distinctive_words(
    texts: Iterable[str], background: Iterable[str], language: Iterable[str] = (), limit: int = 8
) -> list[str]:
    """Up to `limit` words that `texts` hold more often than `background`, the most certain first.

    A word is counted once a text. Its weight is the z-score of the log-odds ratio with an informative Dirichlet prior
    (Monroe, Colaresi, Quinn, "Fightin' Words", Political Analysis 16, 2008, equations 16, 19 and 22): the prior is how
    often the texts of `language` use it. At least two texts must hold it, if there are two.
    """
    inside, size = _holders(texts)
    prior, _ = _holders(language)
    outside = _holders(background)[0] or prior
    words = inside.keys() | outside.keys() | prior.keys()
    scale = _PRIOR_WORDS / max(prior.total(), 1)
    alpha_total = prior.total() * scale + _LEAST * len(words)

    def log_odds(count: int, total: int, alpha: float) -> float:
        return math.log((count + alpha) / max(total + alpha_total - count - alpha, _LEAST))

    def weight(word: str) -> float:
        alpha = prior[word] * scale + _LEAST
        here, there = inside[word], outside[word]
        delta = log_odds(here, inside.total(), alpha) - log_odds(there, outside.total(), alpha)
        return delta / math.sqrt(1 / (here + alpha) + 1 / (there + alpha))

    ranked = sorted((-weight(word), -n, word) for word, n in inside.items() if n >= min(2, size))
    return [word for negated, _, word in ranked[:limit] if negated < 0 or not outside]


def _holders(texts: Iterable[str]) -> tuple[Counter[str], int]:
    words = [_words_of(text) for text in texts]
    return Counter(chain.from_iterable(words)), len(words)


@lru_cache(maxsize=4096)  # alerts of one day are compared with the same headlines
def _words_of(text: str) -> frozenset[str]:
    words = set(story_form(text).split()) - _COMMON
    return frozenset(word for word in words if len(word) > 1 and not word.isdigit())
