"""The commented values of the chart, read for what they say: each key with its default, description and schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w-]*):(?P<rest>.*)$")
_SCHEMA = "@schema "


@dataclass
class Value:
    """One key. `schema` is what its comment adds to the type of the default."""

    path: tuple[str, ...]
    default: Any
    description: str
    schema: dict[str, Any]
    children: dict[str, Value] = field(default_factory=dict)


def read_values(text: str) -> Value:
    """The tree of `text`. Raises ValueError naming the line whose `@schema` is no JSON."""
    defaults = yaml.safe_load(text)
    root = Value((), defaults, "", {})
    comment: list[str] = []
    open_keys: list[tuple[int, Value]] = [(-1, root)]
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped[1:].strip())
            continue
        match = _KEY.match(line)
        if match is None:
            comment = []
            continue
        indent = len(match["indent"])
        while open_keys[-1][0] >= indent:
            open_keys.pop()
        parent = open_keys[-1][1]
        value = Value(
            (*parent.path, match["key"]), parent.default[match["key"]], _description(comment), _schema(comment, number)
        )
        parent.children[match["key"]] = value
        open_keys.append((indent, value))
        comment = []
    return root


def walk(value: Value) -> Iterator[Value]:
    """All keys under `value`, in the order of the file."""
    for child in value.children.values():
        yield child
        yield from walk(child)


def schema_of(value: Value) -> dict[str, Any]:
    """JSON Schema of `value`: strict where the default has keys, any object or list where it is empty."""
    found: dict[str, Any] = {"description": value.description} if value.description else {}
    if "$ref" in value.schema:
        return {**found, **value.schema}
    if value.children:
        found |= {
            "type": "object",
            "properties": {key: schema_of(child) for key, child in value.children.items()},
            "patternProperties": {"^extra": {}},
            "additionalProperties": False,
        }
    else:
        found["type"] = _type(value.default)
    return {**found, **value.schema}


def _type(default: Any) -> str:
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(default), "object")


def _description(comment: list[str]) -> str:
    return " ".join(line for line in comment if not line.startswith(_SCHEMA.strip()))


def _schema(comment: list[str], number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in comment:
        if line.startswith(_SCHEMA):
            try:
                found |= json.loads(line.removeprefix(_SCHEMA))
            except json.JSONDecodeError as error:
                raise ValueError(f"values.yaml, above line {number}: {line!r} is no JSON: {error}") from error
    return found
