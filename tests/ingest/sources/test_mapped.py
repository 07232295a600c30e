"""JSON that the user describes: polled, and over a websocket."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from ingest.fetching import FetchFailed
from ingest.sources.interface import Batch
from ingest.sources.json_endpoint import JsonEndpoint
from ingest.sources.session import Network, Session
from ingest.sources.websocket import WebSocket
from tests.ingest.sources.servers import Round, answering, read_round, sending, serving, socket_address

MAP = {"id": "uid", "title": "head.line", "published_at": "at", "kind": "@comment", "extra.rank": "rank?"}


def story(number: int, **more: Any) -> dict[str, Any]:
    return {"uid": f"n{number}", "head": {"line": f"Story {number}"}, "at": f"2024-03-0{number}T09:30:00", **more}


def endpoint(address: str, **options: Any) -> JsonEndpoint:
    return JsonEndpoint(source="wire", **{"url": address + "/list", "map": MAP, "items": "data.stories"} | options)


def test_fields_are_read_where_the_map_says() -> None:
    async def scene() -> Round:
        page = {"data": {"stories": [story(1, rank=7), story(2)]}}
        async with serving({"/list": answering(page)}) as server:
            return await read_round(endpoint(server.address, time_zone="America/New_York"))

    found = asyncio.run(scene())
    assert found.items[0] == {
        "id": "n1",
        "title": "Story 1",
        "published_at": datetime(2024, 3, 1, 14, 30, tzinfo=UTC),
        "kind": "comment",
        "extra": {"rank": 7},
    }
    assert found.ids == ["n1", "n2"]


def test_the_next_round_asks_behind_the_last() -> None:
    async def scene() -> tuple[Round, Round, list[dict[str, str]]]:
        pages = [{"data": {"stories": [story(2), story(1)]}}, {"data": {"stories": [story(3)]}}]
        async with serving({"/list": answering(*pages)}) as server:
            source = endpoint(
                server.address, url=server.address + "/list?key=k#top", cursor="at", cursor_parameter="since"
            )
            first = await read_round(source)
            return first, await read_round(source, first.cursor), server.queries()

    first, second, asked = asyncio.run(scene())
    assert first.cursor["last"] == "2024-03-02T09:30:00"
    assert second.cursor["last"] == "2024-03-03T09:30:00"
    assert asked == [{"key": "k"}, {"key": "k", "since": "2024-03-02T09:30:00"}]


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ([9, 10, 8], 10),
        (["9", "10", "8"], "10"),
        (["900719925474099301", "900719925474099302"], "900719925474099302"),
        (["2024-01-02T00:00:00Z", "2024-01-02T00:00:00+05:00"], "2024-01-02T00:00:00Z"),
        (["2024-01-02", "2999-01-01"], "2024-01-02"),
        ([None, True, "", {"a": 1}, 5], 5),
    ],
)
def test_the_highest_value_is_the_cursor(values: list[Any], last: Any) -> None:
    source = endpoint("http://e.com", cursor="seq")
    assert source.later({}, [{"seq": value} for value in values] + ["no object"]) == {"last": last}


def test_pages_are_followed_to_what_is_known() -> None:
    def pages(query: Any) -> Any:
        number = int(query.get("page", "1"))
        return {"data": {"stories": [story(10 - number)]}, "more": str(number + 1) if number < 9 else None}

    async def scene(cursor: dict[str, Any], known: set[str], **options: Any) -> Round:
        async with serving({"/list": answering(pages)}) as server:
            source = endpoint(server.address, next="more", next_parameter="page", **options)
            return await read_round(source, cursor, known=known)

    assert asyncio.run(scene({}, set())).ids == ["n9"]
    later = asyncio.run(scene({"begun": True}, {"n6"}))
    assert later.ids == ["n9", "n8", "n7", "n6"]
    open_round = {"begun": True, "unfinished": True}
    assert [batch.cursor for batch in later.batches] == [*[open_round] * 3, {"begun": True}]
    # A round that broke off: the pages that were sent then hide none of those below them.
    resumed = asyncio.run(scene(open_round, {"n9", "n8", "n7"}))
    assert resumed.ids == [f"n{number}" for number in range(9, 0, -1)]
    assert resumed.cursor == {"begun": True}
    assert asyncio.run(scene({"begun": True}, set(), most_pages=2)).ids == ["n9", "n8"]


def test_a_page_without_anything_wanted_ends_nothing() -> None:
    """The cursor moves on behind all that was read, so what lies behind such a page would be lost."""

    def pages(query: Any) -> Any:
        number = int(query.get("page", "1"))
        wanted = {"type": "news"} if number in (1, 4) else {"type": "advert"}
        return {"data": {"stories": [story(number, **wanted)]}, "more": str(number + 1) if number < 4 else None}

    async def scene(**options: Any) -> Round:
        async with serving({"/list": answering(pages)}) as server:
            source = endpoint(
                server.address, next="more", next_parameter="page", where={"type": "news"}, cursor="at", **options
            )
            return await read_round(source, {"begun": True, "last": "2024-03-01T00:00:00"})

    for options in ({}, {"cursor_parameter": "since"}):
        found = asyncio.run(scene(**options))
        assert found.ids == ["n1", "n4"]
        assert found.cursor["last"] == "2024-03-04T09:30:00"


def test_what_a_cursor_asks_for_is_read_to_its_end() -> None:
    """A day is asked for again as long as it lasts, and begins with what is known."""

    def pages(query: Any) -> Any:
        number = int(query.get("page", "1"))
        return {"data": {"stories": [story(number, day="2024-03-05")]}, "more": str(number + 1) if number < 4 else None}

    async def scene() -> Round:
        async with serving({"/list": answering(pages)}) as server:
            source = endpoint(
                server.address, next="more", next_parameter="page", cursor="day", cursor_parameter="since"
            )
            return await read_round(source, {"begun": True, "last": "2024-03-05"}, known={"n1", "n2", "n3"})

    assert asyncio.run(scene()).ids == ["n1", "n2", "n3", "n4"]


def test_behind_a_cursor_a_page_without_records_is_the_last_whatever_token_it_has() -> None:
    def pages(query: Any) -> Any:
        return {"data": {"stories": [] if "page" in query else [story(5)]}, "more": "scroll"}

    async def scene() -> tuple[Round, int]:
        async with serving({"/list": answering(pages)}) as server:
            source = endpoint(server.address, next="more", next_parameter="page", cursor="at", cursor_parameter="since")
            found = await read_round(source, {"begun": True, "last": "2024-03-04T09:30:00"})
            return found, len(server.asked)

    found, asked = asyncio.run(scene())
    assert found.ids == ["n5"]
    assert found.cursor == {"begun": True, "last": "2024-03-05T09:30:00"}
    assert asked == 2


@pytest.mark.parametrize(
    ("answer", "said", "outcome"),
    [
        ({"data": {"items": []}}, 'has nothing at `items = "data.stories"`; it has: data', "unreadable"),
        ({"data": {"stories": "none"}}, "no list of items", "unreadable"),
        ({"data": {"stories": [{"uid": "1", "headline": "x"}]}}, r"no column `head.line`", "unreadable"),
        (web.Response(body=b"<html>Log in</html>"), "answered no JSON", "unreadable"),
        (web.Response(body=b"[" * 100_000), "answered no JSON", "unreadable"),
        (web.Response(status=500), "answered 500", "http-error"),
        (web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), "private address", "redirect"),
        (web.Response(status=302, headers={"Location": "file:///etc/passwd"}), "not followed", "redirect"),
        (web.Response(body=b"x" * 10_000_001), "more than 10000000 bytes", "too-large"),
    ],
)
def test_what_is_no_list_is_told(answer: Any, said: str, outcome: str) -> None:
    async def scene() -> Round:
        async with serving({"/list": answering(answer)}) as server:
            return await read_round(endpoint(server.address))

    failure = asyncio.run(scene()).failure
    assert failure is not None
    assert failure.outcome == outcome
    assert said in str(failure)


def test_an_item_that_is_none_becomes_a_letter_and_the_others_are_read() -> None:
    stories = [story(1), 7, {"uid": "2"}, story(3, type="advert"), story(4)]

    async def scene() -> Round:
        async with serving({"/list": answering({"data": {"stories": stories}})}) as server:
            return await read_round(endpoint(server.address))

    found = asyncio.run(scene())
    assert found.ids == ["n1", "n3", "n4"]
    assert [(one.value, one.reason) for one in found.unreadable] == [
        (b"7", "the item is a JSON int, no object"),
        (b'{"uid":"2"}', "the item has neither text nor title; no column `head.line` in this record, which has `uid`"),
    ]


def test_a_limit_that_is_used_up_is_waited_for() -> None:
    async def scene(**headers: str) -> float:
        async with serving({"/list": answering({"data": {"stories": []}}, **headers)}) as server:
            source = endpoint(server.address, next="more", next_parameter="page")
            async with asyncio.timeout(10):
                first, second = await two_rounds(source)
            assert first.failure is None
            assert second.failure is not None
            assert len(server.asked) == 1
            return second.failure.retry_after_s

    assert 890 < asyncio.run(scene(X_RateLimit_Remaining="0", X_RateLimit_Reset="900")) <= 900
    moment = datetime.fromtimestamp(int(datetime.now(UTC).timestamp()) + 600, UTC)
    assert 590 < asyncio.run(scene(X_RateLimit_Remaining="0", X_RateLimit_Reset=moment.isoformat())) <= 601
    assert 590 < asyncio.run(scene(RateLimit_Remaining="0.0", RateLimit_Reset=str(int(moment.timestamp())))) <= 601


async def two_rounds(source: JsonEndpoint) -> tuple[Round, Round]:
    rounds = []
    async with Network(10_000_000) as network:
        session = Session(network, {}, apart_s=0)
        for _ in range(2):
            found = Round()
            try:
                found.batches = [batch async for batch in source.batches(session, {})]
            except FetchFailed as error:
                found.failure = error
            rounds.append(found)
    return rounds[0], rounds[1]


def test_a_websocket_is_read_over_disconnects() -> None:
    said: list[str] = []

    async def greeting(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        said.append(await socket.receive_str())
        seq = int(request.query.get("from", "0"))
        await socket.send_str('{"type": "hello"}')
        for number in range(seq, seq + 3):
            await socket.send_json(story(number % 9 + 1, seq=number + 1, type="news"))
        await socket.send_bytes(b"\xff{not json")
        await socket.close()
        return socket

    async def scene() -> tuple[Round, Round, list[dict[str, str]]]:
        async with serving({"/ws": greeting}) as server:
            source = WebSocket(
                source="wire",
                url=socket_address(server, "/ws?key=k"),
                map=MAP,
                where={"type": "news"},
                say=['{"subscribe": "news"}'],
                cursor="seq",
                cursor_parameter="from",
            )
            first = await read_round(source)
            return first, await read_round(source, first.cursor), server.queries()

    first, second, asked = asyncio.run(scene())
    assert first.ids == ["n1", "n2", "n3"]
    assert second.ids == ["n4", "n5", "n6"]
    assert said == ['{"subscribe": "news"}'] * 2
    assert asked == [{"key": "k"}, {"key": "k", "from": "3"}]
    assert first.batches[0] == Batch()
    assert [one.value for one in first.unreadable] == [b"\xff{not json"]
    assert first.failure is not None
    assert first.failure.outcome == "closed"


def test_a_websocket_of_a_public_name_is_not_looked_for_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: asyncio.BaseEventLoop, host: str, *rest: Any, **options: Any) -> Any:
        return await real(self, "127.0.0.1" if host == "ws.example.com" else host, *rest, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    async def scene() -> tuple[Round, Round, int]:
        async with serving({"/ws": sending(['{"id": "1", "text": "x"}'])}) as server:
            address = socket_address(server, "/ws").replace("127.0.0.1", "ws.example.com")
            rounds = [
                await read_round(WebSocket(source="wire", url=address, map=MAP, private=private))
                for private in (False, True)
            ]
            return rounds[0], rounds[1], len(server.asked)

    refused, opened, asked = asyncio.run(scene())
    assert refused.failure is not None
    assert "private address 127.0.0.1" in str(refused.failure)
    assert opened.failure is not None
    assert "closed the stream" in str(opened.failure)
    assert asked == 1


@pytest.mark.parametrize(
    ("handler", "said", "outcome"),
    [
        (answering(web.Response(status=401)), "answered 401 and no websocket", "http-error"),
        (answering(web.Response(status=200)), "answered 200 and no websocket", "http-error"),
        (answering(web.Response(status=302, headers={"Location": "/other"})), "streams do not follow", "redirect"),
        (sending(["x" * 2_000_000]), "broke off", "connection"),
    ],
)
def test_a_websocket_that_is_none_is_told(handler: Any, said: str, outcome: str) -> None:
    async def scene() -> tuple[Round, int]:
        async with serving({"/ws": handler, "/other": sending([json.dumps(story(1))])}) as server:
            source = WebSocket(source="wire", url=socket_address(server, "/ws"), map=MAP)
            return await read_round(source), len(server.asked)

    found, requests = asyncio.run(scene())
    assert found.failure is not None
    assert (found.failure.outcome, requests) == (outcome, 1)
    assert said in str(found.failure)
    assert found.items == []


def test_patience_is_kept_with_a_websocket_that_asks_for_it() -> None:
    async def scene() -> Round:
        busy = web.Response(status=429, headers={"Retry-After": "120"})
        async with serving({"/ws": answering(busy)}) as server:
            return await read_round(WebSocket(source="wire", url=socket_address(server, "/ws"), map=MAP))

    failure = asyncio.run(scene()).failure
    assert failure is not None
    assert failure.retry_after_s == 120


def test_a_silent_stream_is_given_up() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    async def scene() -> Round:
        async with serving({"/ws": silent}) as server:
            source = WebSocket(source="wire", url=socket_address(server, "/ws"), map=MAP)
            return await read_round(source, silence_s=0.2)

    failure = asyncio.run(scene()).failure
    assert failure is not None
    assert failure.outcome == "timeout"
