"""What one push holds: its messages, and which of its items were refused and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec

from core.columns import closest
from core.errors import InputError, UndecodableMessage
from core.records import Message
from core.sources import source_key
from ingest.cleaning import clean_message
from ingest.mapping import TARGETS

FIELDS = (*TARGETS, "extra")
JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_CONTAINERS_PER_ITEM = 50  # a body of empty arrays would unfold to twenty times its size
_decode_json = msgspec.json.Decoder().decode


class Rejection(msgspec.Struct, frozen=True):
    """One refused item: its place in the push, counted from 0, and the reason."""

    index: int
    reason: str


class TooManyItems(InputError):
    """A push holds more than `ingest.push_max_items` messages, or far more values than so many messages have."""


def read_batch(
    body: bytes,
    *,
    lines: bool,
    sources: Collection[str] = (),
    received_at: datetime | None = None,
    max_items: int = 10_000,
) -> tuple[list[Message], list[Rejection]]:
    """The messages in `body` (one JSON object, an array of them or, with `lines`, one a line) and the refused items.

    `sources`: the only ones accepted; none: any well-formed one. Raises InputError for a body that
    can't be read, TooManyItems for one of more than `max_items`.
    """
    if body.count(b"[") + body.count(b"{") > _CONTAINERS_PER_ITEM * max_items:
        raise TooManyItems(f"the body holds more arrays and objects than {max_items} messages have; send less")
    messages: list[Message] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(_lines(body) if lines else _items(body)):
        if index >= max_items:
            raise TooManyItems(f"the push has more than {max_items} messages (ingest.push_max_items); send less")
        try:
            messages.append(_message(item, sources, received_at))
        except UndecodableMessage as error:
            rejected.append(Rejection(index, str(error)))
    if not messages and not rejected:
        raise InputError("the body holds no messages; send one JSON object, an array of them, or one a line")
    return messages, rejected


def _items(body: bytes) -> list[Any]:
    try:
        value = _decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the body is not readable as JSON: {error}") from error
    return value if isinstance(value, list) else [value]


def _lines(body: bytes) -> Iterator[Any]:
    for line in body.split(b"\n"):
        if line.strip():
            try:
                yield _decode_json(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield UndecodableMessage(f"not readable as JSON: {error}")


def _message(item: Any, sources: Collection[str], received_at: datetime | None) -> Message:
    if isinstance(item, UndecodableMessage):
        raise item
    if not isinstance(item, dict):
        raise UndecodableMessage(f"the item is a JSON {type(item).__name__}; expected an object")
    for name in item:
        if name not in FIELDS:
            near = closest(name[:64], FIELDS)
            advice = f"did you mean `{near}`?" if near else "what has no field of its own goes into `extra`"
            raise UndecodableMessage(f"unknown field `{name[:64]}`; {advice}".encode(errors="replace").decode())
    message = clean_message(item, received_at=received_at)
    if sources and source_key(message.source) not in map(source_key, sources):
        raise UndecodableMessage(f"unknown source `{message.source}`; the operator lists them in ingest.push_sources")
    return message
