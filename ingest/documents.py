"""A fetched document as text, and what it is if it is no feed: a web page, JSON, other XML, nothing. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from core.encoding import Decoded, decode
from core.errors import InputError
from ingest.json_feed import ParsedFeed, read_json_feed

_HEAD = 4_000
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"',]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']\s*([\w.:-]{1,40})", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,300}\?>")
# A CDATA section that was escaped once more is markup around the text, which HTML readers swallow whole.
_ESCAPED_CDATA = re.compile(r"&(?:amp;)*(?:lt|#60|#x3c);!\[CDATA\[|\]\]&(?:amp;)*(?:gt|#62|#x3e);", re.IGNORECASE)
_ROOT = re.compile(r"<([a-z_][\w.:-]{0,60})[\s>/]", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FEED_ROOT = re.compile(r"<(?:\w+:)?(?:rss|feed|rdf)[\s>]", re.IGNORECASE)
_PAGE = re.compile(
    r"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]|<title[\s>]|<meta[\s>]|<script[\s>]", re.IGNORECASE
)
_FEED_TYPE = re.compile(r"application/(?:rss|atom|rdf)\+xml|(?:application|text)/xml", re.IGNORECASE)
_JSON_FEED_TYPE = re.compile(r"application/(?:feed\+)?json", re.IGNORECASE)
_REFRESH = re.compile(r"^\s*[\d.]*\s*[;,]?\s*url\s*=\s*[\"']?\s*([^\"'\s]+)", re.IGNORECASE)
_ROBOT_CHECK = re.compile(
    r"captcha|cf-challenge|challenge-platform|just a moment\.\.\.|verify (?:that )?you are (?:a )?human"
    r"|are you a robot|unusual traffic|enable javascript and cookies|ddos-guard",
    re.IGNORECASE,
)
_MOST_NAMED = 3
_PAGE_CHARACTERS = 300_000


@dataclass(frozen=True)
class FeedText:
    """The text of a document that may be a feed, and whether its encoding is doubtful; `parsed` if it is JSON."""

    text: str
    doubtful: bool
    parsed: ParsedFeed | None = None


def feed_text(document: bytes, content_type: str = "", *, encoding: str = "", address: str = "") -> FeedText:
    """The text of `document`, which stood at `address`; `encoding` overrules what it declares.

    Raises InputError, saying what it is and where a feed may be, for a document that is clearly something else.
    """
    decoded = _decoded(document, content_type, encoding)
    text = decoded.text.replace("\x00", "").lstrip("\ufeff \t\r\n")
    if not text:
        raise InputError("the document is empty, so no RSS or Atom feed")
    head = _COMMENT.sub("", text[: 5 * _HEAD])[:_HEAD]
    feed = _FEED_ROOT.search(head)
    page = _PAGE.search(head)
    if feed is None or (page is not None and page.start() < feed.start()):
        if text[0] in "{[":
            if (parsed := read_json_feed(text)) is not None:
                return FeedText(text, decoded.doubtful, parsed)
            raise InputError(f"the document is no RSS or Atom feed but {_json_kind(text)}")
        if page is not None or "html" in content_type.lower():
            raise InputError(f"the document is no RSS or Atom feed but {_page_kind(text, address)}")
    elif not text.startswith("<"):
        text = text[text.find("<") :]  # a server's warnings in front of the feed
    if "![CDATA[" in text and ";![" in text:
        text = _ESCAPED_CDATA.sub("", text)
    return FeedText(text, decoded.doubtful)


def other_kind(text: str) -> str:
    """What a document without entries and without the mark of a feed is, for an error message."""
    root = _ROOT.search(_COMMENT.sub("", text[:_HEAD]))
    names = {"opml": "a list of feeds (OPML): name one of them", "urlset": "a site map", "sitemapindex": "a site map"}
    if root is None or not text.startswith("<"):
        return ""
    return names.get(root.group(1).lower(), f"an XML document of the kind <{root.group(1)}>")


def utf8_document(text: str) -> bytes:
    """`text` in UTF-8 with a declaration that says so: what a parser can't misread."""
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + _XML_DECLARATION.sub("", text, count=1).encode(
        errors="replace"
    )


def _decoded(document: bytes, content_type: str, encoding: str) -> Decoded:
    header = _CHARSET.search(content_type)
    head = document[:_HEAD]
    inside = [found.group(1).decode() for pattern in (_XML_ENCODING, _META_CHARSET) if (found := pattern.search(head))]
    return decode(document, stated=encoding, declared=[header.group(1), *inside] if header else inside)


def _json_kind(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "something like JSON"
    said = next(
        (str(value[name]) for name in ("message", "error", "detail") if isinstance(value, Mapping) and name in value),
        "",
    )
    return "JSON" + (f" ({said[:120]!r})" if said else "")


def _page_kind(text: str, address: str) -> str:
    """What sort of web page it is, its title, and the feeds that it names."""
    page = LexborHTMLParser(text[:_PAGE_CHARACTERS])
    title = page.css_first("title")
    named = f" titled {' '.join(title.text().split())[:80]!r}" if title is not None and title.text().strip() else ""
    tag = page.css_first("base[href]")
    base = _resolved(address, _attribute(tag, "href")) if tag is not None else address
    feeds = _announced(page, base)
    moved = _refresh(page, base)
    if feeds:
        return f"a web page{named}; it names its feed: {' or '.join(feeds[:_MOST_NAMED])}; put that into feeds.toml"
    if moved:
        return f"a web page{named} that sends its readers on to {moved}; try that address in feeds.toml"
    if page.css_first("input[type=password]") is not None:
        return f"a web page{named} that asks for a login; the feed may need a key in `headers`"
    if _ROBOT_CHECK.search(text[:_PAGE_CHARACTERS]):
        return f"a web page{named} that checks for robots; ask less often, or ask its owner for access"
    return f"a web page{named}; it names no feed"


def _announced(page: LexborHTMLParser, base: str) -> list[str]:
    """Addresses of feeds in the page's <link rel="alternate">, each once: RSS and Atom, else JSON Feeds."""
    feeds: dict[str, None] = {}
    json_feeds: dict[str, None] = {}
    for link in page.css("link[href]"):
        kind, relations = _attribute(link, "type").strip(), _attribute(link, "rel").lower().split()
        if not {"alternate", "feed"} & set(relations):
            continue
        address = _resolved(base, _attribute(link, "href"))
        if _FEED_TYPE.match(kind) or (not kind and "feed" in relations):
            feeds[address] = None
        elif _JSON_FEED_TYPE.match(kind) and "/wp-json/" not in address:  # WordPress announces its API so, too
            json_feeds[address] = None
    return list(feeds) or list(json_feeds)


def _refresh(page: LexborHTMLParser, base: str) -> str:
    for tag in page.css("meta[http-equiv]"):
        found = _REFRESH.match(_attribute(tag, "content"))
        if _attribute(tag, "http-equiv").strip().lower() == "refresh" and found:
            return _resolved(base, found.group(1))
    return ""


def _attribute(node: LexborNode, name: str) -> str:
    return node.attributes.get(name) or ""


def _resolved(base: str, address: str) -> str:
    try:
        return urljoin(base, address.strip())[:500]
    except ValueError:
        return address[:500]
