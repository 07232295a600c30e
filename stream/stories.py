"""Stories: which messages tell the same thing. Pure arithmetic; `story_store` keeps the result in Postgres.

Near-duplicates are found by MinHash (Broder 1997) over word bigrams, looked up by bands (Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, section 3.4) and confirmed by the whole signature. Figures and tickers must agree
exactly: "raises target to 120" and "raises target to 130" are two stories however alike the rest is.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 64
BANDS, ROWS = 4, 4  # a pair of similarity 0.8 shares a band with probability 0.88, one of 0.5 with 0.23
SIMILAR = 0.7
MIN_WORDS = 6  # shorter texts have too few bigrams to tell a variant from another statement

_random = np.random.default_rng(20140521)
_MULTIPLIERS = _random.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class TextKey:
    """A normalised text seen in a batch: its key, its first event time here, and what finds its near-duplicates."""

    key: UUID
    first_at: datetime
    headline: str
    signature: bytes = b""  # empty: too short to have near-duplicates
    bands: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A story that shares a band with some new text."""

    story: UUID
    signature: bytes
    first_at: datetime


@dataclass(slots=True)
class Assignment:
    """Story of each new text. Leaders name a story after themselves; followers join one."""

    leaders: list[TextKey] = field(default_factory=list)
    followers: dict[UUID, UUID] = field(default_factory=dict)


def signature(form: str) -> NDArray[np.uint32]:
    """MinHash signature, shape (64,), of the word bigrams of a normalised text."""
    words = form.split()
    bigrams = {zlib.crc32(f"{a} {b}".encode()) for a, b in zip(["", *words], [*words, ""], strict=True)}
    shingles = np.fromiter(bigrams, dtype=np.uint64, count=len(bigrams))
    # Multiply-shift hashing (Dietzfelbinger et al. 1997): the high half of a product with an odd number, modulo 2**64.
    hashed = (shingles[:, None] * _MULTIPLIERS + _OFFSETS) >> np.uint64(32)
    return hashed.min(axis=0).astype(np.uint32)


def facts(form: str, entities: Iterable[str]) -> str:
    """What must agree for two texts to be one story: figures, cashtags and linked companies."""
    tokens = {word for word in form.split() if word[0] == "$" or any(c.isdigit() for c in word)}
    return " ".join(sorted(tokens | set(entities)))


def text_key(key: UUID, form: str, entities: Sequence[str], at: datetime, headline: str) -> TextKey:
    """The `TextKey` of a normalised text `form` seen first at `at`."""
    if len(form.split()) < MIN_WORDS:
        return TextKey(key, at, headline)
    hashes = signature(form)
    salt = facts(form, entities).encode()
    bands = tuple(
        int.from_bytes(
            hashlib.blake2b(
                bytes([band]) + hashes[band * ROWS : (band + 1) * ROWS].tobytes() + salt, digest_size=8
            ).digest(),
            "big",
            signed=True,
        )
        for band in range(BANDS)
    )
    return TextKey(key, at, headline, hashes.tobytes(), bands)


def similarity(a: bytes, b: bytes) -> float:
    """Estimated Jaccard similarity of two signatures, 0 to 1 (standard error 0.06 at most)."""
    if not a or not b:
        return 0.0
    return float(np.mean(np.frombuffer(a, np.uint32) == np.frombuffer(b, np.uint32)))


def assign(texts: Iterable[TextKey], candidates: Mapping[int, Candidate], window: timedelta) -> Assignment:
    """Give each new text the most similar story among `candidates` (by band) and the leaders before it, or its own."""
    result = Assignment()
    index: dict[int, list[Candidate]] = {band: [candidate] for band, candidate in candidates.items()}
    for text in texts:
        rivals = {rival.story: rival for band in text.bands for rival in index.get(band, ())}
        best, best_similarity = None, SIMILAR
        for rival in sorted(rivals.values(), key=lambda candidate: candidate.story):
            if abs(rival.first_at - text.first_at) > window:
                continue
            measured = similarity(rival.signature, text.signature)
            if measured >= best_similarity and (best is None or measured > best_similarity):
                best, best_similarity = rival.story, measured
        if best is not None:
            result.followers[text.key] = best
            continue
        result.leaders.append(text)
        for band in text.bands:
            index.setdefault(band, []).append(Candidate(text.key, text.signature, text.first_at))
    return result
