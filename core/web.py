"""Addresses and headers of HTTP, as people write them into files and settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def is_web_address(url: str) -> bool:
    """Whether `url` is an http or https address with a host."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and (parts.port or 1) > 0
        )
    except ValueError:
        return False


def is_header(name: Any, value: Any) -> bool:
    """Whether a request header may have this name and value."""
    texts = (name, value)
    return all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts) and (
        value == value.strip()  # a space around it is a slip of the hand, which some servers refuse
    )
