from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.file_kinds import foreign_kind, record_paths, single_document_advice
from core.readers import Row, open_records, sample_rows

Write = Callable[[str, str | bytes], Path]
RECORDS = [{"id": str(n), "text": f"Mill number {n} is working über Tag"} for n in range(4)]


def sampled(path: Path) -> list[Row]:
    file = open_records(path)
    try:
        return sample_rows(file, path)
    finally:
        file.close()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_what_power_shell_and_others_write(write: Write, encoding: str) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\r\n" for record in RECORDS)
    rows = sampled(write("x.jsonl", text.encode(encoding)))
    assert [row.fields for row in rows] == RECORDS
    assert [json.loads(row.original()) for row in rows] == RECORDS


def test_numbers_that_are_none_read_as_null(write: Write) -> None:
    rows = sampled(write("x.jsonl", '{"id": 1, "p": NaN, "q": [Infinity, -Infinity], "t": "a\tb NaN"}\n{"id": 2}\n'))
    assert rows[0].fields == {"id": 1, "p": None, "q": [None, None], "t": "a\tb NaN"}


def test_half_a_pair_of_surrogates_is_replaced(write: Write) -> None:
    (row,) = sampled(write("x.jsonl", rb'{"t": "a\ud83d b", "\ude00": {"x": ["\ud83d"]}}'))
    assert row.fields == {"t": "a\ufffd b", "\ufffd": {"x": ["\ufffd"]}}


def test_separators_and_marks_around_objects(write: Write) -> None:
    body = '{"id": 1}\n\x1e{"id": 2}\n\ufeff{"id": 3}  \n'
    assert [row.fields for row in sampled(write("x.jsonl", body))] == [{"id": 1}, {"id": 2}, {"id": 3}]


NESTED: dict[str, Any] = {"status": "ok", "data": {"news items": RECORDS}, "tags": ["a"], "more": [[1]]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({"status": "ok", "articles": RECORDS}, indent=2), r"jq -c '\.articles\[\]'"),
        (json.dumps(NESTED, indent=1), r"jq -c '\.data\.\"news items\"\[\]'"),
        (json.dumps(RECORDS), r"jq -c '\.\[\]'"),
        (json.dumps(RECORDS, indent=2), r"jq -c '\.\[\]'"),
        ("[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]", r"jq -c '\.\[\]'"),
        ("\n".join(json.dumps(record, indent=2) for record in RECORDS), r"jq -c \.` writes them"),
        ("".join(map(json.dumps, RECORDS)), r"jq -c \.` writes them"),
        (json.dumps({"text": "x", "n": {"m": 1}}, indent=2), r"jq -c \."),
        ("{\n" + ' "items": [\n' + ",\n".join(map(json.dumps, RECORDS)) + "\n ]\n}", r"jq -c '\.items\[\]'"),
        (json.dumps({"articles": RECORDS}, indent=2).encode("utf-16"), r"jq -c '\.articles\[\]'"),
        (",\n".join(map(json.dumps, RECORDS)) + ",\n", "lines end in commas"),
        ("id,text\n1,Mill\n2,Quarry\n", r"name it \.csv"),
        ("Mill\nQuarry\n", "one JSON object a line"),
        ("1\n2\n", "holds a JSON int"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_refused(write: Write, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        sampled(write("x.json", content))


def test_a_few_bad_lines_refuse_nothing(write: Write) -> None:
    lines = ['{"cut": [', *map(json.dumps, RECORDS), "{oops"]
    assert [row.fields for row in sampled(write("x.jsonl", "\n".join(lines)))] == [None, *RECORDS, None]


def test_packed_files(write: Write) -> None:
    text = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
    assert [row.fields for row in sampled(write("x.jsonl", gzip.compress(text)))] == RECORDS
    assert [
        row.fields for row in sampled(write("y.jsonl.gz", gzip.compress(text.decode().encode("utf-16"))))
    ] == RECORDS
    for name, content, said in (
        ("x.jsonl.gz", gzip.compress(gzip.compress(text)), "gzip within gzip"),
        ("x.jsonl", bz2.compress(text), "bzip2"),
        ("x.parquet", gzip.compress(b"PAR1"), "gunzip"),
        ("x.xlsx", b"PK\x03\x04 [Content_Types].xml", "Excel"),
    ):
        with pytest.raises(InputError, match=said):
            sampled(write(name, content))


def test_where_the_records_of_a_document_stand() -> None:
    assert record_paths('{"a": {"b": [{"c": [{}]}]}, "d": [1], "e": [[{}]], "f": [{}]}') == ([".a.b[]", ".f[]"], False)
    assert record_paths('{"a": "[{ \\" }]"} {"b"') == ([], True)
    assert record_paths("}}]{[[[") == ([], False)


@pytest.mark.timeout(20)
def test_hostile_beginnings_are_looked_at_once() -> None:
    assert foreign_kind(b"<!--a-->" * 500 + b"<1") is None
    for text in ('{"' + '\\"' * 40_000, '{"' + '\\"' * 40_000 + "\\", "{[" * 40_000, '{"a":' * 20_000, '"' * 60_001):
        record_paths(text)
        single_document_advice(text)
