"""The entries of an RSS, Atom or JSON Feed document as raw message fields. Pure."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import feedparser

from core.errors import InputError
from ingest.documents import feed_text, other_kind, utf8_document
from ingest.json_feed import ParsedFeed
from ingest.junk_ids import is_junk
from ingest.time_columns import document_format
from ingest.times import PLAIN, parse_time
from ingest.written_times import TimeFormat

MOST_ENTRIES = 5_000
_ZEROS = ("0", "-1")  # rows of a file may be counted from 0, entries of a feed are not
_TAG = re.compile(r"<!\[CDATA\[|\]\]>|<[a-zA-Z/!?][^<>]{0,2000}>")
_URL = re.compile(r"(?:https?:)?//\S+|www\.\S+", re.IGNORECASE)
_WORD = re.compile(r"\w+")


class Said(NamedTuple):
    """What an entry says, each part as 64 bits; 0 where it says nothing. Links and markup in texts do not count."""

    title: int
    text: int
    published: int


@dataclass(frozen=True)
class Entry:
    """One entry: the raw message `fields`, and what tells it from the others.

    `guid` and `link` are empty where they identify nothing: where they are junk, or where another entry of the document
    that says something else has the same. `fields` holds an `id` only if there is a `guid`. `digest` changes with
    everything that the entry says, `doubtful` says that the encoding of the document is a guess.
    """

    fields: dict[str, Any]
    digest: str
    said: Said
    guid: str = ""
    link: str = ""
    doubtful: bool = False


def read_entries(
    document: bytes, content_type: str = "", *, encoding: str = "", address: str = "", times: TimeFormat = PLAIN
) -> list[Entry]:
    """The entries of `document`, oldest first as feeds list them newest first; equal ones once.

    `encoding` overrules what the document declares, `address` is where it stood: the base of links that name none,
    `times` says of its times what the document does not tell. A damaged document yields the entries that can be read.
    Entities are never fetched, and their expansion is bounded by the XML parser. Raises InputError for what is no feed
    at all, naming what it is.
    """
    found = feed_text(document, content_type, encoding=encoding, address=address)
    parsed = found.parsed or _parse(found.text)
    feed = parsed.feed if isinstance(parsed.feed, Mapping) else {}
    base = _base(feed, parsed.version, address)
    own_links = {_comparable(link) for link in (_link_of(feed), _self_link(feed), address) if link}
    listed = parsed.entries[:MOST_ENTRIES]
    style = document_format([text for entry in listed for text in _written_times(entry)], times)
    language = feed.get("language")
    entries = [
        _entry(entry, entry.get("language") or language, style, base, found.doubtful) for entry in reversed(listed)
    ]
    return _distinguished(list({entry.digest: entry for entry in entries}.values()), own_links)


def _parse(text: str) -> ParsedFeed:
    # A file object, never the bytes themselves: feedparser takes short bytes for a file name or an address.
    parsed = feedparser.parse(
        io.BytesIO(utf8_document(text)),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    version = str(parsed.get("version") or "")
    if not parsed.entries and not version:
        raise InputError(_no_feed(text, parsed.get("bozo_exception")))
    return ParsedFeed(parsed.entries, parsed.feed, version)


def _no_feed(text: str, fault: Any) -> str:
    kind = other_kind(text)
    reason = f" ({str(fault)[:200]})" if fault else ""
    return f"the document is no RSS or Atom feed but {kind}" if kind else f"the document is no RSS or Atom feed{reason}"


def _entry(entry: Mapping[str, Any], language: Any, style: TimeFormat, base: str, doubtful: bool) -> Entry:
    guid = str(entry.get("id") or "").strip()
    link = _link_of(entry)
    if link == guid and not _web_scheme(link) and not link.startswith("/"):
        link = ""  # a guid that is no address, which feedparser takes for a permalink
    link = _resolved(base, link)
    fields = {
        "title": entry.get("title"),
        "text": _text(entry),
        "url": link,
        "author": entry.get("author"),
        "published_at": _time(entry, style),
        "language": language,
    }
    title, text = str(fields["title"] or ""), str(fields["text"] or "")
    stated = next((time.strip() for time in _written_times(entry)), "")
    said = Said(hash_of(_bare(title)), hash_of(_bare(text)), hash_of(stated))
    everything = (guid, title, text, link, str(fields["author"] or ""), stated)
    digest = hashlib.blake2b("\x00".join(everything).encode(errors="replace"), digest_size=12).hexdigest()
    return Entry({name: value for name, value in fields.items() if value}, digest, said, guid, link, doubtful)


def _distinguished(entries: list[Entry], own_links: set[str]) -> list[Entry]:
    """`entries` with the guids and links that identify: what several entries share identifies none of them."""
    guids = _shared((entry.guid, entry.said) for entry in entries)
    links = _shared((_comparable(entry.link), entry.said) for entry in entries)
    found = []
    for entry in entries:
        link = _comparable(entry.link)
        link = "" if link in links or link in own_links else entry.link
        guid = entry.guid
        if is_junk(guid) or guid in _ZEROS or guid in guids or _comparable(guid) in own_links:
            guid = ""
        fields = {"id": guid, **entry.fields} if guid else entry.fields
        found.append(replace(entry, fields=fields, guid=guid, link=link))
    return found


def _shared(pairs: Iterable[tuple[str, Said]]) -> set[str]:
    """The names that stand with more than one entry."""
    return {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}


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


def _link_of(entry: Mapping[str, Any]) -> str:
    """The link of an entry or of the channel; with none of its own, the first that is no attachment."""
    link = str(entry.get("link") or "").strip()
    if link:
        return link
    for other in entry.get("links") or ():
        if other.get("rel") in ("alternate", "related", "via") and str(other.get("href") or "").strip():
            return str(other["href"]).strip()
    return ""


def _self_link(feed: Mapping[str, Any]) -> str:
    return next((str(link.get("href") or "") for link in feed.get("links") or () if link.get("rel") == "self"), "")


def _base(feed: Mapping[str, Any], version: str, address: str) -> str:
    """What relative links of entries start from: in RSS the site, in Atom the document; the next best where it is none.

    A link under an xml:base has been resolved by the parser already.
    """
    site, document = _link_of(feed), _self_link(feed)
    order = (document, address, site) if version.startswith("atom") else (site, document, address)
    base = next((link for link in order if _web_scheme(link)), "")
    return _resolved(address, base) if base else address


def _web_scheme(link: str) -> str:
    """The scheme of `link` if it is a web address, else ""."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    return parts.scheme if parts.scheme in ("http", "https") and parts.netloc else ""


def _resolved(base: str, link: str) -> str:
    if not link or not base:
        return link
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def _comparable(link: str) -> str:
    """`link` as it is compared with the links of the channel."""
    return link.partition("://")[2].removeprefix("www.").rstrip("/") if "://" in link else link


def _bare(text: str) -> str:
    """The words of a text, without markup, links and case; the text itself if it has none."""
    for _ in range(2):
        text = html.unescape(_TAG.sub(" ", text))
    words = _WORD.findall(_URL.sub(" ", _TAG.sub(" ", text)).casefold())
    return " ".join(words) or text.strip()


def hash_of(text: str) -> int:
    """63 bits of BLAKE2b; 0 for nothing."""
    if not text:
        return 0
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 or 1
