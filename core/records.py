"""The record that travels through Kafka, and how it is encoded, decoded and checked.

A record decodes to a valid `Message` or raises `UndecodableMessage` with the reason; nothing in between.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from core.errors import UndecodableMessage
from core.sources import source_key, source_name

SCHEMA_VERSION = b"1"
SCHEMA_HEADER = "newstide-schema"

MAX_ENCODED_BYTES = 900_000  # below Kafka's default limit of 1 MiB for a record
MAX_TEXT_CHARACTERS = 20_000
MAX_TITLE_CHARACTERS = 1_000
MAX_ENTITIES = 100
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # electronic feeds start about then; anything earlier is a broken clock

Kind = Literal["news", "comment"]

# Marks: what cleaning had to change. They travel with the message and are stored with it.
TIME_ASSUMED = "time-assumed"  # no usable time: the time of receipt stands in
TIME_CLAMPED = "time-clamped"  # ahead of receipt: moved back to it
TRUNCATED = "truncated"  # text or title was over the limit
ENCODING_DOUBTFUL = "encoding-doubtful"  # the bytes could be read in another encoding about as well
BYTES_REPLACED = "bytes-replaced"  # bytes that are no text in the encoding stand as U+FFFD
ID_DERIVED = "id-derived"  # the source gave no id: a hash of what the message says stands in


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One news item or comment. Times are aware UTC; `published_at` is the event time, never after `received_at`."""

    id: str
    """Identity within its source, 1 to 512 characters."""
    source: str
    """Who published it, in printable text of up to 64 characters."""
    kind: Kind
    """`news` or `comment`."""
    published_at: datetime
    """Event time."""
    received_at: datetime
    """When newstide got it."""
    text: str
    """At most 20,000 characters; empty only where there is a title."""
    title: str = ""
    """At most 1,000 characters."""
    url: str = ""
    """Link to the item."""
    author: str = ""
    """Who wrote it."""
    language: str = ""
    """ISO 639-1 code, as the source states it, else as ingest finds it; empty where nobody knows."""
    entities: list[str] = []
    """Companies that the source names: at most 100, of 1 to 64 characters."""
    marks: list[str] = []
    """What cleaning had to change, see `docs/input.md`."""
    extra: dict[str, Any] = {}
    """Other columns of the source, kept and not read."""

    @property
    def uid(self) -> UUID:
        """Identity in the store: 128 bits of BLAKE2b over the key of the source, and the id."""
        return _uuid(source_key(self.source), self.id)

    @property
    def has_own_time(self) -> bool:
        """Whether `published_at` is what the source said, and not an assumption that must not move a watermark."""
        return TIME_ASSUMED not in self.marks and TIME_CLAMPED not in self.marks

    @property
    def content_hash(self) -> int:
        """64 bits, with a sign, of what the message says: title, text and its own time. A link may change at will."""
        at = self.published_at.isoformat() if self.has_own_time else ""
        text = "\x00".join((self.title, self.text, at))
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    @property
    def body(self) -> str:
        """Title and text as one string, the title once: what is classified, linked and compared."""
        if not self.title or self.text.startswith(self.title):
            return self.text or self.title
        return f"{self.title}. {self.text}" if self.text else self.title


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def _uuid(*parts: str) -> UUID:
    digest = hashlib.blake2b("\x00".join(parts).encode(errors="surrogatepass"), digest_size=16)
    return UUID(bytes=digest.digest())


def derived_id(source: str, *said: str) -> str:
    """The id of a message whose source gave none: a hash of the source and of what the message says, 32 hex digits."""
    return _uuid(source_key(source), *said).hex


def story_key(story_form: str) -> UUID:
    """Identity of a normalised text (see `core.text.story_form`)."""
    return _uuid(story_form)


def encode(message: Message) -> bytes:
    """JSON bytes of `message`, as they stand in the `messages` topic."""
    return _encoder.encode(message)


def decode(value: bytes | None) -> Message:
    """The message in `value`. Raises UndecodableMessage naming the field and the fault."""
    if not value:
        raise UndecodableMessage("the record is empty; expected a JSON object")
    if len(value) > MAX_ENCODED_BYTES:
        raise UndecodableMessage(f"the record has {len(value)} bytes; at most {MAX_ENCODED_BYTES} are accepted")
    try:
        message = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(f"not a message: {error}") from error
    return checked(message)


def checked(message: Message) -> Message:
    """`message` if it can be stored and counted, its times brought to UTC and into range (and marked).

    Raises UndecodableMessage for what can't be mended: no id, no text, no source, NUL or over-long fields.
    """
    if not message.id or len(message.id) > 512:
        raise UndecodableMessage(f"field `id` has {len(message.id)} characters; 1 to 512 are accepted")
    message.source = source_name(message.source)
    if not (message.text.strip() or message.title.strip()):
        raise UndecodableMessage("fields `text` and `title` are both empty; there is nothing to classify")
    if len(message.text) > MAX_TEXT_CHARACTERS or len(message.title) > MAX_TITLE_CHARACTERS:
        raise UndecodableMessage(
            f"`text` has {len(message.text)} and `title` {len(message.title)} characters; "
            f"at most {MAX_TEXT_CHARACTERS} and {MAX_TITLE_CHARACTERS} are accepted (ingest truncates)"
        )
    if len(message.entities) > MAX_ENTITIES or any(not e or len(e) > 64 for e in message.entities):
        raise UndecodableMessage(f"field `entities`: at most {MAX_ENTITIES} names of 1 to 64 characters are accepted")
    for name in ("id", "text", "title", "url", "author", "language"):
        if "\x00" in getattr(message, name):
            raise UndecodableMessage(f"field `{name}` holds a NUL character, which cannot be stored")
    if any("\x00" in entity for entity in message.entities) or b"\\u0000" in msgspec.json.encode(message.extra):
        raise UndecodableMessage("`entities` or `extra` holds a NUL character, which cannot be stored")
    if message.received_at.tzinfo is None or message.published_at.tzinfo is None:
        raise UndecodableMessage("`published_at` and `received_at` need a time zone, for example 2026-01-31T12:00:00Z")
    set_times(message, message.published_at, message.received_at)
    return message


def set_times(message: Message, published_at: datetime | None, received_at: datetime) -> None:
    """Set both times of `message`, mending and marking a missing, absurd or future event time."""
    now = datetime.now(UTC)
    received = _in_utc(received_at) or now
    published = _in_utc(published_at) if published_at is not None else None
    message.received_at = min(max(received, EARLIEST), now + timedelta(minutes=5))
    if published is None or published < EARLIEST or published.year >= 9999:
        message.published_at = message.received_at
        mark(message, TIME_ASSUMED)
    elif published > message.received_at:
        message.published_at = message.received_at
        mark(message, TIME_CLAMPED)
    else:
        message.published_at = published


def _in_utc(moment: datetime) -> datetime | None:
    """`moment` in UTC; None at the edges of years 1 and 9999, where UTC has no such time."""
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def mark(message: Message, name: str) -> None:
    """Add `name` to the message's marks, once."""
    if name not in message.marks:
        message.marks = [*message.marks, name]
