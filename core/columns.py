"""Columns of foreign records by name: `text=payload.body`. Pure.

target=column        a column; dots reach into nested records ("payload.body", "items.0.name")
target=column?       the same, and it is no error if no record has it
target=@value        a constant
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MISSING = object()
"""What `Rule.read` gives where its path leads nowhere."""
_MOST_COLUMNS_NAMED = 30


@dataclass(frozen=True)
class Rule:
    """One target field and where it comes from: a path into the record, or a constant."""

    target: str
    path: str = ""
    constant: str | None = None
    optional: bool = False

    def read(self, record: Mapping[str, Any]) -> Any:
        """The value in `record`; `MISSING` if the path leads nowhere."""
        if self.constant is not None:
            return self.constant
        value = record.get(self.path, MISSING)
        return _follow(record, self.path) if value is MISSING and "." in self.path else value

    def __str__(self) -> str:
        """The rule as it is written: `target=origin`."""
        if self.constant is not None:
            return f"{self.target}=@{self.constant}"
        return f"{self.target}={self.path}{'?' if self.optional else ''}"


def parse_rule(target: str, origin: str) -> Rule:
    """The rule that fills `target` from `origin`: a column, a column that may be missing (`?`), a constant (`@`)."""
    if origin.startswith("@"):
        return Rule(target, constant=origin[1:])
    optional = origin.endswith("?") and len(origin) > 1
    return Rule(target, path=origin.removesuffix("?") if optional else origin, optional=optional)


def columns_of(record: Mapping[str, Any], prefix: str = "", depth: int = 3) -> list[str]:
    """Dotted names of the columns of `record`, nested ones included down to `depth`."""
    names: list[str] = []
    for name, value in list(record.items())[: 10 * _MOST_COLUMNS_NAMED]:
        names.append(f"{prefix}{name}")
        if isinstance(value, Mapping) and depth > 1:
            names.extend(columns_of(value, f"{prefix}{name}.", depth - 1))
    return names


def closest(name: str, known: Iterable[str]) -> str:
    """The entry of `known` that `name` may have meant, or ""."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return near[0] if near else ""


def closest_hint(name: str, known: Iterable[str]) -> str:
    """A clause "; did you mean ...?" for an error message, or ""."""
    near = closest(name, known)
    return f"; did you mean `{near}`?" if near else ""


def listed(columns: list[str]) -> str:
    """The first of `columns` for an error message, each cut to 60 characters."""
    shown = ", ".join(f"`{name[:60]}`" for name in columns[:_MOST_COLUMNS_NAMED]) or "none"
    return shown + (f" and {len(columns) - _MOST_COLUMNS_NAMED} more" if len(columns) > _MOST_COLUMNS_NAMED else "")


def _follow(record: Any, path: str) -> Any:
    value = record
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step, MISSING)
        elif isinstance(value, (list, tuple)) and step.isascii() and step.isdigit() and int(step[:9]) < len(value):
            value = value[int(step[:9])]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value
