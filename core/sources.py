"""Names of sources: as people write them, as they are compared, and as plain characters. Pure.

The name as written ("S&P Global") travels with the message and is what people are shown. The key ("s&p-global") is what
identity, trends and the store know the source by, so that "Reuters" and "reuters" are one. The slug is for places that
take only plain characters: file names, addresses, labels of other systems.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Any

from core.errors import UndecodableMessage

MAX_SOURCE_CHARACTERS = 64
EXPECTED_SOURCE = f"printable text of 1 to {MAX_SOURCE_CHARACTERS} characters"
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NOT_PLAIN = re.compile(r"[^a-z0-9._-]+")
_JOINERS = "\u200c\u200d"  # they belong to Persian and Indic words and to emoji, but tell no two names apart
_HASH_BYTES = 4
_SLUG_LETTERS = 48


@lru_cache(maxsize=4_096)
def _cleaned(raw: str) -> str:
    shown = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", raw)
        if character.isspace() or character in _JOINERS or unicodedata.category(character)[0] != "C"
    )
    name = " ".join(shown.split())
    return name if name.strip(_JOINERS + " ") else ""


def source_name(raw: Any) -> str:
    """The name as it is shown: NFC, white space folded, controls and marks of direction removed.

    Raises UndecodableMessage if nothing is left, or more than 64 characters, or if it is no text.
    """
    if not isinstance(raw, str):
        raise UndecodableMessage(f"field `source` is {type(raw).__name__}; expected {EXPECTED_SOURCE}")
    name = _cleaned(raw) if len(raw) <= 4 * MAX_SOURCE_CHARACTERS else raw
    if not name or len(name) > MAX_SOURCE_CHARACTERS:
        raise UndecodableMessage(f"field `source` is {raw[:80]!r}; expected {EXPECTED_SOURCE}")
    return name


@lru_cache(maxsize=4_096)
def source_key(name: str) -> str:
    """What the source of that name is known by: lower case, hyphens for spaces, no joiners. Idempotent."""
    bare = "".join(character for character in unicodedata.normalize("NFC", name) if character not in _JOINERS)
    return unicodedata.normalize("NFC", "-".join(bare.lower().split()))


@lru_cache(maxsize=4_096)
def source_slug(name: str) -> str:
    """Letters a-z, digits, '.', '_' and '-', at most 64: the key if it is plain, else what is plain of it and a hash.

    Names with different keys have different slugs.
    """
    key = source_key(name)
    if _PLAIN.fullmatch(key):
        return key
    plain = _NOT_PLAIN.sub("-", key).strip("-._")[:_SLUG_LETTERS].rstrip("-._")
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=_HASH_BYTES).hexdigest()
    return f"{plain or 'source'}-{digest}"
