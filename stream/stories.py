"""What makes two messages copies of one another. Pure arithmetic; `assignment` makes stories of it.

Copies have equal normalised texts, or they are near-duplicates: found by MinHash (Broder 1997) over pairs of
neighbouring words, or of neighbouring characters in a script without spaces, looked up by bands (Leskovec, Rajaraman
and Ullman, Mining of Massive Datasets, section 3.4) and confirmed by the whole signature. Figures and tickers of
near-duplicates must agree exactly: "raises target to 120" and "raises target to 130" are two stories however alike the
rest is. In a script without spaces an equal headline of some length makes copies, too.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.records import story_key

PERMUTATIONS = 64
BANDS, ROWS = 4, 4  # a pair of similarity 0.8 shares a band with probability 0.88, one of 0.5 with 0.23
SIMILAR = 0.7
# The same for scripts without spaces: there, few characters say much, and rewording changes a larger share of them.
UNSPACED_BANDS, UNSPACED_ROWS = 8, 3  # similarity 0.65 shares a band with probability 0.92, 0.4 with 0.41
UNSPACED_SIMILAR = 0.6
MIN_WORDS = 6  # shorter texts have too few shingles to tell a variant from another statement
HEADLINE_CHARACTERS = 200
MIN_CHARACTERS = 12  # the same for scripts without spaces
_CHUNK = 256  # signatures compared at once

_T = TypeVar("_T")

_random = np.random.default_rng(20140521)
_MULTIPLIERS = _random.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)

# Scripts written without spaces: Han and Kana. (Hangul and Thai words come out of \w+ well enough or not at all.)
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
_FIGURE = re.compile(r"^\$|\d")
# One of these characters turns a Chinese statement into its opposite or into another figure, as a word or a number does
# in English; up, down, buy, sell, profit, loss, more, less, none, not, and the numerals.
_DECISIVE = frozenset("涨跌升降增减盈亏买卖多空正负不未无否零一二三四五六七八九十百千万亿两半")


@dataclass(frozen=True, slots=True)
class StoryText:
    """A normalised text with what finds its copies.

    `id` stands for text, facts and headline, `form` for the text alone. The first of `bands` follows from `form`; the
    second, in a script without spaces, from the headline, if it has one; the others from the signature. Without bands
    it has no copies; without a signature only exact ones.
    """

    id: UUID
    form: UUID
    bands: tuple[int, ...] = ()
    signature: bytes = b""

    @property
    def headline(self) -> int | None:
        """The band of its headline."""
        return self.bands[1] if len(self.bands) in (2, 2 + UNSPACED_BANDS) else None

    @property
    def similar(self) -> float:
        """How similar a copy is at least."""
        return UNSPACED_SIMILAR if len(self.bands) > 1 + BANDS else SIMILAR

    def repeats(self, other: StoryText) -> bool:
        """Whether it says the same as `other`, word for word, or under the same headline."""
        return self.form == other.form or (self.headline is not None and self.headline == other.headline)


def story_text(form: str, entities: Iterable[str], uid: UUID, headline: str = "") -> StoryText:
    """The text of message `uid` with the normalised text `form`; an empty one is like no other message's.

    `headline`: see `core.text.headline_form`.
    """
    if not form:
        return StoryText(uid, uid)
    units = _units(form)
    key = story_key(form)
    salt = facts(units, entities).encode(errors="surrogatepass")
    under = headline.encode(errors="surrogatepass")
    text = UUID(bytes=hashlib.blake2b(key.bytes + salt + under, digest_size=16).digest())
    exact = [int.from_bytes(key.bytes[:8], "big", signed=True)]
    if headline:
        exact.append(_band(b"headline", under))
    unspaced = _is_unspaced(units)
    if len(units) < MIN_WORDS or (unspaced and len(units) < MIN_CHARACTERS):
        return StoryText(text, key, tuple(exact))
    hashes = signature(units)
    bands, rows = (UNSPACED_BANDS, UNSPACED_ROWS) if unspaced else (BANDS, ROWS)
    near = (
        _band(bytes([band]), hashes[band * rows : (band + 1) * rows].tobytes(), salt, b"\x00" if unspaced else b"")
        for band in range(bands)
    )
    # Where most words are Latin, a headline has no place among the bands.
    return StoryText(text, key, (*(exact if unspaced else exact[:1]), *near), hashes.tobytes())


def _band(*parts: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"".join(parts), digest_size=8).digest(), "big", signed=True)


def facts(units: Sequence[str], entities: Iterable[str]) -> str:
    """What must agree for two texts to be near-duplicates: figures, cashtags and linked companies."""
    tokens = {unit for unit in units if (not unit.isalpha() and _FIGURE.search(unit)) or unit in _DECISIVE}
    return " ".join(sorted(tokens | set(entities)))


def signature(units: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash signature, shape (64,), of the shingles of a text."""
    shingles = {f"{a} {b}" for a, b in zip(["", *units], [*units, ""], strict=True)}
    hashes = {zlib.crc32(shingle.encode(errors="surrogatepass")) for shingle in shingles}
    column = np.fromiter(hashes, dtype=np.uint64, count=len(hashes))
    # Multiply-shift hashing (Dietzfelbinger et al. 1997): the high half of a product with an odd number, modulo 2**64.
    hashed = (column[:, None] * _MULTIPLIERS + _OFFSETS) >> np.uint64(32)
    return hashed.min(axis=0).astype(np.uint32)


def similarities(one: bytes, others: Sequence[bytes]) -> NDArray[np.float64]:
    """Estimated Jaccard similarities, 0 to 1, of a signature to `others` (standard error 0.06 at most)."""
    stacked = np.frombuffer(b"".join(others), np.uint32).reshape(len(others), PERMUTATIONS)
    return np.asarray((stacked == np.frombuffer(one, np.uint32)).mean(axis=1))


def are_copies(one: StoryText, other: StoryText) -> bool:
    """Whether two texts tell the same; symmetric, not transitive."""
    if one.repeats(other):
        return True
    if not (one.signature and other.signature and not set(one.bands[1:]).isdisjoint(other.bands[1:])):
        return False
    return bool(similarities(one.signature, [other.signature])[0] >= max(one.similar, other.similar))


def copies_among(text: StoryText, others: Sequence[tuple[_T, StoryText]]) -> Iterator[_T]:
    """Those of `others` that are copies of `text`; all of them share a band with it."""
    for start in range(0, len(others), _CHUNK):
        chunk = others[start : start + _CHUNK]
        near = [other for _, other in chunk if other.signature and text.signature and not text.repeats(other)]
        found = similarities(text.signature, [other.signature for other in near]) if near else ()
        measured = dict(zip((other.id for other in near), found, strict=True))
        for name, other in chunk:
            if text.repeats(other) or measured.get(other.id, 0.0) >= max(text.similar, other.similar):
                yield name


def _units(form: str) -> list[str]:
    """Words of a normalised text, the characters of unspaced scripts one by one."""
    return form.split() if form.isascii() else _UNSPACED.sub(r" \1 ", form).split()


def _is_unspaced(units: Sequence[str]) -> bool:
    return max(units) > "\u303f" and 2 * sum(len(unit) == 1 and unit > "\u303f" for unit in units) > len(units)
