"""Where a text names a company, and which of its tokens that is. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.text import clean

Span = tuple[int, int]  # text[start:end]
Spans = tuple[Span, ...]

# Scripts without spaces: a name there begins and ends inside a run of letters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff"
_IS_LETTER = re.compile(rf"[^\W{_UNSPACED}]")


def occurrences(text: str, name: str) -> Spans:
    """Where `text` has `name` as whole words: as it is written, else in other letters; nothing for an empty name.

    `text` is taken as a classifier reads it, and `name` is cleaned in the same way, so that both are in one Unicode
    form.
    """
    plain = clean(name)
    return _whole(text, plain, 0) or _whole(text, plain, re.IGNORECASE) if plain else ()


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


def _whole(text: str, plain: str, flags: int) -> Spans:
    """Where `text` has `plain` with no letter before a letter that it begins with, nor behind one that it ends with."""
    # The letters stand apart from the pattern: to compile their ranges again for each name takes milliseconds.
    pattern = re.compile(re.escape(plain), flags)
    begins, ends = _IS_LETTER.match(plain[0]), _IS_LETTER.match(plain[-1])
    found = []
    match = pattern.search(text)
    while match is not None:
        start, end = match.span()
        inside = (begins and start and _IS_LETTER.match(text[start - 1])) or (
            ends and _IS_LETTER.match(text[end : end + 1])
        )
        if not inside:
            found.append((start, end))
        match = pattern.search(text, start + 1 if inside else end)
    return tuple(found)
