"""Files that people take home: whole, streamed, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, text

from desk.api import exports
from desk.exports import cell, csv_file, parquet_file
from desk.store.search import Search, search_all
from tests.desk.newsroom import API, BANK, FIRST, PRESENT, get

SPAN = {"from": FIRST.isoformat(), "to": PRESENT.isoformat()}


def table(browser: TestClient, address: str, **parameters: str) -> list[dict[str, str]]:
    answer = browser.get(API + address, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_is_a_formula(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert cell([f"{start}1", "x"]) == f"'{start}1; x"


def test_numbers_and_times_stay_what_they_are() -> None:
    assert [cell(value) for value in (-1.5, 0, None, "a=1")] == [-1.5, 0, "", "a=1"]
    assert cell(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
    assert cell(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


def test_a_file_is_made_piece_by_piece() -> None:
    drawn = []

    def batches() -> object:
        for number in range(3):
            drawn.append(number)
            yield [(number, "x")]

    lines = csv_file(("n", "t"), batches())  # type: ignore[arg-type]
    assert next(lines) == b"n,t\r\n"
    assert drawn == []
    assert next(lines) == b"0,x\r\n"
    assert drawn == [0]


def test_parquet_holds_a_row_group_for_each_batch() -> None:
    schema = pa.schema([("n", pa.int64()), ("t", pa.string())])
    file = b"".join(parquet_file(schema, [[(1, "a"), (2, None)], [(3, "c")]]))
    read = pq.ParquetFile(io.BytesIO(file))
    assert read.num_row_groups == 2
    assert read.read().to_pylist() == [{"n": 1, "t": "a"}, {"n": 2, "t": None}, {"n": 3, "t": "c"}]
    assert pq.read_table(io.BytesIO(b"".join(parquet_file(schema, [])))).num_rows == 0


def test_a_search_is_exported_whole(ann: TestClient, rows: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_BATCH", 100)
    found = table(ann, "/search/export", series=f"entity={BANK}", **SPAN)
    count = "SELECT uid FROM message WHERE :bank = ANY(entities) ORDER BY published_at DESC, uid DESC"
    assert [row["uid"] for row in found] == [str(row.uid) for row in rows.execute(text(count), {"bank": BANK})]
    assert len(found) > 300


def test_parquet_equals_the_rows(ann: TestClient, rows: Connection) -> None:
    answer = ann.get(f"{API}/search/export", params={"format": "parquet", "sentiment": "negative"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    read = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    stored = rows.execute(
        text("SELECT uid::text, title, published_at, entities FROM message WHERE sentiment = 'negative'")
    )
    assert {(row["uid"], row["title"], row["published_at"], tuple(row["entities"])) for row in read} == {
        (row.uid, row.title, row.published_at, tuple(row.entities)) for row in stored
    }


def test_a_hostile_cell_is_disarmed(ann: TestClient) -> None:
    (row,) = table(ann, "/search/export", q="HYPERLINK")
    assert row["text"].startswith("'=HYPERLINK")
    assert row["title"] == "<script>alert(1)</script>"


def test_stories_are_exported_whole(ann: TestClient, rows: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_BATCH", 64)
    found = table(ann, "/stories/export", series="topic=Earnings", **SPAN)
    stored = rows.execute(text("SELECT story FROM story_series WHERE kind = 'topic' AND name = 'Earnings'"))
    assert sorted(row["id"] for row in found) == sorted(str(row.story) for row in stored)


def test_views_are_exported_as_they_are_shown(ann: TestClient) -> None:
    heat = get(ann, "/mood/heat", kind="entity")
    cells = table(ann, "/mood/heat/export", kind="entity")
    assert len(cells) == len(heat["rows"]) * len(heat["times"])
    assert [int(row["negative"]) for row in cells] == [n for row in heat["rows"] for n in row["negative"]]
    movers = get(ann, "/mood/movers")["items"]
    assert [row["surprise"] for row in table(ann, "/mood/movers/export")] == [str(each["surprise"]) for each in movers]
    course = get(ann, "/series/topic/Energy | Oil")
    steps = table(ann, "/series/topic/Energy | Oil/export")
    assert [row["time"] for row in steps] == course["times"]
    assert [int(row["messages"]) for row in steps] == course["messages"]


def test_a_search_is_read_through_a_cursor_of_the_server(newsroom: None, engine: Engine) -> None:
    with engine.connect() as connection:
        batches = cast(
            Generator[list[object]], search_all(connection, Search("", (), FIRST, PRESENT + timedelta(days=1)), 50)
        )
        assert len(next(batches)) == 50
        open_cursors = connection.execute(text("SELECT count(*) AS n FROM pg_cursors WHERE name <> ''")).one().n
        assert open_cursors == 1
        batches.close()


def test_exports_wait_for_each_other(ann: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_PATIENCE_S", 0.01)
    taken = [exports._slots.acquire(blocking=False) for _ in range(3)]
    try:
        assert taken == [True] * 3
        answer = ann.get(f"{API}/search/export")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "10"
    finally:
        for _ in taken:
            exports._slots.release()
    assert ann.get(f"{API}/search/export").status_code == 200
