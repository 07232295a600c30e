"""Where a text names a company, and which of its tokens that is. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from core.text import clean

Span = tuple[int, int]  # text[start:end]
Spans = tuple[Span, ...]

# Scripts without spaces: a name there begins and ends inside a run of letters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff"
_LETTER = rf"[^\W{_UNSPACED}]"
_IS_LETTER = re.compile(_LETTER)


def occurrences(text: str, name: str) -> Spans:
    """Where `text` has `name` as whole words: as it is written, else in other letters; nothing for an empty name.

    `text` is taken as a classifier reads it, and `name` is cleaned in the same way, so that both are in one Unicode
    form.
    """
    pattern = _pattern(name)
    if pattern is None:
        return ()
    as_written, in_any_letters = pattern
    return tuple(m.span() for m in as_written.finditer(text)) or tuple(m.span() for m in in_any_letters.finditer(text))


def tokens_of(offsets: Sequence[Span], spans: Spans) -> list[int]:
    """Places of the tokens, by their `offsets` in the text, that share a character with one of `spans`.

    Special tokens, which stand for no character, are none of them.
    """
    if not spans:
        return []
    return [
        place
        for place, (start, end) in enumerate(offsets)
        if start < end and any(start < last and end > first for first, last in spans)
    ]


@lru_cache(maxsize=4_096)
def _pattern(name: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    plain = clean(name)
    if not plain:
        return None
    before = rf"(?<!{_LETTER})" if _IS_LETTER.match(plain[0]) else ""
    after = rf"(?!{_LETTER})" if _IS_LETTER.match(plain[-1]) else ""
    whole = before + re.escape(plain) + after
    return re.compile(whole), re.compile(whole, re.IGNORECASE)
