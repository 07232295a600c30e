"""The entries of an RSS or Atom document as raw message fields. Pure."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import feedparser

from core.errors import InputError
from ingest.time_columns import document_format
from ingest.times import parse_time
from ingest.written_times import TimeFormat

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
    entries = parsed.entries[:MOST_ENTRIES]
    style = document_format([text for entry in entries for text in _written_times(entry)])
    return [_entry(entry, language, style) for entry in reversed(entries)]


def _entry(entry: Mapping[str, Any], language: Any, style: TimeFormat) -> Entry:
    link = entry.get("link")
    fields = {
        "id": entry.get("id") or link,
        "title": entry.get("title"),
        "text": _text(entry),
        "url": link,
        "author": entry.get("author"),
        "published_at": _time(entry, style),
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


def _time(entry: Mapping[str, Any], style: TimeFormat) -> datetime | str | None:
    """The time as the entry writes it, read by our own reader; the text itself where no time can be read."""
    # feedparser's own readings are not asked: it reads a date it does not know by a part of it, hours or months off.
    texts = _written_times(entry)
    return next((moment for text in texts if (moment := parse_time(text, style)) is not None), None) or (
        texts[0] if texts else None
    )


def _written_times(entry: Mapping[str, Any]) -> list[str]:
    texts = (entry.get(name) for name in ("published", "created", "updated") if name in entry)
    return [text for text in texts if isinstance(text, str) and text.strip()]
