"""A Parquet file as rows."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.encoding import codec_of
from core.errors import InputError
from core.rows import ReadOptions, Row

_BATCH_ROWS = 256
_LONGEST_KEY_BYTES = 16  # longer binary values of a fixed size are no keys such as UUIDs


class Parquet:
    """A Parquet file, read a few rows at a time. Its numbers of rows count from 1."""

    doubtful = False

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self._path = path
        self.encoding = codec_of(options.encoding) if options.encoding else "utf-8"
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
            for batch in self._file.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups):
                bad: set[int] = set()
                columns = {
                    str(name): self._values(batch.column(place), bad) for place, name in enumerate(batch.schema.names)
                }
                for place in range(batch.num_rows):
                    number += 1
                    if number > after:
                        fields = {name: values[place] for name, values in columns.items()}
                        yield Row(number, b"", fields, replaced=place in bad)
                self._read = number
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self._path} can't be read past row {number}: {error}; get the file again") from error

    def unreadable(self, sample: Sequence[Row]) -> str:
        return sample[0].reason

    def _values(self, column: pa.Array, bad: set[int]) -> list[Any]:
        """The values of `column` as plain Python; rows in which bytes had to be replaced are added to `bad`."""
        values = _python_values(column)
        change = self._change(column.type)
        if change is None:
            return values
        changed = []
        for place, value in enumerate(values):
            try:
                changed.append(change(value, "strict"))
            except UnicodeDecodeError:
                bad.add(place)
                changed.append(change(value, "replace"))
        return changed

    def _change(self, kind: pa.DataType) -> Callable[[Any, str], Any] | None:
        """What turns a value of this type into text, numbers, lists and objects; None if it is that already."""
        if pa.types.is_dictionary(kind):
            return self._change(kind.value_type)
        if pa.types.is_fixed_size_binary(kind) and kind.byte_width <= _LONGEST_KEY_BYTES:
            return self._key
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            return self._text
        if pa.types.is_decimal(kind):
            return lambda value, errors: _number(value)
        if pa.types.is_floating(kind):
            return lambda value, errors: None if value is None or value != value else value
        if pa.types.is_map(kind):
            return self._pairs(self._change(kind.key_type), self._change(kind.item_type))
        if pa.types.is_struct(kind):
            return self._members({field.name: self._change(field.type) for field in kind})
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            inner = self._change(kind.value_type)
            return inner and (lambda value, errors: value and [inner(item, errors) for item in value])
        return None

    def _text(self, value: Any, errors: str) -> Any:
        # Hive and Impala write text as bytes without saying that it is text.
        return value.decode(self.encoding, errors) if isinstance(value, bytes) else value

    def _key(self, value: Any, errors: str) -> Any:
        try:
            return self._text(value, "strict")
        except UnicodeDecodeError:
            return value.hex()

    def _pairs(
        self, key: Callable[[Any, str], Any] | None, item: Callable[[Any, str], Any] | None
    ) -> Callable[[Any, str], Any]:
        def change(value: Any, errors: str) -> Any:
            if value is None:
                return None
            return {
                str(key(name, errors) if key else name): item(content, errors) if item else content
                for name, content in value
            }

        return change

    def _members(self, changes: dict[str, Callable[[Any, str], Any] | None]) -> Callable[[Any, str], Any] | None:
        def change(value: Any, errors: str) -> Any:
            if value is None:
                return None
            return {
                name: found(content, errors) if (found := changes.get(name)) else content
                for name, content in value.items()
            }

        return change if any(changes.values()) else None


def _python_values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)  # finer than Python's times
    try:
        return column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        # Times outside the years 1 to 9999: read as milliseconds since 1970.
        if pa.types.is_timestamp(kind):
            return column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_pylist()
        return [_cell(cell) for cell in column]


def _cell(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def _number(value: Any) -> Any:
    if not isinstance(value, decimal.Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)
