"""GDELT's files: the newest, those missed, and what is wrong with some."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any

import pytest
from aiohttp import web

from ingest.sources.gdelt import Gdelt
from tests.ingest.sources.servers import Handler, Round, read_round, serving


def row(
    id: str, title: str = "Acme &#x2019;warns&#x2019;", themes: str = "TAX_X;ECON_BANKRUPTCY;", more: str = ""
) -> str:
    columns = [""] * 27
    columns[0], columns[1], columns[3], columns[4] = id, "20240305093000", "acme.example", f"https://acme.example/{id}"
    columns[7], columns[14] = themes, "Acme Corp,12;Big Bank,99;Acme Corp,300"
    columns[26] = f"<PAGE_AUTHORS>A. Writer;B. Other</PAGE_AUTHORS><PAGE_TITLE>{title}</PAGE_TITLE>{more}"
    return "\t".join(columns)


def packed(*rows: str, name: str = "table.csv") -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "\n".join(rows) + "\n")
    return body.getvalue()


def folder(latest: str, files: dict[str, bytes], suffix: str = ".gkg.csv.zip") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name in ("lastupdate.txt", "lastupdate-translation.txt"):
            # The addresses in the list are the server's word: a private one in it must not be asked.
            listed = [f"1 a http://169.254.169.254/gdeltv2/{latest}{end}" for end in (".export.CSV.zip", suffix)]
            return web.Response(text="\n".join(listed) + "\n")
        stamp = name.removesuffix(suffix)
        return web.Response(body=files[stamp]) if stamp in files else web.Response(status=404)

    return answer


def read(handler: Handler, cursor: dict[str, Any] | None = None, **options: Any) -> tuple[Round, list[str]]:
    async def scene() -> tuple[Round, list[str]]:
        async with serving({"/v2/{name}": handler}) as server:
            found = await read_round(Gdelt(source="gdelt", url=server.address + "/v2", **options), cursor)
            return found, [path.rpartition("/")[2] for path, *_ in server.asked]

    return asyncio.run(scene())


def test_the_newest_file_first_and_then_every_one_missed() -> None:
    files = {"20240305093000": packed(row("a")), "20240305100000": packed(row("c"), row("d"))}
    first, asked = read(folder("20240305093000", files))
    assert (first.ids, first.cursor, len(asked)) == (["a"], {"file": "20240305093000"}, 2)
    later, asked = read(folder("20240305100000", files), first.cursor)  # 09:45 was left out by GDELT
    assert (later.ids, later.cursor) == (["c", "d"], {"file": "20240305100000"})
    assert asked[1:] == ["20240305094500.gkg.csv.zip", "20240305100000.gkg.csv.zip"]
    again, asked = read(folder("20240305100000", files), later.cursor)
    assert (again.ids, again.failure, len(asked)) == ([], None, 1)
    old, asked = read(folder("20240305100000", files), {"file": "20230101000000"}, most_hours=1.0)
    assert old.ids == ["a", "c", "d"]
    assert len(asked) == 5


@pytest.mark.parametrize(("hours", "ids"), [(0.1, ["c"]), (0.6, ["a", "c"]), (24.0, ["a", "c"])])
def test_files_are_asked_for_by_the_quarter_of_an_hour(hours: float, ids: list[str]) -> None:
    files = {"20240305093000": packed(row("a")), "20240305100000": packed(row("c"))}
    for stored in ("20230101000000", "20240305092200"):  # the latter as a cursor between two files was kept before
        found, asked = read(folder("20240305100000", files), {"file": stored}, most_hours=hours)
        assert (found.ids, found.cursor) == (ids, {"file": "20240305100000"})
        assert all(name[10:14] in ("0000", "1500", "3000", "4500") for name in asked[1:])


def test_a_record_becomes_a_headline() -> None:
    precise = "<PAGE_PRECISEPUBTIMESTAMP>20240305091500</PAGE_PRECISEPUBTIMESTAMP>"
    rows = [row("1", more=precise), row("2", themes="TAX_X"), row("3", title=" "), "too\tfew", row("4")]
    found, _ = read(folder("20240305093000", {"20240305093000": packed(*rows)}))
    assert found.items[0] == {
        "id": "1",
        "title": "Acme ’warns’",
        "published_at": "20240305091500",
        "url": "https://acme.example/1",
        "author": "A. Writer, B. Other",
        "language": "en",
        "extra": {
            "publisher": "acme.example",
            "organizations": ["Acme Corp", "Big Bank"],
            "themes": ["TAX_X", "ECON_BANKRUPTCY", ""],
        },
    }
    assert found.ids == ["1", "4"]
    assert [one.value for one in found.unreadable] == [b"too\tfew\n"]
    everything, _ = read(folder("20240305093000", {"20240305093000": packed(*rows)}), themes=[])
    assert everything.ids == ["1", "2", "4"]


def test_a_large_file_moves_the_cursor_at_its_end_only() -> None:
    rows = [row(str(number)) for number in range(1_200)]
    found, _ = read(folder("20240305093000", {"20240305093000": packed(*rows)}))
    assert found.ids == [str(number) for number in range(1_200)]
    assert [batch.cursor for batch in found.batches] == [None, None, {"file": "20240305093000"}]


def test_files_in_other_languages() -> None:
    suffix = ".translation.gkg.csv.zip"
    files = {"20240305093000": packed(row("1", title="Gewinnwarnung"))}
    found, _ = read(folder("20240305093000", files, suffix), translated=True)
    assert (found.items[0]["title"], found.items[0]["language"]) == ("Gewinnwarnung", None)


TWO = io.BytesIO()
with zipfile.ZipFile(TWO, "w") as two:
    two.writestr("a", "x")
    two.writestr("b", "x")


@pytest.mark.parametrize(
    ("file", "said", "outcome"),
    [
        (b"<html>busy</html>", "can't be unpacked", "unreadable"),
        (packed(row("1"))[:-30], "can't be unpacked", "unreadable"),
        (
            packed(row("1")).replace(b"table.csv", b"table.csv", 1)[:40] + b"\x00" * 60,
            "can't be unpacked",
            "unreadable",
        ),
        (TWO.getvalue(), "not one table", "too-large"),
        (b"x" * 20_000, "more than 10000 bytes", "too-large"),
    ],
    ids=["page", "cut", "garbage", "two", "large"],
)
def test_a_damaged_file_is_told_and_asked_for_again(file: bytes, said: str, outcome: str) -> None:
    assert_refused(file, said, outcome)


def test_a_bomb_is_not_unpacked() -> None:
    assert_refused(packed("x" * 401_000_000), "not one table", "too-large")


def assert_refused(file: bytes, said: str, outcome: str) -> None:
    found, _ = read(
        folder("20240305093000", {"20240305093000": file}), max_bytes=10_000 if said[:4] == "more" else 10**7
    )
    assert found.failure is not None
    assert said in str(found.failure)
    assert found.failure.outcome == outcome
    assert found.cursor == {}


def test_a_newest_file_that_is_not_there_yet_is_waited_for() -> None:
    found, _ = read(folder("20240305093000", {}))
    assert found.failure is not None
    assert found.failure.outcome == "http-error"
    assert found.cursor == {}
    nothing, _ = read(folder("garbage", {}))
    assert "names no file" in str(nothing.failure)
