"""The layout of a table in text: which line is its header, what separates its columns, and their names. Pure."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.errors import InputError
from core.file_kinds import DELIMITERS

MOST_LINES_ABOVE = 50
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)
_DATA = re.compile(r"[+-]?\d+(?:[.,]\d+)?|\d{4}-\d\d-\d\d\b.*|\d\d?[./]\d\d?[./]\d{4}\b.*|https?://.*")
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}


@dataclass(frozen=True, slots=True)
class Layout:
    """`names` of all columns, blank ones included; the header is line `header` (from 1), and rows follow it."""

    header: int
    delimiter: str
    names: tuple[str, ...]


def find_layout(lines: Sequence[str], columns: Collection[str] = (), delimiter: str = "") -> Layout:
    """The layout of the table that begins with `lines`.

    A first line `sep=;` is obeyed. Where `columns` are expected, the header is the first line that names most of them;
    else it is the first line that is neither blank nor a comment (#). Raises InputError, without the file's name.
    """
    delimiters: Sequence[str] = (_delimiter(delimiter),) if delimiter else DELIMITERS
    above = 0
    if lines and (match := _SEPARATOR_LINE.fullmatch(lines[0].strip())):
        above = 1
        delimiters = delimiters if delimiter else (match.group(1),)
    candidates = [number for number in range(above, min(len(lines), MOST_LINES_ABOVE)) if lines[number].strip()]
    if not candidates:
        raise InputError("it has no readable header: all of its first lines are blank")
    plain = [number for number in candidates if not lines[number].startswith("#")] or candidates
    header, separator = plain[0], max(delimiters, key=lines[plain[0]].count)
    most = 0
    for number in candidates if columns else ():
        for candidate in delimiters:
            named = len(set(columns).intersection(_cells(lines[number], candidate)))
            if named > most:
                most, header, separator = named, number, candidate
    names = _cells(lines[header], separator)
    if not most and any(_DATA.fullmatch(name) for name in names):
        shown = ", ".join(f"`{name[:40]}`" for name in names[:5])
        raise InputError(
            f"it has no readable header: line {header + 1} holds data ({shown}); put a line with the names of the "
            "columns on top"
        )
    return Layout(header + 1, separator, _distinct(names, columns))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True), [])
    except csv.Error:
        cells = [cell.strip(' "') for cell in line.split(delimiter)]
    return [" ".join(cell.split()) for cell in cells]


def _distinct(names: list[str], columns: Collection[str]) -> tuple[str, ...]:
    """`names`, the second of two equal ones numbered. Raises InputError where nobody could say which one is meant."""
    counts = Counter(name for name in names if name)
    if not counts:
        raise InputError("it has no readable header: no column has a name")
    twice = [name for name, count in counts.items() if count > 1 and (not columns or name in columns)]
    if twice:
        raise InputError(f"its header names a column twice: {', '.join(twice)[:200]}; rename one")
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name}.{seen[name]}" if name and seen[name] > 1 else name)
    return tuple(distinct)


def _delimiter(stated: str) -> str:
    delimiter = _NAMES.get(stated.lower(), stated)
    if len(delimiter) != 1 or delimiter in '"\r\n\x00':
        raise InputError(f"--delimiter is {stated[:20]!r}; expected one character, or tab")
    return delimiter
