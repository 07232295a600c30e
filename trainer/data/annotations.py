"""Labels kept apart from the texts they belong to: for texts that may be read but not passed on.

A line holds the SHA-256 of a text, as 64 hexadecimal digits of its UTF-8, and fields of its own:
{"text_sha256": "9f86...", "sentiment": "negative", "topic": "Earnings"}.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.columns import Rule
from core.errors import InputError
from core.labelled import read_objects

_KEY = "text_sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")

Annotations = Mapping[str, Mapping[str, Any]]


def digest(text: str) -> str:
    """The key of `text`, its words with one space between them."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def read_annotations(path: Path) -> dict[str, dict[str, Any]]:
    """Fields by the digest of their text. Raises InputError naming the line without one, or with one seen before."""
    found: dict[str, dict[str, Any]] = {}
    for number, entry in read_objects(path):
        key = entry.pop(_KEY, None)
        if not isinstance(key, str) or not _DIGEST.fullmatch(key):
            raise InputError(f"{path} line {number}: {_KEY} is {key!r:.80}; expected 64 hexadecimal digits")
        if key in found:
            raise InputError(f"{path} line {number}: {key} was annotated before; keep one line a text")
        found[key] = entry
    return found


def annotated(fields: Mapping[str, Any], text: Rule, annotations: Annotations | None) -> Mapping[str, Any] | None:
    """`fields` of a row with those of its `text`, as they are without `annotations`; None where its text has none."""
    if annotations is None:
        return fields
    value = text.read(fields)
    own = annotations.get(digest(value)) if isinstance(value, str) else None
    return None if own is None else {**fields, **own}
