"""What can be said of a source in feeds.toml, and how a package brings one of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError
from ingest.feeds_file import load_feeds_file
from ingest.sources.registry import provider, source_type, type_names, type_of

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
        (JSON + MAP + 'headers = { A = "ключ" }', "`headers`: names and values of headers are plain"),
        (JSON.replace("https://e.com", "ftp://e.com") + MAP, "expected http"),
        ('[[source]]\ntype = "websocket"\nsource = "a"\nurl = "https://e.com"\n' + MAP, "expected ws"),
        (EDGAR, "`contact` is missing .Who asks, with an address of mail"),
        (EDGAR + 'contact = "nobody"', "`contact` is 'nobody'"),
        (EDGAR + 'contact = "A a@b.c"\nforms = []', "`forms` is"),
        ('[[source]]\ntype = "reddit"\nsource = "a"\nsubreddits = ["a/../b"]', r"`subreddits.0` is 'a/../b'"),
        ('[[source]]\ntype = "mastodon"\nsource = "a"\nurl = "https://e.com"\ntag = "a/b"', "`tag` is 'a/b'"),
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


PACKAGE = '''
from collections.abc import AsyncGenerator
from ingest.sources.interface import Batch, Cursor, Source, WebAddress
from ingest.sources.session import Session

class Ticker(Source):
    """Lines of a plain text file on the web."""

    url: WebAddress
    """Address of the file."""

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        document = await session.get(self.url, if_changed=True)
        lines = document.content.decode().splitlines() if document else []
        read = int(cursor.get("lines", 0))
        items = [{"id": str(number), "text": line} for number, line in enumerate(lines) if number >= read]
        yield Batch(items, {"lines": max(read, len(lines))})
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with two sources, one of which can't be loaded."""
    site = tmp_path / "site"
    info = site / "newstide_ticker-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "newstide_ticker.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: newstide-ticker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[newstide.sources]\nticker = newstide_ticker:Ticker\nbroken = newstide_ticker:Missing\nnone = json:dumps\n"
    )
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
