"""The value of a foreign Kafka record as a JSON object: framed by a schema registry or packed, or neither. Pure."""

from __future__ import annotations

import zlib
from typing import Any

from core.encoding import decode
from core.errors import UndecodableMessage
from core.json_objects import NotAnObject, read_object
from core.records import MAX_ENCODED_BYTES

_GZIP = b"\x1f\x8b"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Magic byte -> lengths of the frames that begin with it: Confluent's 4-byte id (and Apicurio's 8), Confluent's 16-byte
# GUID, and AWS Glue's compression byte with a 16-byte version id.
_FRAMES = {0: (5, 9), 1: (17,), 3: (18,)}


def read_record(value: bytes) -> dict[str, Any]:
    """The object in `value`. Raises UndecodableMessage with the reason."""
    if not value:
        raise UndecodableMessage("the record is empty; expected a JSON object")
    payload = _without_frame(value)
    if payload.startswith(_GZIP):
        payload = _inflated(payload)
    if payload.startswith(_WIDE_MARKS):
        payload = decode(payload).text.encode()
    try:
        return read_object(payload.removeprefix(b"\xef\xbb\xbf"))
    except NotAnObject as error:
        raise UndecodableMessage(str(error)) from error


def _without_frame(value: bytes) -> bytes:
    """`value` without the frame of a schema registry, where JSON follows it."""
    lengths = _FRAMES.get(value[0], ())
    for length in lengths:
        payload = value[length:]
        if payload.lstrip()[:1] == b"{":
            return payload
    if not lengths or len(value) < min(lengths):
        return value
    if value[0] == 0:
        what = f"a schema-registry frame (schema id {int.from_bytes(value[1:5])})"
    else:
        what = "a schema-registry frame (AWS Glue)" if value[0] == 3 else "a schema-registry frame (schema GUID)"
    raise UndecodableMessage(
        f"the record has {what} and no JSON behind it, so it is Avro or Protobuf; convert the topic to JSON first, "
        "for example with a connector or ksqlDB"
    )


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(packed, MAX_ENCODED_BYTES + 1)
    except zlib.error as error:
        raise UndecodableMessage(f"the record is not readable as gzip: {error}") from error
    if len(plain) > MAX_ENCODED_BYTES:
        raise UndecodableMessage(f"the record unpacks to more than {MAX_ENCODED_BYTES} bytes")
    return plain
