"""Files of records: JSON Lines, CSV and Parquet, read as rows in file order, bad ones with the reason."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InputError
from core.lines import MAX_LINE_BYTES, Line, LineFile
from core.records import MAX_ENCODED_BYTES

_DELIMITERS = (",", "\t", ";", "|")
_PARQUET_ROWS = 256
_BOM = b"\xef\xbb\xbf"
_decode_json = msgspec.json.Decoder().decode


class Row(NamedTuple):
    """One record of a file. `number` counts lines (rows of Parquet) from 1; a bad row has a `reason` and no fields."""

    number: int
    raw: bytes
    fields: Mapping[str, Any] | None
    reason: str = ""

    def original(self) -> bytes:
        """The bytes of the record as they stand in the file; a Parquet row has none, so JSON stands for it."""
        return self.raw or json.dumps(self.fields, default=str).encode()


class RecordFile(Protocol):
    """An open file of records."""

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Rows whose number is above `after`. Raises InputError where the file itself is damaged."""

    @property
    def progress(self) -> float:
        """The share of the file that has been read, 0 to 1."""

    def close(self) -> None:
        """Release the file."""


def open_records(path: Path, suffix: str = "") -> RecordFile:
    """Open the file at `path`; its name tells the format, `.gz` after it is allowed, or else `suffix` does (".csv").

    Raises InputError for a missing, empty, unreadable or unknown file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a directory; name one file of records in it")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path (now in {Path.cwd()})")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; write its records to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to read")
    suffix = suffix or Path(path.name.lower().removesuffix(".gz")).suffix
    opener = _OPENERS.get(suffix)
    if opener is None:
        raise InputError(f"{path} has a format that is not known; expected {', '.join(_OPENERS)}, or those with .gz")
    try:
        return opener(path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


class JsonLines:
    """One JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = LineFile(path)

    @property
    def progress(self) -> float:
        return self._file.progress

    def close(self) -> None:
        self._file.close()

    def rows(self, after: int = 0) -> Iterator[Row]:
        for number, line in enumerate(self._file.lines(), start=1):
            if number == 1:
                line = self._first(line)
            if number > after and line.data.strip():
                yield _json_row(number, line)

    def _first(self, line: Line) -> Line:
        data = line.data.removeprefix(_BOM)
        if data.lstrip().startswith(b"["):
            raise InputError(f"{self._path} holds one JSON array, not one object a line; `jq -c '.[]'` converts it")
        return Line(data, line.length - len(line.data) + len(data))


def _json_row(number: int, line: Line) -> Row:
    if not line.complete:
        return Row(number, line.data, None, f"the line has {line.length} bytes; at most {MAX_LINE_BYTES} are read")
    try:
        value = _decode_json(line.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Row(number, line.data, None, f"not readable as JSON: {error}")
    if not isinstance(value, dict):
        return Row(number, line.data, None, f"the line holds a JSON {type(value).__name__}; expected an object")
    return Row(number, line.data, value)


class Csv:
    """Comma, tab, semicolon or bar separated values, the header in the first line, in UTF-8."""

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(2 * MAX_LINE_BYTES)
        self._file = LineFile(path)
        self._source = _CsvLines(self._file.lines())
        try:
            first = next(self._source, "")
            self._delimiter = max(_DELIMITERS, key=first.count)
            self._header = self._names(path, first)
        except InputError:
            self._file.close()
            raise

    def _names(self, path: Path, first: str) -> list[str]:
        try:
            names = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        except csv.Error as error:
            raise InputError(f"{path}: the header can't be read as CSV: {error}") from error
        if self._source.fault or not any(names):
            raise InputError(f"{path} has no readable header in its first line; {self._source.fault or 'it is blank'}")
        if len(set(names)) < len(names):
            raise InputError(f"{path}: the header names a column twice: {', '.join(names)[:500]}; rename one")
        return names

    @property
    def progress(self) -> float:
        return self._file.progress

    def close(self) -> None:
        self._file.close()

    @property
    def dialect(self) -> tuple[str, str]:
        """The header as one line, and the delimiter."""
        line = io.StringIO()
        csv.writer(line, delimiter=self._delimiter, lineterminator="").writerow(self._header)
        return line.getvalue(), self._delimiter

    def rows(self, after: int = 0) -> Iterator[Row]:
        reader = csv.reader(self._source, delimiter=self._delimiter, strict=True)
        while True:
            number = self._source.begin()
            reason = ""
            values: list[str] = []
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"not readable as CSV: {error}"
            reason = self._source.fault or reason
            if not reason and not values:
                continue
            if not reason and len(values) != len(self._header):
                reason = f"the row has {len(values)} values; the header names {len(self._header)} columns"
            if number > after:
                fields = None if reason else dict(zip(self._header, values, strict=True))
                yield Row(number, self._source.raw, fields, reason)


class _CsvLines:
    """Feeds a csv.reader line by line and remembers the bytes of the record it is in, which may span lines."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._pending: Line | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._number = 0
        self.fault = ""

    @property
    def raw(self) -> bytes:
        return b"\n".join(self._parts)

    def begin(self) -> int:
        """A new record begins at the next line; returns the number of that line."""
        self._parts, self._size, self.fault = [], 0, ""
        return self._number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pending or next(self._lines)
        if self._parts and self._size + len(line.data) > MAX_ENCODED_BYTES:
            self._pending = line
            self.fault = (
                f"the record runs over more than {MAX_ENCODED_BYTES} bytes; a closing quote seems to be missing"
            )
            raise csv.Error(self.fault)
        self._pending = None
        data = line.data.removeprefix(_BOM) if self._number == 0 else line.data
        self._number += 1
        self._parts.append(data)
        self._size += len(data) + 1
        if not line.complete:
            self.fault = f"the line has {line.length} bytes; at most {MAX_LINE_BYTES} are read"
            return "\n"
        try:
            return data.decode() + "\n"
        except UnicodeDecodeError as error:
            self.fault = f"not valid UTF-8: {error.reason} at byte {error.start}"
            return data.decode(errors="replace") + "\n"


class Parquet:
    """A Parquet file, read a few rows at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} can't be read as Parquet: {error}") from error
        self._total = self._file.metadata.num_rows
        self._read = 0
        if self._total == 0:
            self._file.close()
            raise InputError(f"{path} has no rows; there is nothing to read")

    @property
    def progress(self) -> float:
        return self._read / self._total

    def close(self) -> None:
        self._file.close()

    def rows(self, after: int = 0) -> Iterator[Row]:
        number = 0
        groups: list[int] = []
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if not groups and number + count <= after:
                number += count
            else:
                groups.append(group)
        try:
            for batch in self._file.iter_batches(batch_size=_PARQUET_ROWS, row_groups=groups):
                columns = {str(name): _values(batch.column(index)) for index, name in enumerate(batch.schema.names)}
                for index in range(batch.num_rows):
                    number += 1
                    if number > after:
                        yield Row(number, b"", {name: values[index] for name, values in columns.items()})
                self._read = number
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self._path} can't be read past row {number}: {error}; get the file again") from error


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        # Times outside the years 1 to 9999, or finer than Python's: read as milliseconds since 1970.
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_pylist()
        return [_cell(cell) for cell in column]


def _cell(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return None


_OPENERS: dict[str, Callable[[Path], RecordFile]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonLines,
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": Parquet,
}
