"""Keyset pagination: a page ends with a cursor that says after which row the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from core.errors import InputError

_MOST_CHARACTERS = 512


def encode_cursor(keys: Sequence[Any]) -> str:
    """`keys` of the last row of a page, JSON-able, as text for an address."""
    written = json.dumps(keys, default=str, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The keys in `cursor`, of these kinds. Raises InputError for a cursor that this service did not make."""
    try:
        if len(cursor) > _MOST_CHARACTERS:
            raise ValueError("too long")
        keys = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(keys, list) or [type(key) for key in keys] != list(kinds):
            raise ValueError("other keys")
        if any(abs(key) >= 2**63 if isinstance(key, int) else "\x00" in str(key) for key in keys):
            raise ValueError("keys that no row has")
    except (ValueError, binascii.Error, RecursionError):
        raise InputError("`cursor` is not one that a page gave; leave it out to begin with the first page") from None
    return keys
