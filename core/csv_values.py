"""The values in one record of a table, quoted as programs and people quote. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from core.records import MAX_ENCODED_BYTES
from core.rows import Quoting

csv.field_size_limit(4 * MAX_ENCODED_BYTES)


class Misfit(ValueError):
    """The record does not fit its table; the message says why."""


class RecordFormat:
    """How the records of one table are written: its columns (a blank name is none), what separates them, its quotes."""

    def __init__(self, names: Sequence[str], delimiter: str, quoting: Quoting = "auto") -> None:
        self.delimiter = delimiter
        self.quoting = quoting
        self._names = names
        self._fewest = max(place for place, name in enumerate(names, start=1) if name)

    @property
    def header(self) -> str:
        """The names of all columns as one line."""
        line = io.StringIO()
        csv.writer(line, delimiter=self.delimiter, lineterminator="").writerow(self._names)
        return line.getvalue()

    def fields(self, text: str, *, literally: bool = False) -> dict[str, str]:
        """The values of the record `text` by the names of their columns. Raises Misfit."""
        if literally or self.quoting == "none" or '"' not in text:
            values = self._literal(text)
            if values is None:
                raise self._misfit(text.split(self.delimiter))
        else:
            values = self._unquoted(text)
        if [" ".join(value.split()).strip('"') for value in values] == list(self._names):
            raise Misfit("the line repeats the header")
        return {name: value for name, value in zip(self._names, values, strict=True) if name}

    def shape(self, text: str) -> str | None:
        """What each column holds, quotes taken as they stand: a word with digits (1), a word (a), anything else (-).

        None if the text does not fit.
        """
        values = self._literal(text)
        if values is None:
            return None
        return "".join("-" if len(value.split()) != 1 else "1" if _has_digit(value) else "a" for value in values)

    def leaves_open(self, text: str, is_open: bool) -> bool:
        """Whether a quoted value runs on behind the line `text`; `is_open`: whether one runs on into it."""
        place = 0
        opening = f'{self.delimiter}"'
        if not is_open:
            if not text.startswith('"'):
                place = text.find(opening)
                if place < 0:
                    return False
                place += 1
            place += 1
        while True:
            place = text.find('"', place)
            if place < 0:
                return True
            if text.startswith('""', place):
                place += 2
                continue
            place = text.find(opening, place + 1)
            if place < 0:
                return False
            place += 2

    def _unquoted(self, text: str) -> list[str]:
        fault: Misfit | None = None
        for options in self._dialects(text):
            try:
                values = next(csv.reader([text], delimiter=self.delimiter, strict=True, **options), [])
            except csv.Error as error:
                fault = fault or Misfit(f"not readable as CSV: {error}")
                continue
            fitting = self._fitting(values)
            if fitting is not None:
                return fitting
            fault = fault or self._misfit(values)
        literal = self._literal(text) if self.quoting == "auto" and "\n" not in text else None
        if literal is None:
            raise fault or Misfit("not readable as CSV")
        return literal

    def _dialects(self, text: str) -> Iterator[dict[str, Any]]:
        """How the record may be quoted, the standard's way first."""
        yield {}
        if self.quoting == "auto" and '\\"' in text:
            yield {"escapechar": "\\", "doublequote": False}
        if self.quoting == "auto" and f'{self.delimiter} "' in text:
            yield {"skipinitialspace": True}

    def _literal(self, text: str) -> list[str] | None:
        return self._fitting(text.split(self.delimiter))

    def _fitting(self, values: list[str]) -> list[str] | None:
        """`values`, one for each column: blank ones at the end are surplus or understood. None if they do not fit."""
        if len(values) < self._fewest or any(value.strip() for value in values[self._fewest :]):
            return None
        width = len(self._names)
        return values[:width] + [""] * (width - len(values))

    def _misfit(self, values: list[str]) -> Misfit:
        return Misfit(f"the row has {len(values)} values; the header names {self._fewest} columns")


def _has_digit(value: str) -> bool:
    return any(letter.isdigit() for letter in value)
