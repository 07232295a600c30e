"""The language of a text, as an ISO 639-1 code: what its source states, unless the text itself says otherwise.

The answer follows from the text and the statement alone, so every worker and every replay finds the same. It is
cautious: a message that is wrongly taken for one in a language that no model reads loses its label, so a text is of
another language than English only where the evidence is clear, and of none where it is not. The evidence is the script,
and within the Latin script the log-likelihoods of a naive Bayes classifier over byte n-grams (Lui and Baldwin 2012,
langid.py), restricted to the languages that financial news is written in: the full list mistakes headlines full of
tickers for rare ones.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from core.scripts import NOT_LATIN, languages_of_script

ENGLISH = "en"  # the language of most messages: what is meant where nobody names one
LATIN = (
    *("cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "ms", "nl", "no", "pl", "pt"),
    *("ro", "sk", "sl", "sv", "tr", "vi"),
)
_ALIASES = {"in": "id", "iw": "he", "ji": "yi", "nb": "no", "nn": "no", "cmn": "zh", "yue": "zh", "mo": "ro"}
_CODE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9_-]{1,16})?", re.IGNORECASE)
_NO_LANGUAGE = ("und", "mul", "zxx", "mis", "qaa")

_READ_CHARACTERS = 300  # more text costs time and changes nothing
_FEWEST_LETTERS = 12
_FEWEST_WIDE_LETTERS = 4  # scripts from Thai and Hangul on to Han say more in a letter
_NOT_PROSE = re.compile(r"(?:https?://|www\.)\S*|[@$#][\w.]+|\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
# How much likelier, in nats, a text must be in another language than in English: alone, and against the statement that
# it is English. And how much likelier in English than in a language that its source states.
_MARGIN, _MARGIN_AGAINST = 12.0, 20.0
_MARGIN_ENGLISH = 6.0
# Foreign names weigh much in a headline, these words tell what it is written in: each makes up for so many nats, and
# that many settle it.
_WORD_NATS, _WORDS_ENOUGH = 12.0, 3
_WORDS = re.compile("[a-z]+")
_ENGLISH_WORDS = (
    "about after all and announces are before but companies company cuts declares down drops earnings falls from "
    "gains gets growth has have her higher his how launches losses lower markets more new news off our over "
    "prices profits quarter raised raises reports results revenue rise rises sales said say says see sell share "
    "shares she than that the their they this today upgraded upgrade downgraded week what when who why will with "
    "year years you your"
)
_TELLING_WORDS = frozenset(_ENGLISH_WORDS.split())


def language_code(stated: str) -> str:
    """The code in a statement such as "en", "zh-CN" or "pt_BR"; "" for none."""
    match = _CODE.fullmatch(stated.strip())
    code = match[1].lower() if match else ""
    return "" if code in _NO_LANGUAGE else _ALIASES.get(code, code)


def language_of(text: str, stated: str = "") -> str:
    """The code of the language that `text` is written in; "" if it is too short or too mixed to tell. Pure and total.

    `stated`: the code that its source gives, or an earlier answer for the same text, which does not change it.
    """
    prose = _NOT_PROSE.sub(" ", text[: 2 * _READ_CHARACTERS])[:_READ_CHARACTERS]
    letters = sum(map(len, _LETTERS.findall(prose)))
    if letters < _FEWEST_LETTERS and (letters < _FEWEST_WIDE_LETTERS or max(prose) < "\u0e00"):
        return stated
    written = languages_of_script(prose)
    if written:
        return stated if stated in written else written[0]
    if letters < _FEWEST_LETTERS:
        return stated
    return _of_latin(prose, stated)


def languages_of(texts: Sequence[str], least: float = 0.05) -> list[str]:
    """The languages that a share of `least` or more of the `texts` is in, the commonest first; English where no text
    tells."""
    counts = Counter(code for text in texts if (code := language_of(text)))
    return [code for code, count in counts.most_common() if count >= least * counts.total()] or [ENGLISH]


def _of_latin(prose: str, stated: str) -> str:
    other, lead = _lead(prose)
    if stated and stated != ENGLISH and stated not in NOT_LATIN:
        return ENGLISH if lead < -_MARGIN_ENGLISH else stated
    if lead > (_MARGIN_AGAINST if stated == ENGLISH else _MARGIN):
        return other
    return ENGLISH if stated == ENGLISH or lead < 0 else ""


def _lead(prose: str) -> tuple[str, float]:
    """The likeliest language but English, and how much likelier than English it is, in nats."""
    words = len(_TELLING_WORDS.intersection(_WORDS.findall(prose.lower())))
    if words >= _WORDS_ENOUGH:
        return "", -math.inf
    likelihoods = dict(_identifier().rank(prose))
    english = likelihoods.pop(ENGLISH)
    other = max(likelihoods, key=lambda code: likelihoods[code])
    return other, likelihoods[other] - english - _WORD_NATS * words


@cache
def _identifier() -> Any:
    # Imported late: its model takes 0.7 s and 60 MB, and a text whose script tells its language needs neither.
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(LATIN)
    # Its table comes as half floats in column order, which costs a fifth of the time of each text.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float32)
    return identifier
