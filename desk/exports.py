"""Tables as files, made as they are read: CSV that is safe to open in a spreadsheet, and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

CSV_TYPE = "text/csv; charset=utf-8"
PARQUET_TYPE = "application/vnd.apache.parquet"

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
_LIST_SEPARATOR = "; "

Row = Sequence[Any]


def csv_file(columns: Sequence[str], batches: Iterable[Iterable[Row]]) -> Iterator[bytes]:
    """CSV (RFC 4180) in UTF-8, one piece for the header and each batch."""
    yield _csv_lines([columns])
    for batch in batches:
        yield _csv_lines([[cell(value) for value in row] for row in batch])


def cell(value: Any) -> Any:
    """A value as it stands in CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (list, tuple)):
        value = _LIST_SEPARATOR.join("" if one is None else str(one) for one in value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_DANGEROUS) else value
    return value


def parquet_file(schema: pa.Schema, batches: Iterable[Iterable[Row]]) -> Iterator[bytes]:
    """Parquet with one row group for each batch; nothing but the batch at hand is in memory."""
    sink = _Pieces()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            columns = list(zip(*batch, strict=True)) or [()] * len(schema)
            arrays = [pa.array(column, field.type) for column, field in zip(map(_stored, columns), schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _stored(column: Sequence[Any]) -> list[Any]:
    return [str(value) if isinstance(value, UUID) else value for value in column]


def _csv_lines(rows: Iterable[Row]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


class _Pieces(io.RawIOBase):
    """A file that hands on what was written to it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
