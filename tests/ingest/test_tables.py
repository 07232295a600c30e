"""Tables as programs export them. All contents are inventions."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.csv_layout import find_layout
from core.csv_values import Misfit, RecordFormat
from core.errors import InputError
from core.readers import ReadOptions, Row, open_records, sample_rows

Write = Callable[[str, str | bytes], Path]
COLUMNS = ("id", "text", "date")


def read(path: Path, **options: Any) -> list[Row]:
    file = open_records(path, options=ReadOptions(**{"columns": COLUMNS, **options}))
    try:
        return list(file.rows())
    finally:
        file.close()


def values(rows: list[Row], name: str = "text") -> list[Any]:
    assert all(row.fields is not None for row in rows), [row.reason for row in rows]
    return [row.fields[name] for row in rows if row.fields]


def test_a_stray_quote_does_not_swallow_rows(write: Write) -> None:
    lines = [
        "id\tdate\ttext",
        '1\t2023-05-09\t"Mill up on orders',
        "2\t2023-05-09\tQuarry steady",
        '3\t2023-05-10\tthey call the mine a sell"',
        '4\t2023-05-10\t"Harbour" strikes again',
        '5\t2023-05-11\t"Ferry sails"',
        '6\t2023-05-11\tTen inches (10") of rain',
    ]
    assert values(read(write("x.tsv", "\n".join(lines)))) == [
        '"Mill up on orders',
        "Quarry steady",
        'they call the mine a sell"',
        '"Harbour" strikes again',
        "Ferry sails",
        'Ten inches (10") of rain',
    ]
    commas = "\n".join(line.replace("\t", ",") for line in lines)
    assert len(values(read(write("x.csv", commas)))) == 6
    assert values(read(write("y.tsv", "\n".join(lines)), quoting="none"))[4] == '"Ferry sails"'


def test_a_row_that_fits_badly_does_not_hide_stray_quotes(write: Write) -> None:
    body = [f"{n}\t2023-05-09\tNote {n}" for n in range(1, 300)]
    body[0] = '1\t2023-05-09\t"Note 1'
    body[100] = "broken"
    body[-1] += '"'
    rows = read(write("x.tsv", "\n".join(["id\tdate\ttext", *body])))
    assert len(rows) == 299
    assert [row.number for row in rows if row.fields is None] == [102]


def test_texts_over_several_lines_stay_whole(write: Write) -> None:
    text = (
        'id,date,text\n1,2023-05-09,"First line\nHowever, analysts said, the mill rose\nlast ""word"""\n2,2023-05-09,b'
    )
    assert values(read(write("x.csv", text))) == [
        'First line\nHowever, analysts said, the mill rose\nlast "word"',
        "b",
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('1,"He said ""buy"", twice",d', 'He said "buy", twice'),
        (r'1,"He said \"buy\", twice",d', 'He said "buy", twice'),
        ('1, "quoted, behind a space",d', "quoted, behind a space"),
        ('1,"Buy" says the mill,d', '"Buy" says the mill'),
        ('1,5" rims,d', '5" rims'),
        ('1,"",d', ""),
    ],
)
def test_quotes_as_people_write_them(write: Write, line: str, text: str) -> None:
    assert values(read(write("x.csv", f"id,text,date\n{line}\n"))) == [text]


@pytest.mark.parametrize(
    "content",
    [
        "id;text;date;;\r\n1;Mill up;2023-05-09;;\r\n",
        "id,text,date,\n1,Mill up,2023-05-09\n",
        "id;text;date\n1;Mill up;2023-05-09;\n",
        "id;text;date\n1;Mill up;2023-05-09;;; \n",
        "sep=;\nid;text;date\n1;Mill up;2023-05-09\n",
        '"sep=|"\r\nid|text|date\r\n1|Mill up|2023-05-09\r\n',
        "\n\nid,text,date\n1,Mill up,2023-05-09\n",
        "# exported by a desk, 3 rows\nid,text,date\n1,Mill up,2023-05-09\n",
        "Report; all news\nCreated: 2023-05-10\n\nid;text;date\n1;Mill up;2023-05-09\n",
        ",id,text,date\n0,1,Mill up,2023-05-09\n",
        "id,text,,date\n1,Mill up,x,2023-05-09\n",
        "id,text,date,note,note\n1,Mill up,2023-05-09,a,b\n",
        '"id" , "text" , "date"\n1,Mill up,2023-05-09\n',
        "id\rid".replace("id\rid", "id,text,date\r1,Mill up,2023-05-09\r"),
        "id,text,date\r\r\n1,Mill up,2023-05-09\r\r\n",
        "\ufeffid,text,date\n1,Mill up,2023-05-09",
    ],
)
def test_headers_and_blank_columns(write: Write, content: str) -> None:
    (row,) = read(write("x.csv", content))
    assert row.fields is not None, row.reason
    assert {name: row.fields[name] for name in COLUMNS} == {"id": "1", "text": "Mill up", "date": "2023-05-09"}


