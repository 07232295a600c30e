"""What can be said of a source in feeds.toml, and how a package brings one of its own."""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from core.errors import InputError
from ingest.feeds_file import load_feeds_file
from ingest.sources.registry import provider, source_type, type_names, type_of
from tests.ingest.sources.servers import Round, answering, read_round, serving

Write = Callable[[str, str | bytes], Path]
DOCS = Path(__file__).parents[3] / "docs" / "sources.md"

JSON = '[[source]]\ntype = "json"\nsource = "a"\nurl = "https://e.com"\n'
MAP = 'map = { text = "body" }\n'
EDGAR = '[[source]]\ntype = "edgar"\nsource = "a"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[source]\ntype = "json"', r"write \[\[source\]\] with two brackets"),
        ('[[source]]\nsource = "a"', "`type` is None; expected one of json, websocket, bluesky"),
        ('[[source]]\ntype = "jsn"\nsource = "a"', "no source is of the type `jsn`; did you mean `json`"),
        (JSON, "`map` is missing .Where each field of a message stands"),
        (JSON + 'map = { id = "id" }', "neither `text` nor `title` is filled"),
        (JSON + 'map = { txt = "id", title = "t" }', "a message has no field `txt`; did you mean `text`"),
        (JSON + MAP + "intervall_s = 5", "unknown key `intervall_s`; did you mean `interval_s`"),
        (JSON + MAP + "interval_s = 0.5", "`interval_s` is 0.5"),
        (JSON + MAP + 'time_zone = "Mars"', "'Mars' is not known"),
        (JSON + MAP + 'headers = { A = " key" }', "`headers`: names and values of headers are plain"),
        (JSON + MAP + 'headers = { A = "ключ" }', "`headers`: names and values of headers are plain"),
        (JSON.replace("https://e.com", "ftp://e.com") + MAP, "expected http"),
        ('[[source]]\ntype = "websocket"\nsource = "a"\nurl = "https://e.com"\n' + MAP, "expected ws"),
        (EDGAR, "`contact` is missing .Who asks, with an address of mail"),
        (EDGAR + 'contact = "nobody"', "`contact` is 'nobody'"),
        (EDGAR + 'contact = "A a@b.c"\nforms = []', "`forms` is"),
        ('[[source]]\ntype = "reddit"\nsource = "a"\nsubreddits = ["a/../b"]', r"`subreddits.0` is 'a/../b'"),
        ('[[source]]\ntype = "mastodon"\nsource = "a"\nurl = "https://e.com"\ntag = "a/b"', "`tag` is 'a/b'"),
        (
            '[[source]]\ntype = "mastodon"\nsource = "a"\nurl = "https://e.com"\nstreaming_url = "e.com"',
            "`streaming_url` is 'e.com': expected https",
        ),
        ('[[source]]\ntype = "bluesky"\nsource = " "', "`source` is ' '"),
        (JSON + MAP + '[[feed]]\nsource = "A"\nurl = "https://e.com"', "two feeds have the source `A` and `a`"),
    ],
)
def test_faults_are_named(write: Write, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_feeds_file(write("f.toml", text))


def test_keys_of_headers_stay_out_of_error_messages(write: Write) -> None:
    with pytest.raises(InputError) as refused:
        load_feeds_file(write("f.toml", JSON + MAP + 'headers = { Authorization = "sécret" }'))
    assert "cret" not in str(refused.value)


def test_the_slowest_of_feeds_and_sources_counts_for_lateness(write: Write) -> None:
    text = JSON + MAP + 'interval_s = 900\n[[feed]]\nsource = "b"\nurl = "https://e.com"\n'
    assert load_feeds_file(write("f.toml", text)).longest_interval_s == 900


def test_words_are_found_whole_in_latin_and_anywhere_in_han(write: Write) -> None:
    text = JSON + MAP + 'words = ["oil", "中国石油", "S&P 500"]'
    (source,) = load_feeds_file(write("f.toml", text)).sources
    wanted = ["Oil falls", "crude-oil", "昨日中国石油股价", "The s&p 500 is up"]
    others = ["Turmoil", "oils", "中国", "S&P", ""]
    assert [source.wants({"title": text}) for text in wanted + others] == [True] * 4 + [False] * 5
    assert source.wants({"title": None, "text": "oil"})


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of the documentation, installed, and two sources in it that are of no use."""
    site = tmp_path / "site"
    info = site / "newstide_ticker-1.0.dist-info"
    info.mkdir(parents=True)
    (code,) = blocks("python")
    (site / "newstide_ticker.py").write_text(code)
    (project,) = (tomllib.loads(block) for block in blocks("toml") if "[project]" in block)
    name, version = project["project"]["name"], project["project"]["version"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["project"]["entry-points"]["newstide.sources"]
    points |= {"broken": "newstide_ticker:Missing", "none": "json:dumps"}
    listed = "\n".join(f"{name} = {value}" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[newstide.sources]\n{listed}\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("newstide_ticker", None)


@pytest.mark.usefixtures("package")
def test_a_package_brings_its_own_source(write: Write) -> None:
    assert type_names()[-3:] == ["broken", "none", "ticker"]
    assert provider("ticker") == "newstide-ticker"
    text = '[[source]]\ntype = "ticker"\nsource = "Ticker"\nurl = "https://e.com/ticks.txt"\n'
    (source,) = load_feeds_file(write("f.toml", text)).sources
    assert type_of(source) == "ticker"

    async def scene() -> tuple[Round, Round]:
        lines = answering(
            web.Response(body=b"Acme warns\nBeta rises\n"), web.Response(body=b"Acme warns\nBeta rises\n\nC")
        )
        async with serving({"/ticks": lines}) as server:
            here = source.model_copy(update={"url": server.address + "/ticks"})
            first = await read_round(here)
            return first, await read_round(here, first.cursor)

    first, second = asyncio.run(scene())
    assert [item["text"] for item in first.items] == ["Acme warns", "Beta rises"]
    assert (second.items, second.cursor) == ([{"id": "3", "text": "C"}], {"lines": 4})
    with pytest.raises(InputError, match=r"`url` is missing \(Address of the file"):
        load_feeds_file(write("g.toml", text.rpartition("url")[0]))
    with pytest.raises(InputError, match=r"`broken` of newstide-ticker can't be loaded .AttributeError"):
        source_type("broken")
    with pytest.raises(InputError, match=r"is no subclass of ingest.sources.interface.Source"):
        source_type("none")


def test_every_type_is_explained() -> None:
    for name in type_names():
        kind = source_type(name)
        assert kind.documentation.startswith("https://"), name
        for key, field in kind.model_fields.items():
            assert field.description, f"{name}.{key}"


@pytest.mark.usefixtures("package")
def test_what_the_documentation_shows_is_valid(write: Write) -> None:
    shown = [block for block in blocks("toml") if "[[source]]" in block]
    listed = load_feeds_file(write("f.toml", "\n".join(shown)))
    assert {type_of(source) for source in listed.sources} == set(type_names()) - {"broken", "none"}
