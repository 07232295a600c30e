"""Values out of a TOML table, with every fault noted instead of raised: where it is, what it is, what is expected."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from core.columns import closest, closest_hint

Choice = TypeVar("Choice", bound=str)


class Fields:
    """The values of `table`, which may have the keys `known`. Faults are added to `faults`, with `where` before them.

    What is faulty reads as the default.
    """

    def __init__(self, table: Mapping[str, Any], known: Collection[str], faults: list[str], where: str = "") -> None:
        self._table = table
        self._faults = faults
        self._where = where
        for key in table:
            if key not in known:
                near = closest(key, known)
                advice = f"did you mean `{near}`?" if near else f"keys: {', '.join(known)}"
                self.fault(f"unknown key `{key}`; {advice}")

    def fault(self, text: str) -> None:
        """Note that something is wrong."""
        self._faults.append(f"{self._where}: {text}" if self._where else text)

    def given(self, key: str, default: Any = None) -> Any:
        """The value as it stands in the file."""
        return self._table.get(key, default)

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def table(self, key: str, known: Collection[str]) -> Fields:
        """The table `[key]`; an empty one where there is none."""
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            self.fault(f"`{key}` is {value!r:.60}; write it as a table [{key}]")
            value = {}
        return Fields(value, known, self._faults, f"[{key}]")

    def tables(self, key: str, known: Collection[str]) -> list[Fields]:
        """The tables `[[key]]`, in order."""
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.fault(f"`{key}` is a single table; write [[{key}]] with two brackets")
            return []
        return [
            Fields(each, known, self._faults, f"{key} {number}" + (f" (`{name}`)" if _is_name(name) else ""))
            for number, each in enumerate(value, start=1)
            for name in [each.get("name")]
        ]

    def name(self) -> str:
        """The `name` of the table, which has to have one."""
        value = self._table.get("name")
        if not _is_name(value):
            self.fault(f"`name` is {value!r:.60}; expected printable text of 1 to 64 characters")
            return ""
        return str(value)

    def text(self, key: str, default: str) -> str:
        """A text."""
        value = self._table.get(key, default)
        if not isinstance(value, str):
            self.fault(f"`{key}` is {value!r:.60}; expected a text")
            return default
        return value

    def texts(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        """A list of texts; a single one stands for a list of one."""
        value = self._table.get(key, list(default))
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            self.fault(f"`{key}` is {value!r:.60}; expected a list of texts")
            return tuple(default)
        return tuple(dict.fromkeys(value))

    def choice(self, key: str, choices: Sequence[Choice], default: Choice) -> Choice:
        """One of `choices`."""
        value = self._table.get(key, default)
        found = next((each for each in choices if each == value), None)
        if found is None:
            self.fault(f"`{key}` is {value!r:.60}; {_expected(value, choices)}")
        return found or default

    def choices(self, key: str, choices: Sequence[Choice], default: Sequence[Choice]) -> tuple[Choice, ...]:
        """Some of `choices`, at least one."""
        values = self.texts(key, default)
        for value in values:
            if value not in choices:
                self.fault(f"`{key}` names {value!r:.60}; {_expected(value, choices)}")
        if not values:
            self.fault(f"`{key}` is empty; {_expected('', choices)}")
        return tuple(each for each in choices if each in values)

    def number(self, key: str, default: float, least: float = 0.0, above: bool = False) -> float:
        """A finite number, `least` or more; more than that where `above`."""
        value = self._table.get(key, default)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or value < least or (above and value == least):
            self.fault(f"`{key}` is {value!r:.60}; expected a number {'above' if above else 'of at least'} {least:g}")
            return default
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false where it is not given."""
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            self.fault(f"`{key}` is {value!r:.60}; expected true or false")
            return False
        return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= 64 and value.isprintable()


def _expected(value: Any, choices: Sequence[str]) -> str:
    hint = closest_hint(value, choices) if isinstance(value, str) else ""
    return f"expected {', '.join(f'`{each}`' for each in choices)}{hint}"
