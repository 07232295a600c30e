"""From raw fields, whatever they hold, to a clean message. Pure: any input gives a message or UndecodableMessage."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from core.errors import UndecodableMessage
from core.language import language_code, language_of
from core.records import (
    ID_DERIVED,
    MAX_TEXT_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    TRUNCATED,
    Kind,
    Message,
    checked,
    derived_id,
    mark,
    set_times,
)
from core.sources import source_name
from core.text import clean, normalise_urls
from ingest.entity_names import clean_entities
from ingest.junk_ids import LARGEST_EXACT, is_junk
from ingest.times import parse_time

MAX_EXTRA_BYTES = 64_000
_RAW_PER_CLEAN = 8  # markup around a text: this many raw characters are read for each one that may be kept
_MAX_AUTHOR_CHARACTERS = 200
_MAX_URL_CHARACTERS = 2_000
_MAX_EXTRA_DEPTH = 4
_MAX_EXTRA_ITEMS = 100
_MAX_EXTRA_CHARACTERS = 2_000
_URL = re.compile(r"https?://[^\s<>\"\x00-\x20\x7f\ud800-\udfff]+", re.IGNORECASE)
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def clean_message(
    fields: Mapping[str, Any],
    *,
    source: str = "",
    kind: Kind = "news",
    received_at: datetime | None = None,
    marks: Iterable[str] = (),
) -> Message:
    """The message that `fields` (message field -> raw value) describe.

    `source` and `kind` stand in where the fields give none; `received_at` is now if not given; `marks` are those that
    it has already. Raises UndecodableMessage naming the field for what can't be mended, and nothing else.
    """
    now = received_at or datetime.now(UTC)
    published_at = parse_time(fields.get("published_at"))
    text, text_cut = _prose(fields, "text", MAX_TEXT_CHARACTERS)
    title, title_cut = _prose(fields, "title", MAX_TITLE_CHARACTERS)
    url = _url(fields.get("url"))
    origin = source_name(fields.get("source") or source)
    extra, extra_cut = _extra(fields.get("extra"))
    given = _given_id(fields.get("id"), origin)
    message = Message(
        id=given or derived_id(origin, url, title, text, _as_stated(fields.get("published_at"))),
        source=origin,
        kind=_kind(fields.get("kind"), kind),
        published_at=now,
        received_at=now,
        text=text,
        title=title,
        url=url,
        author=_author(fields.get("author")),
        language=_language(fields.get("language")),
        entities=clean_entities(fields.get("entities")),
        extra=extra,
        marks=list(marks),
    )
    message.language = message.language or language_of(message.body)
    if not given:
        mark(message, ID_DERIVED)
    if text_cut or title_cut or extra_cut:
        mark(message, TRUNCATED)
    set_times(message, published_at, parse_time(fields.get("received_at")) or now)
    return checked(message)


def _prose(fields: Mapping[str, Any], name: str, limit: int) -> tuple[str, bool]:
    raw = fields.get(name)
    if raw is None:
        return "", False
    if not isinstance(raw, str):
        raise _wrong(name, raw, "text")
    cut = len(raw) > _RAW_PER_CLEAN * limit
    text = normalise_urls(clean(raw[: _RAW_PER_CLEAN * limit]))
    if len(text) > limit:
        return text[:limit].rstrip(), True
    return text, cut


def _given_id(raw: Any, source: str) -> str:
    """The id that the source gave; "" where it gave none, or a value that is none (see `ingest.junk_ids`)."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = _digits(raw)
    elif isinstance(raw, float):
        if not math.isfinite(raw) or abs(raw) >= LARGEST_EXACT:
            return ""
        raw = str(int(raw)) if raw.is_integer() else repr(raw)
    elif raw is not None and not isinstance(raw, str):
        raise _wrong("id", raw, "text or a number")
    given = (raw or "").strip()
    if is_junk(given):
        return ""
    if len(given) > 512 or _UNSAFE.search(given):
        return derived_id(source, "", given)
    return given


def _as_stated(published_at: Any) -> str:
    """The time of a message as its source states it: what tells two comments apart that say the same."""
    if isinstance(published_at, datetime):
        return (published_at if published_at.tzinfo is None else published_at.astimezone(UTC)).isoformat()
    return str(published_at)[:100].strip() if isinstance(published_at, (str, int, float)) else ""


def _kind(raw: Any, fallback: Kind) -> Kind:
    if raw is None or raw == "":
        return fallback
    if raw not in ("news", "comment"):
        shown = repr(raw[:40]) if isinstance(raw, str) else "no text"
        raise UndecodableMessage(f"field `kind` is {shown}; expected `news` or `comment`")
    return raw


def _url(raw: Any) -> str:
    if raw is None:
        return ""
    if not isinstance(raw, str):
        raise _wrong("url", raw, "text")
    address = raw[: _MAX_URL_CHARACTERS + 2].strip()
    # Anything but http and https (javascript:, data:, file:) must never become a link on somebody's screen.
    if len(address) > _MAX_URL_CHARACTERS or not _URL.fullmatch(address):
        return ""
    return normalise_urls(address)


def _author(raw: Any) -> str:
    if isinstance(raw, (list, tuple)):
        raw = ", ".join(name for name in raw[:10] if isinstance(name, str))
    if raw is None:
        return ""
    if isinstance(raw, int):
        raw = _digits(raw)
    if not isinstance(raw, str):
        raise _wrong("author", raw, "text")
    return clean(raw[: _RAW_PER_CLEAN * _MAX_AUTHOR_CHARACTERS])[:_MAX_AUTHOR_CHARACTERS].rstrip()


def _language(raw: Any) -> str:
    return language_code(raw) if isinstance(raw, str) else ""


def _extra(raw: Any) -> tuple[dict[str, Any], bool]:
    if raw is None or raw == "":
        return {}, False
    if not isinstance(raw, Mapping):
        raise _wrong("extra", raw, "an object")
    extra = _scrubbed(raw, _MAX_EXTRA_DEPTH)
    dropped = False
    while extra and len(msgspec.json.encode(extra)) > MAX_EXTRA_BYTES:
        for name in list(extra)[len(extra) // 2 :]:
            del extra[name]
        dropped = True
    return extra, dropped


def _scrubbed(value: Any, depth: int) -> Any:
    """`value` as plain JSON of bounded depth and width, free of characters that can't be stored."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _UNSAFE.sub(" ", value[:_MAX_EXTRA_CHARACTERS])
    if isinstance(value, int):
        return value if abs(value) < 2**53 else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth and isinstance(value, Mapping):
        items = list(value.items())[:_MAX_EXTRA_ITEMS]
        return {_UNSAFE.sub(" ", str(name)[:64]): _scrubbed(item, depth - 1) for name, item in items}
    if depth and isinstance(value, (list, tuple)):
        return [_scrubbed(item, depth - 1) for item in value[:_MAX_EXTRA_ITEMS]]
    if isinstance(value, datetime):
        return value.isoformat()
    return None


def _digits(number: int) -> str:
    """`number` as text; hexadecimal where Python refuses to write that many decimal digits."""
    return str(number) if number.bit_length() <= 256 else hex(number)[:_MAX_EXTRA_CHARACTERS]


def _wrong(name: str, value: Any, expected: str) -> UndecodableMessage:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return UndecodableMessage(f"field `{name}` is {kinds.get(type(value), type(value).__name__)}; expected {expected}")
