"""The language of a text, as an ISO 639-1 code."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# What financial feeds are written in. The detector knows 139 languages and mistakes headlines full of tickers
# for rare ones; restricted to these it does not.
LANGUAGES = (
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja"),
    *("ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh"),
)

_READ_CHARACTERS = 160  # more text costs time and changes nothing
_FEWEST_LETTERS = 12
_FEWEST_WIDE_LETTERS = 4  # scripts from Thai and Hangul on to Han say more in a letter
_LEAST_CONFIDENCE = 0.15
_NOT_PROSE = re.compile(r"(?:https?://|www\.)\S*|[@$#][\w.]+|\d+")
_LETTERS = re.compile(r"[^\W\d_]+")


def detect_language(text: str) -> str:
    """The code of the language `text` is written in; "" if it is too short or too mixed to tell. Pure and total."""
    prose = _NOT_PROSE.sub(" ", text[: 2 * _READ_CHARACTERS])[:_READ_CHARACTERS]
    letters = sum(map(len, _LETTERS.findall(prose)))
    if letters < _FEWEST_LETTERS and (letters < _FEWEST_WIDE_LETTERS or max(prose) < "\u0e00"):
        return ""
    code, confidence = _identifier().classify(prose.encode(errors="ignore"))
    return str(code) if confidence >= _LEAST_CONFIDENCE else ""


@cache
def _identifier() -> Any:
    # Imported late: its model takes 0.7 s and 60 MB, and a source that states its language needs neither.
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES)
    # Its table comes as half floats in column order, which costs a fifth of the time of each text.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float32)
    return identifier
