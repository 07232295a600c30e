"""JSON Feed (jsonfeed.org, versions 1 and 1.1) in the shape that feedparser gives RSS and Atom. Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParsedFeed:
    """A feed's entries and what it says of itself, by feedparser's names."""

    entries: list[dict[str, Any]]
    feed: dict[str, Any]
    version: str


def read_json_feed(text: str) -> ParsedFeed | None:
    """The JSON Feed in `text`; None if it is none. Items that are no objects are passed over."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping) or "jsonfeed.org/version" not in str(document.get("version", "")):
        return None
    items = document.get("items")
    own = [{"rel": "self", "href": _text(document.get("feed_url"))}]
    feed = {"link": _text(document.get("home_page_url")), "links": own, "language": _text(document.get("language"))}
    entries = [_entry(item, feed) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return ParsedFeed(entries, feed, "json")


def _entry(item: Mapping[str, Any], feed: Mapping[str, Any]) -> dict[str, Any]:
    content = _text(item.get("content_html")) or html.escape(_text(item.get("content_text")), quote=False)
    found = {
        "id": _text(item.get("id")),
        "link": _text(item.get("url")) or _text(item.get("external_url")),
        "title": html.escape(_text(item.get("title")), quote=False),
        "content": [{"value": content}] if content else None,
        "summary": html.escape(_text(item.get("summary")), quote=False),
        "author": _authors(item),
        "published": _text(item.get("date_published")),
        "updated": _text(item.get("date_modified")),
        "language": _text(item.get("language")) or feed["language"],
    }
    return {name: value for name, value in found.items() if value}


def _authors(item: Mapping[str, Any]) -> str:
    authors = item.get("authors")
    listed = authors if isinstance(authors, list) else [item.get("author")]  # version 1 has one
    return ", ".join(name for author in listed if isinstance(author, Mapping) and (name := _text(author.get("name"))))


def _text(value: Any) -> str:
    """`value` as text: version 1 allows numbers as ids."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
