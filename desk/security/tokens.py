"""Tokens: only their hashes are stored, so that whoever reads the database can't use them."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def new_token() -> str:
    """256 random bits as text for an address or a header."""
    return secrets.token_urlsafe(_BYTES)


def token_hash(token: str) -> bytes:
    """What is stored of `token`: its SHA-256. A token is random, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).digest()