def test_ragged_rows_are_bad_rows_each(write: Write) -> None:
    rows = read(write("x.csv", "id,text,date,\n1,a\n2,b,c,d\n3,c,2023-05-09\n4,,,\n"))
    assert [row.fields is None for row in rows] == [True, True, False, False]
    assert rows[0].reason == "the row has 2 values; the header names 3 columns"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1,Mill up,2023-05-09\n2,Quarry,2023-05-10\n", "put a line with the names"),
        ("\n\n\n", "blank"),
        (",,,\n1,2,3,4\n", "no column has a name"),
        ("id,text,text\n1,a,b\n", "names a column twice: text"),
        ('{"id": 1, "text": "x"}\n', "holds JSON"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        ('<?xml version="1.0"?><rss version="2.0"></rss>', "RSS"),
        (b"PK\x03\x04...xl/workbook.xml", "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"PAR1xxxx", "Parquet"),
        (b"\x28\xb5\x2f\xfd0000", "zstd"),
    ],
)
def test_what_is_no_table_is_named(write: Write, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(write("x.csv", content))


def test_a_table_of_which_nothing_fits_is_refused(write: Write) -> None:
    path = write("x.csv", "id,text,date\n1|a|b\n2|a|b\n")
    file = open_records(path)
    with pytest.raises(InputError, match=r"none of its first 2 records .*--delimiter"):
        sample_rows(file, path)
    file.close()


def test_tables_put_one_behind_the_other(write: Write) -> None:
    part = "\ufeffid,text,date\n{},Mill up,2023-05-09\n"
    rows = read(write("x.csv", part.format(1) + part.format(2)))
    assert [row.reason for row in rows] == ["", "the line repeats the header", ""]


def test_options_are_checked(write: Write) -> None:
    path = write("x.csv", "id::text\n1::a\n")
    for options, said in (({"delimiter": "::"}, "--delimiter"), ({"encoding": "klingon"}, "klingon")):
        with pytest.raises(InputError, match=said):
            open_records(path, options=ReadOptions(**options))
    assert values(read(write("y.csv", "id~text\n1~a,b\n"), delimiter="~")) == ["a,b"]
    assert values(read(write("z.csv", "id\ttext\n1\ta\n"), delimiter="tab")) == ["a"]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gb18030", "shift_jis", "euc_kr"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(write: Write, encoding: str, end: str) -> None:
    texts = {
        "gb18030": "面包厂上调全年利润预期，股价上涨，分析师认为需求强劲",
        "shift_jis": "製パン会社が通期の利益予想を上方修正、株価は上昇した",
        "euc_kr": "제빵 회사가 연간 이익 전망을 상향 조정했다",
    }
    text = texts.get(encoding, "Die Bäckerei erhöht ihre Prognose für das Jahr; Aktie über Vorjahr größer")
    lines = ["id,text,date", *(f"{n},{text},2023-05-09" for n in range(20))]
    content = (end.join(lines) + end).encode(encoding)
    rows = read(write("x.csv", content))
    assert values(rows) == [text] * 20
    assert not any(row.replaced for row in rows)


def test_evidence_of_an_encoding_may_come_late(write: Write) -> None:
    plain = "".join(f"{n},Nothing new at the mill today,2023-05-09\n" for n in range(5_000))
    late = "9,Le café brûle à la Défense; l'élève préfère être payé,2023-05-09\n" * 20
    rows = read(write("x.csv", b"id,text,date\n" + plain.encode() + late.encode("cp1252")))
    assert len(rows) == 5_020
    assert rows[-1].fields is not None
    assert "café brûle à la Défense" in rows[-1].fields["text"]


def test_a_stated_encoding_overrules(write: Write) -> None:
    path = write("x.csv", "id,text\n1,Žluťoučký kůň\n".encode("cp1250"))
    assert values(read(path, encoding="windows-1250")) == ["Žluťoučký kůň"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), max_size=12),
            min_size=3,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_records_of_the_standard_are_read_as_the_standard_says(records: list[list[str]]) -> None:
    for delimiter in (",", "\t"):
        layout = RecordFormat(("a", "b", "c"), delimiter)
        for record in records:
            out = io.StringIO()
            csv.writer(out, delimiter=delimiter, lineterminator="").writerow(record)
            assert list(layout.fields(out.getvalue()).values()) == record


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(['"', '""', ",", "\t", "a", "1", " ", "\\", "\n", ";", "é"]), max_size=25).map("".join))
def test_any_text_fits_or_is_explained(text: str) -> None:
    layout = RecordFormat(("a", "b", ""), ",")
    layout.leaves_open(text, True)
    layout.shape(text)
    with suppress(Misfit):
        assert set(layout.fields(text)) == {"a", "b"}
    with suppress(InputError):
        find_layout(text.split("\n"), ("a",))
