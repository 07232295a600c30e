from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.readers import ReadOptions, Row, open_records


def rows_of(path: Path, columns: dict[str, Any], **options: Any) -> list[Row]:
    pq.write_table(pa.table(columns), path)
    file = open_records(path, options=ReadOptions(**options))
    try:
        return list(file.rows())
    finally:
        file.close()


def test_bytes_are_text(tmp_path: Path) -> None:
    texts = ["Mill über Plan".encode(), None, b"b\xffd"]
    first, second, third = rows_of(
        tmp_path / "x.parquet",
        {
            "text": pa.array(texts, pa.binary()),
            "large": pa.array(texts, pa.large_binary()),
            "words": pa.array([[b"a", b"b"], None, []], pa.list_(pa.binary())),
            "choice": pa.array([b"x", b"y", b"x"], pa.binary()).dictionary_encode(),
            "inner": pa.array([{"t": b"z"}, None, {"t": None}], pa.struct([("t", pa.binary())])),
            "key": pa.array([b"AB", b"\xff\xfe", b"CD"], pa.binary(2)),
        },
    )
    assert first.fields == {
        "text": "Mill über Plan",
        "large": "Mill über Plan",
        "words": ["a", "b"],
        "choice": "x",
        "inner": {"t": "z"},
        "key": "AB",
    }
    assert second.fields == {
        "text": None,
        "large": None,
        "words": None,
        "choice": "y",
        "inner": None,
        "key": "fffe",
    }
    assert third.fields is not None
    assert (third.fields["text"], third.replaced) == ("b\ufffdd", True)
    assert not first.replaced
    assert not second.replaced


def test_bytes_in_a_stated_encoding(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "x.parquet", {"text": pa.array(["面包".encode("gbk")], pa.binary())}, encoding="gbk")
    assert row.fields == {"text": "面包"}


def test_numbers_times_and_maps(tmp_path: Path) -> None:
    (row,) = rows_of(
        tmp_path / "x.parquet",
        {
            "id": pa.array([Decimal("1234567890123456789")], pa.decimal128(20, 0)),
            "price": pa.array([Decimal("1.25")], pa.decimal128(10, 2)),
            "none": pa.array([float("nan")]),
            "at": pa.array([1683616500_000000001], pa.timestamp("ns", "Europe/Berlin")),
            "tags": pa.array([[("a", b"1")]], pa.map_(pa.string(), pa.binary())),
        },
    )
    assert row.fields == {
        "id": 1234567890123456789,
        "price": 1.25,
        "none": None,
        "at": datetime(2023, 5, 9, 7, 15, tzinfo=UTC),
        "tags": {"a": "1"},
    }
