"""A dead letter: an input that could not be processed, with its original bytes and why.

It travels in the `dead-letters` topic: key and value as they came, everything else in the headers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from core.records import MAX_ENCODED_BYTES

Stage = Literal["ingest", "stream"]

ORIGIN = "newstide-origin"
REASON = "newstide-reason"
AT = "newstide-at"
STAGE = "newstide-stage"
TOPIC = "newstide-topic"

MAX_HEADER_CHARACTERS = 2_000
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """`origin` names uniquely where the input came from, `topic` where a replay should send it."""

    value: bytes | None
    reason: str
    origin: str
    stage: str
    topic: str
    key: bytes | None = None
    at: datetime | None = None

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of this letter, as kafka-python and aiokafka take them."""
        at = (self.at or datetime.now(UTC)).astimezone(UTC)
        fields = {ORIGIN: self.origin, REASON: self.reason, AT: at.isoformat(), STAGE: self.stage, TOPIC: self.topic}
        return [(name, text[:MAX_HEADER_CHARACTERS].encode(errors="replace")) for name, text in fields.items()]


def dead_letter(
    value: bytes | None, reason: str, *, origin: str, stage: Stage, topic: str, key: bytes | None = None
) -> DeadLetter:
    """A letter that fits into a Kafka record; a value that does not fit is cut, and the reason says so."""
    if value is not None and len(value) > MAX_ENCODED_BYTES:
        reason = f"{reason[:1000]} (the first {MAX_ENCODED_BYTES} of {len(value)} bytes are kept)"
        value = value[:MAX_ENCODED_BYTES]
    return DeadLetter(
        value=value, reason=reason, origin=origin, stage=stage, topic=topic, key=key, at=datetime.now(UTC)
    )


def read_dead_letter(key: bytes | None, value: bytes | None, headers: Iterable[Any] | None) -> DeadLetter:
    """The letter in a record of the `dead-letters` topic, whatever its headers hold.

    Missing or unreadable headers read as "unknown" (`at`: None), so that a foreign record can still be listed.
    """
    found: dict[str, str] = {}
    for header in headers or ():
        if not isinstance(header, (tuple, list)) or len(header) != 2 or not isinstance(header[0], str):
            continue
        name, content = header
        if isinstance(content, (bytes, bytearray)) and name not in found:
            found[name] = bytes(content[: MAX_HEADER_CHARACTERS * 4]).decode(errors="replace")[:MAX_HEADER_CHARACTERS]
    return DeadLetter(
        key=key,
        value=value,
        origin=found.get(ORIGIN) or UNKNOWN,
        reason=found.get(REASON) or UNKNOWN,
        stage=found.get(STAGE) or UNKNOWN,
        topic=found.get(TOPIC) or UNKNOWN,
        at=_time(found.get(AT, "")),
    )


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
