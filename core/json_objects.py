"""JSON objects as systems write them, one at a time: strict JSON first, then what Python and JavaScript print. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_lenient = json.JSONDecoder(strict=False, parse_constant=lambda _name: None).decode
_AROUND = " \t\r\n\x1e"
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotAnObject(ValueError):
    """The text is no JSON object; the message says why."""


def read_object(data: bytes | str) -> dict[str, Any]:
    """The object in `data`. NaN and Infinity read as null, raw control characters in texts as they stand; a record
    separator before the object (RFC 7464) is passed over.

    Raises NotAnObject with the reason.
    """
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        value = _second_reading(data, f"not readable as JSON: {error}")
    if not isinstance(value, dict):
        raise NotAnObject(f"it holds a JSON {type(value).__name__}; expected an object")
    return value


def _second_reading(data: bytes | str, reason: str) -> Any:
    try:
        text = data if isinstance(data, str) else data.decode()
        return _without_surrogates(_lenient(text.strip(_AROUND)))
    except (ValueError, RecursionError):
        raise NotAnObject(reason) from None


def _without_surrogates(value: Any) -> Any:
    """`value` without halves of surrogate pairs, which no encoding can write."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value
