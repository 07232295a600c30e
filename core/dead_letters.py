"""A dead letter: an input that could not be processed, with its original bytes and why.

It travels in the `dead-letters` topic: key and value as they came, everything else in the headers. However hostile the
input, a letter fits into a Kafka record.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from core.records import MAX_ENCODED_BYTES

Stage = Literal["ingest", "stream"]

ORIGIN = "newstide-origin"
"""Where the input came from: a feed, a file and line, or topic, partition and offset."""
REASON = "newstide-reason"
"""Why it could not be processed."""
AT = "newstide-at"
"""When, ISO 8601 in UTC."""
STAGE = "newstide-stage"
"""Who refused it: `ingest` or `stream`."""
TOPIC = "newstide-topic"
"""The topic that a replay sends it to."""
CONTENT = "newstide-content"
"""SHA-256 of the whole value in hex, also where only a part is kept."""
CONTEXT = "newstide-context"
"""JSON object: how ingest read the value, for another try; absent where there is none."""

MAX_HEADER_BYTES = 2_000
MAX_KEY_BYTES = 1_000
MAX_CONTEXT_BYTES = 16_000
UNKNOWN = "unknown"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """`origin` names where the input came from, `topic` where a replay should send it.

    `content` is the SHA-256 of the whole value in hex, also where only a part is kept. `context` says how ingest read
    the value, for another try at it; see `ingest.reread`.
    """

    value: bytes | None
    reason: str
    origin: str
    stage: str
    topic: str
    key: bytes | None = None
    at: datetime | None = None
    content: str = ""
    context: Mapping[str, str] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of this letter, as kafka-python and aiokafka take them."""
        at = (self.at or datetime.now(UTC)).astimezone(UTC)
        content = self.content or content_hash(self.value)
        fields = {ORIGIN: self.origin, REASON: self.reason, AT: at.isoformat(), STAGE: self.stage, TOPIC: self.topic}
        headers = [(name, _cut(_encoded(text), MAX_HEADER_BYTES)) for name, text in fields.items()]
        headers.append((CONTENT, content.encode()))
        context = msgspec.json.encode({_plain(name): _plain(text) for name, text in self.context.items()})
        if self.context and len(context) <= MAX_CONTEXT_BYTES:
            headers.append((CONTEXT, context))
        return headers


def dead_letter(
    value: bytes | None,
    reason: str,
    *,
    origin: str,
    stage: Stage,
    topic: str,
    key: bytes | None = None,
    context: Mapping[str, str] | None = None,
) -> DeadLetter:
    """A letter that fits into a Kafka record.

    A value that does not fit is cut, and the reason says so; an over-long key or origin is cut and ends in its hash. A
    context of more than 16,000 bytes is left out.
    """
    content = content_hash(value)
    if value is not None and len(value) > MAX_ENCODED_BYTES:
        said = _cut(_encoded(reason), MAX_HEADER_BYTES // 2).decode()
        reason = f"{said} (the first {MAX_ENCODED_BYTES} of {len(value)} bytes are kept)"
        value = value[:MAX_ENCODED_BYTES]
    if key is not None and len(key) > MAX_KEY_BYTES:
        digest = hashlib.sha256(key).hexdigest().encode()
        key = key[: MAX_KEY_BYTES - len(digest)] + digest
    encoded = _encoded(origin)
    if len(encoded) > MAX_HEADER_BYTES:
        digest = b"~" + hashlib.sha256(encoded).hexdigest().encode()
        origin = (_cut(encoded, MAX_HEADER_BYTES - len(digest)) + digest).decode()
    return DeadLetter(
        value=value,
        reason=reason,
        origin=origin,
        stage=stage,
        topic=topic,
        key=key,
        at=datetime.now(UTC),
        content=content,
        context=context or {},
    )


def read_dead_letter(key: bytes | None, value: bytes | None, headers: Iterable[Any] | None) -> DeadLetter:
    """The letter in a record of the `dead-letters` topic, whatever its headers hold.

    Missing or unreadable headers read as "unknown" (`at`: None), so that a foreign record can still be listed.
    """
    found: dict[str, bytes] = {}
    for header in headers or ():
        if not isinstance(header, (tuple, list)) or len(header) != 2 or not isinstance(header[0], str):
            continue
        name, content = header
        if isinstance(content, (bytes, bytearray)) and name not in found:
            found[name] = bytes(content[:MAX_CONTEXT_BYTES])

    def text(name: str) -> str:
        decoded = found.get(name, b"")[:MAX_HEADER_BYTES].decode(errors="replace")
        return _cut(decoded.encode(), MAX_HEADER_BYTES).decode()

    content_of = text(CONTENT)
    return DeadLetter(
        key=key,
        value=value,
        origin=text(ORIGIN) or UNKNOWN,
        reason=text(REASON) or UNKNOWN,
        stage=text(STAGE) or UNKNOWN,
        topic=text(TOPIC) or UNKNOWN,
        at=_time(text(AT)),
        content=content_of if _SHA256.fullmatch(content_of) else content_hash(value),
        context=_context(found.get(CONTEXT, b"")),
    )


def letter_id(origin: str, content: str) -> UUID:
    """Identity of a letter: the same bytes from the same place are one letter, however often delivered."""
    return UUID(bytes=hashlib.sha256(_encoded(origin) + b"\x00" + bytes.fromhex(content)).digest()[:16])


def content_hash(value: bytes | None) -> str:
    """SHA-256 of `value` in hex."""
    return hashlib.sha256(value or b"").hexdigest()


def _context(encoded: bytes) -> dict[str, str]:
    try:
        return msgspec.json.decode(encoded, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


def _plain(text: str) -> str:
    return _encoded(text).decode()


def _cut(encoded: bytes, limit: int) -> bytes:
    """The first `limit` bytes of valid UTF-8, or as many as end at a whole character."""
    return encoded if len(encoded) <= limit else encoded[:limit].decode(errors="ignore").encode()


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
