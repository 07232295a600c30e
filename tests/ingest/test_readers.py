from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from core.readers import ReadOptions, Row, open_records

Write = Callable[[str, str | bytes], Path]


def rows_of(path: Path, after: int = 0, options: ReadOptions | None = None) -> list[Row]:
    file = open_records(path, options=options or ReadOptions())
    try:
        return list(file.rows(after))
    finally:
        file.close()


def test_json_lines_good_and_bad(write: Write) -> None:
    lines = [
        b'\xef\xbb\xbf{"a": 1}',
        b"",
        b"[1]",
        b"{oops",
        b'{"a": "\xff \xc3\xbc\xc3\xb6\xe2\x82\xac"}',
        b"null",
        b'{"a": 2}\r',
        b'{"a": 3}',
    ]
    rows = rows_of(write("x.jsonl", b"\n".join(lines)))
    assert [row.number for row in rows] == [1, 3, 4, 5, 6, 7, 8]
    assert [row.fields for row in rows] == [{"a": 1}, None, None, {"a": "\ufffd üö€"}, None, {"a": 2}, {"a": 3}]
    assert [row.raw for row in rows[1:5]] == lines[2:6]
    assert all(bool(row.reason) == (row.fields is None) for row in rows)
    assert [row.number for row in rows if row.replaced] == [5]
    assert [row.number for row in rows_of(write("y.jsonl", b"\n".join(lines)), after=6)] == [7, 8]


def test_deeply_nested_json_is_a_bad_row(write: Write) -> None:
    (row,) = rows_of(write("x.jsonl", b'{"a":' * 100_000))
    assert row.fields is None
    assert row.reason


@pytest.mark.parametrize("packed", [False, True])
def test_an_over_long_line_is_cut_and_the_next_is_read(write: Write, packed: bool) -> None:
    content = b'{"text": "' + b"x" * 10_000_000 + b'"}\n{"a": 1}\n'
    rows = rows_of(write("x.jsonl.gz" if packed else "x.jsonl", gzip.compress(content) if packed else content))
    assert len(rows[0].raw) == 900_000
    assert "10000012 bytes" in rows[0].reason
    assert rows[1] == Row(2, b'{"a": 1}', {"a": 1})


def test_csv_with_quotes_and_faults(write: Write) -> None:
    text = 'id,text\n1,"a, ""b""\nc"\n2,x,y\n\n3\n4,d\n'
    rows = rows_of(write("x.csv", text))
    assert [(row.number, row.fields) for row in rows] == [
        (2, {"id": "1", "text": 'a, "b"\nc'}),
        (4, None),
        (6, None),
        (7, {"id": "4", "text": "d"}),
    ]
    assert rows[0].raw == b'1,"a, ""b""\nc"'
    assert "3 values" in rows[1].reason
    assert rows[2].raw == b"3"
    assert [row.number for row in rows_of(write("y.csv", text), after=2)] == [4, 6, 7]


def test_a_bad_byte_is_replaced_and_the_row_says_so(write: Write) -> None:
    texts = "".join(f"{n};Der Müller-Konzern wächst über alle Maßen\n" for n in range(9)).encode()
    *good, bad = rows_of(write("x.csv", b"id;text\n" + texts + b"9;b\xffd\n"))
    assert bad.raw == b"9;b\xffd"
    assert (bad.fields, bad.replaced) == ({"id": "9", "text": "b\ufffdd"}, True)
    assert len(good) == 9
    assert not any(row.replaced for row in good)


def test_an_open_quote_swallows_nothing(write: Write) -> None:
    rows = rows_of(write("x.csv", 'id,text\n1,"open\n2,b\n3,c\n'))
    assert [row.fields for row in rows] == [
        {"id": "1", "text": '"open'},
        {"id": "2", "text": "b"},
        {"id": "3", "text": "c"},
    ]
    lines = [b'1,"open', *(b"%d,%s" % (i, b"x" * 1000) for i in range(2_000)), b'9,"closed"']
    rows = rows_of(write("y.csv", b"id,text\n" + b"\n".join(lines)))
    assert [row.raw for row in rows] == lines
    assert rows[-1].fields == {"id": "9", "text": "closed"}


def test_by_the_standard_an_open_quote_is_a_bad_row_with_all_it_swallowed(write: Write) -> None:
    standard = ReadOptions(quoting="csv")
    (row,) = rows_of(write("x.csv", 'id,text\n1,"open\n2,b\n3,c\n'), options=standard)
    assert row.raw == b'1,"open\n2,b\n3,c'
    assert "CSV" in row.reason
    long = b'id,text\n1,"open\n' + b"".join(b"%d,%s\n" % (i, b"x" * 1000) for i in range(2_000)) + b'9,"closed"\n'
    rows = rows_of(write("y.csv", long), options=standard)
    kept = b"\n".join(row.raw for row in rows)
    assert kept == long[len(b"id,text\n") : -1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", "is empty"),
        ("x.txt", b"a", "format that is not known"),
        ("x.jsonl.gz", b'{"a": 1}', "no gzip data"),
        ("x.json", b'[{"a": 1}]', "JSON array"),
        ("x.csv", b"\n1,2\n", "no readable header"),
        ("x.csv", b"a,a\n1,2\n", "twice"),
        ("x.parquet", b"nonsense", "Parquet"),
    ],
)
def test_unusable_files_are_explained(write: Write, name: str, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows_of(write(name, content))


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_records(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="directory"):
        open_records(tmp_path)


def test_a_cut_gzip_file_yields_what_comes_before(write: Write) -> None:
    whole = gzip.compress(b"".join(json.dumps({"n": i, "x": hash(str(i))}).encode() + b"\n" for i in range(5_000)))
    file = open_records(write("x.jsonl.gz", whole[: len(whole) // 2]))
    seen: list[int] = []
    with pytest.raises(InputError, match="can't be read past line"):
        seen.extend(row.number for row in file.rows())
    file.close()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 100


def test_parquet_types_and_resumption(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    moment = datetime(2014, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table(
        {
            "id": pa.array(range(2_500)),
            "ts": pa.array([moment] * 2_500, pa.timestamp("us", "UTC")),
            "wild": pa.array([2**62] * 2_500, pa.timestamp("ms")),
            "nested": [{"body": "b"}] * 2_500,
        }
    )
    pq.write_table(table, path, row_group_size=600)
    rows = rows_of(path)
    assert [row.number for row in rows] == list(range(1, 2_501))
    assert rows[0].fields == {"id": 0, "ts": moment, "wild": 2**62, "nested": {"body": "b"}}
    assert b'"id": 0' in rows[0].original()
    assert [row.fields["id"] for row in rows_of(path, after=1_300) if row.fields] == list(range(1_300, 2_500))
