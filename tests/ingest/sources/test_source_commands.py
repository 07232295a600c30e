"""`newstide sources` and `newstide ingest check`, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from newstide.cli import newstide
from tests.ingest.sources.servers import Handler, Server, answering, sending, serving, socket_address

Write = Callable[[str, str | bytes], Path]

RSS = (
    '<rss version="2.0"><channel><title>t</title>'
    "<item><title>Acme warns on profit again</title><guid>1</guid>"
    "<pubDate>Tue, 05 Mar 2024 09:30:00 GMT</pubDate></item>"
    "<item><title>Beta rises</title><guid>2</guid><pubDate>some day</pubDate></item>"
    "<item><guid>3</guid></item></channel></rss>"
)
PAGE = '<html><head><title>Desk</title><link rel="alternate" type="application/rss+xml" href="/rss"></head></html>'


def text(body: str, kind: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type=kind)

    return answer


ROUTES: Mapping[str, Handler] = {
    "/rss": text(RSS, "application/rss+xml"),
    "/page": text(PAGE, "text/html"),
    "/list": answering([{"t": "Oil falls", "at": "2024-03-05T09:30:00Z"}, {"t": "Gold", "at": "?"}, {"x": 1}]),
    "/ws": sending([]),
}


@pytest.fixture
def server() -> Iterator[Server]:
    """A server in a thread of its own, since the command has its own event loop."""
    ready = threading.Event()
    found: list[Server] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving(ROUTES) as running:
            found.append(running)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def listing(server: Server) -> str:
    return f"""
[[feed]]
source = "Good"
url = "{server.address}/rss"

[[feed]]
source = "Page"
url = "{server.address}/page"

[[source]]
type = "json"
source = "List"
url = "{server.address}/list"
map = {{ text = "t?", published_at = "at?" }}
words = ["oil", "gold"]

[[source]]
type = "websocket"
source = "Stream"
url = "{socket_address(server, "/ws")}"
map = {{ text = "t" }}
"""


def test_check_shows_what_each_gives_and_sends_nothing(
    server: Server, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write("feeds.toml", listing(server))
    done = CliRunner().invoke(newstide, ["ingest", "check", "--json"])
    assert done.exit_code == 1
    good, page, listed, stream = json.loads(done.stdout)
    assert (good["well"], good["messages"], good["unreadable"], good["times_unread"]) == (True, 2, 1, 1)
    assert good["newest"] == "2024-03-05T09:30:00+00:00"
    assert good["languages"]["en"] >= 1
    assert good["examples"] == ["Beta rises", "Acme warns on profit again"]
    assert (page["well"], page["messages"]) == (False, 0)
    assert f"it names its feed: {server.address}/rss" in page["error"]
    assert (listed["type"], listed["messages"], listed["times_unread"], listed["unreadable"]) == ("json", 2, 1, 1)
    assert "closed the stream" in stream["error"]
    assert list(tmp_path.iterdir()) == [path]

    shown = CliRunner().invoke(newstide, ["ingest", "check", str(path)])
    assert shown.exit_code == 1
    assert "unreadable: fields `text` and `title` are both empty" in shown.stdout
    assert "“Acme warns on profit again”" in shown.stdout

    write("feeds.toml", listing(server).partition('[[feed]]\nsource = "Page"')[0])
    assert CliRunner().invoke(newstide, ["ingest", "check"]).exit_code == 0


def test_check_shows_no_key_of_an_address(
    server: Server, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = "?api_token=S3cr3t-1&clientSecret=S3cr3t-2&desk=markets"
    write("feeds.toml", listing(server).replace('/rss"', f'/rss{secret}"').replace('/page"', f'/page{secret}"'))
    for options in ([], ["--json"]):
        done = CliRunner().invoke(newstide, ["ingest", "check", *options])
        assert "S3cr3t" not in done.output
        assert "/rss?api_token=***&clientSecret=***&desk=markets" in done.output


def test_sources_are_listed_with_their_settings() -> None:
    shown = CliRunner().invoke(newstide, ["sources"]).stdout
    for line in (
        "bluesky (newstide): Posts on Bluesky through a Jetstream instance",
        "  https://docs.joinmastodon.org/methods/streaming/",
        "  contact = (required): Who asks, with an address of mail",
        '  forms = ["8-K"]: Which forms',
    ):
        assert line in shown, line
    one, two = json.loads(CliRunner().invoke(newstide, ["sources", "gdelt", "json", "--json"]).stdout)
    assert one["type"] == "gdelt"
    assert {"name": "translated", "default": "false"}.items() <= one["settings"][1].items()
    assert [setting["name"] for setting in two["settings"][:2]] == ["map", "url"]
