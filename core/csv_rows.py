"""Comma, tab, semicolon or bar separated values as rows; a record may span lines."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from core.csv_layout import MOST_LINES_ABOVE, find_layout
from core.csv_values import Misfit, RecordFormat
from core.errors import InputError
from core.lines import MAX_LINE_BYTES, Line, LineFile
from core.records import MAX_ENCODED_BYTES
from core.rows import ReadOptions, Row

_MOST_BYTES_ABOVE = 2 * MAX_LINE_BYTES


class _Text(NamedTuple):
    """One line as text. `replaced`: with bad bytes replaced."""

    number: int
    line: Line
    text: str
    replaced: bool


class Csv:
    """A table with its header in one of the first lines."""

    def __init__(self, path: Path, file: LineFile, options: ReadOptions) -> None:
        self._file = file
        self.encoding = file.described_encoding
        self.doubtful = file.doubtful
        self._lines = (_Text(number, line, *file.text(line)) for number, line in enumerate(file.lines(), start=1))
        self._pending: deque[_Text] = deque()
        size = 0
        for text in itertools.islice(self._lines, MOST_LINES_ABOVE):
            self._pending.append(text)
            size += len(text.line.data)
            if size > _MOST_BYTES_ABOVE:
                break
        # A line over the limit can't be a header, and what stands below it can.
        first = [text.text if text.line.complete else "" for text in self._pending]
        try:
            layout = find_layout(first, options.columns, options.delimiter)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        for _ in range(layout.header):
            self._pending.popleft()
        self.format = RecordFormat(layout.names, layout.delimiter, options.quoting)

    @property
    def progress(self) -> float:
        return self._file.progress

    def close(self) -> None:
        self._file.close()

    def rows(self, after: int = 0) -> Iterator[Row]:
        while (first := self._next()) is not None:
            if not first.text.strip():
                continue
            row = self._row(first)
            if row.number > after:
                yield row

    def unreadable(self, sample: Sequence[Row]) -> str:
        return (
            f"line {sample[0].number}: {sample[0].reason}; columns seem to be separated by {self.format.delimiter!r} "
            f"and text seems to be {self.encoding} (--delimiter, --quoting and --encoding state otherwise)"
        )

    def _next(self) -> _Text | None:
        return self._pending.popleft() if self._pending else next(self._lines, None)

    def _row(self, first: _Text) -> Row:
        if not first.line.complete:
            return _bad([first], f"the line has {first.line.length} bytes; at most {MAX_LINE_BYTES} are read")
        if self.format.quoting == "none" or '"' not in first.text:
            return self._made([first], literally=True)
        texts, closed = self._quoted(first)
        if self.format.quoting == "auto" and (not closed or self._are_rows(texts)):
            self._pending.extendleft(reversed(texts[1:]))
            return self._made([first], literally=True)
        if not closed:
            return _bad(texts, "not readable as CSV: a closing quote is missing")
        return self._made(texts)

    def _quoted(self, first: _Text) -> tuple[list[_Text], bool]:
        """The lines that a record spans by its quotes, and whether the last quote is closed again."""
        texts = [first]
        size = len(first.line.data)
        is_open = self.format.leaves_open(first.text, False)
        while is_open:
            following = self._next()
            if following is None:
                return texts, False
            size += len(following.line.data) + 1
            if not following.line.complete or size > MAX_ENCODED_BYTES:
                self._pending.appendleft(following)
                return texts, False
            texts.append(following)
            is_open = self.format.leaves_open(following.text, True)
        return texts, True

    def _are_rows(self, texts: Sequence[_Text]) -> bool:
        """Whether lines that quotes seem to join are rows of their own, with stray quotes in them.

        So it is if most of the lines have all columns when quotes are taken as they stand, and look alike in them.
        """
        pattern = self.format.shape(texts[0].text)
        if len(texts) == 1 or pattern is None or not ("1" in pattern or pattern.count("a") > 1):
            return False
        alike = sum(_resembles(self.format.shape(text.text), pattern) for text in texts[1:])
        return 2 * alike >= len(texts) - 1

    def _made(self, texts: Sequence[_Text], *, literally: bool = False) -> Row:
        try:
            fields = self.format.fields("\n".join(text.text for text in texts), literally=literally)
        except Misfit as misfit:
            return _bad(texts, str(misfit))
        return Row(texts[0].number, _raw(texts), fields, replaced=any(text.replaced for text in texts))


def _resembles(shape: str | None, pattern: str) -> bool:
    return shape is not None and all(want in ("-", found) for want, found in zip(pattern, shape, strict=True))


def _bad(texts: Sequence[_Text], reason: str) -> Row:
    return Row(texts[0].number, _raw(texts), None, reason)


def _raw(texts: Sequence[_Text]) -> bytes:
    return b"\n".join(text.line.data for text in texts)
