"""Shares of all stories, chosen by a hash of their identity and so the same for everybody, everywhere. Pure."""

from __future__ import annotations

import hashlib
from uuid import UUID

EVALUATION = b"evaluation"


def is_for_evaluation(story: UUID, share: float) -> bool:
    """Whether `story` is in the share whose labels judge the model: drawn at random and for no other reason, and
    labelled by people who did not see what the model said of it."""
    return draw(EVALUATION, story) < share


def draw(purpose: bytes, story: UUID) -> float:
    """A number from 0 to 1 that depends on the story alone, another one for each purpose."""
    digest = hashlib.blake2b(story.bytes, digest_size=8, key=purpose).digest()
    return int.from_bytes(digest, "big") / 2**64
