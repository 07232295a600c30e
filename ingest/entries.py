"""The entries of an RSS or Atom document as raw message fields. Pure."""

from __future__ import annotations

import calendar
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import feedparser

from core.errors import InputError

MOST_ENTRIES = 5_000


@dataclass(frozen=True)
class Entry:
    """One entry: the raw message `fields`, and a `digest` that changes when its content does."""

    fields: dict[str, Any]
    digest: str


def read_entries(document: bytes, content_type: str = "") -> list[Entry]:
    """The entries of `document`, oldest first as feeds list them newest first.

    A damaged document yields the entries that can be read. Entities are never fetched, and their expansion is
    bounded by the XML parser. Raises InputError for what is no feed at all.
    """
    # A file object, never the bytes themselves: feedparser takes short bytes for a file name or an address.
    parsed = feedparser.parse(
        io.BytesIO(document),
        response_headers={"content-type": content_type} if content_type else None,
        sanitize_html=False,
    )
    if not parsed.entries and not parsed.get("version"):
        fault = parsed.get("bozo_exception")
        raise InputError("the document is no RSS or Atom feed" + (f" ({str(fault)[:200]})" if fault else ""))
    language = parsed.feed.get("language") if isinstance(parsed.feed, Mapping) else None
    return [_entry(entry, language) for entry in reversed(parsed.entries[:MOST_ENTRIES])]


def _entry(entry: Mapping[str, Any], language: Any) -> Entry:
    link = entry.get("link")
    fields = {
        "id": entry.get("id") or link,
        "title": entry.get("title"),
        "text": _text(entry),
        "url": link,
        "author": entry.get("author"),
        "published_at": _time(entry),
        "language": language,
    }
    fields = {name: value for name, value in fields.items() if value}
    content = "\x00".join(str(fields.get(name, "")) for name in ("id", "title", "text", "url"))
    return Entry(fields, hashlib.blake2b(content.encode(errors="replace"), digest_size=12).hexdigest())


def _text(entry: Mapping[str, Any]) -> str:
    contents = entry.get("content")
    if isinstance(contents, list):
        for content in contents:
            if isinstance(content, Mapping) and isinstance(content.get("value"), str) and content["value"].strip():
                return str(content["value"])
    return str(entry.get("summary") or "")


def _time(entry: Mapping[str, Any]) -> datetime | str | None:
    for name in ("published", "updated", "created"):
        parsed = entry.get(f"{name}_parsed")
        if parsed:
            try:
                return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
            except (ValueError, OverflowError, OSError, TypeError):
                continue
        written = entry.get(name)
        if isinstance(written, str) and written:
            return written
    return None
