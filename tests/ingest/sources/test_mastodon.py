"""Mastodon: the stream, and the timeline for what came while it was closed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from ingest.sources.mastodon import Mastodon
from tests.ingest.sources.servers import Handler, Round, answering, events, read_round, serving

BASE = 113_000_000_000_000_000
STREAM, TIMELINE = "/api/v1/streaming/public", "/api/v1/timelines/public"


def status(number: int, **more: Any) -> dict[str, Any]:
    """A post; a number more is a minute later."""
    return {
        "id": str(BASE + (number * 60_000 << 16)),
        "created_at": "2024-09-09T19:46:02.102Z",
        "content": f"<p>Post {number}</p>",
        "spoiler_text": "",
        "url": f"https://m.example/@a/{number}",
        "account": {"acct": "a@m.example"},
        "language": "de",
        "reblog": None,
    } | more


def sse(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def timeline(*posts: dict[str, Any]) -> Handler:
    """The REST timeline: `min_id` gives the page just above it, newest first; without it the newest page."""

    async def answer(request: web.Request) -> web.StreamResponse:
        limit = min(int(request.query["limit"]), 3)
        above = [post for post in posts if int(post["id"]) > int(request.query.get("min_id", "0"))]
        page = above[:limit] if "min_id" in request.query else above[-limit:]
        return web.json_response(page[::-1])

    return answer


def test_the_stream_is_read_and_the_timeline_fills_the_gap() -> None:
    posts = [status(number) for number in range(1, 20)]
    parts = [":)\n", ":thump\n", sse("update", posts[17]), sse("delete", "123"), sse("update", posts[18])]
    edited = status(2, content="<p>Post 2, mended</p>")
    parts += [sse("status.update", edited), sse("update", "{oops"), sse("update", {"id": 7})]

    async def scene() -> tuple[Round, Round, list[tuple[str, dict[str, str], dict[str, str]]]]:
        async with serving({STREAM: events(parts), TIMELINE: timeline(*posts[:17])}) as server:
            streaming = server.address.replace("http", "ws")
            source = Mastodon(source="m", url=server.address + "/", streaming_url=streaming, token="t0k")
            first = await read_round(source)
            second = await read_round(source, {"last": posts[9]["id"]})
            return first, second, server.asked

    first, second, asked = asyncio.run(scene())
    assert [path for path, *_ in asked[:2]] == [STREAM, TIMELINE]
    assert {headers["authorization"] for *_, headers in asked} == {"Bearer t0k"}
    numbers = [17, 16, 15] if first.ids[0] == posts[16]["id"] else [15, 16, 17]
    assert first.ids == [status(number)["id"] for number in (*numbers, 18, 19, 2)]
    assert first.cursor == {"last": posts[18]["id"]}
    assert [one.value for one in first.unreadable] == [b"{oops", b'{"id": 7}']
    assert first.failure is not None
    assert first.failure.outcome == "closed"
    # Five minutes before the last post are read again: posts of other servers get an id by when they were written.
    assert second.ids == [status(number)["id"] for number in (*range(5, 20), 2)]
    assert first.items[0]["text"].startswith("<p>Post 1")
    assert (first.items[0]["author"], first.items[0]["language"]) == ("a@m.example", "de")


def test_a_tag_is_polled_where_there_is_no_stream() -> None:
    posts = [status(1), status(2, reblog={"id": "1"}), status(3, content="")]

    async def scene() -> tuple[Round, list[tuple[str, dict[str, str], dict[str, str]]]]:
        async with serving({"/api/v1/timelines/tag/finanzen": timeline(*posts)}) as server:
            source = Mastodon(source="m", url=server.address, tag="finanzen", local=True, stream=False)
            return await read_round(source), server.asked

    found, asked = asyncio.run(scene())
    assert found.ids == [posts[0]["id"]]
    assert found.cursor == {"last": posts[2]["id"]}
    assert asked[0][1] == {"limit": "40", "local": "true"}


def test_ids_that_are_no_numbers_are_taken_as_they_are() -> None:
    posts = [status(1, id="01HZXW"), status(2, id="01HZXY")]

    async def scene() -> tuple[Round, list[dict[str, str]]]:
        async with serving({TIMELINE: answering(posts[::-1], [])}) as server:
            source = Mastodon(source="m", url=server.address, stream=False)
            return await read_round(source, {"last": "01HZXV"}), server.queries()

    found, asked = asyncio.run(scene())
    assert found.ids == ["01HZXW", "01HZXY"]
    assert [query["min_id"] for query in asked] == ["01HZXV", "01HZXY"]


@pytest.mark.parametrize(
    ("handler", "said", "outcome"),
    [
        (answering(web.Response(status=401)), "answered 401", "http-error"),
        (answering({"error": "This API requires an authenticated user"}), "no text/event-stream", "unreadable"),
        (answering(web.Response(status=307, headers={"Location": "http://169.254.1.1/"})), "private", "redirect"),
        (events("data: " + "x" * 1_100_000), "more than 1000000 bytes", "too-large"),
        (events([":thump\n"], pause_s=5), "did not answer in time", "timeout"),
    ],
)
def test_a_stream_that_is_none_is_told(handler: Handler, said: str, outcome: str) -> None:
    async def scene() -> Round:
        async with serving({STREAM: handler, TIMELINE: answering([])}) as server:
            silence_s = 0.3 if outcome == "timeout" else 30.0
            return await read_round(Mastodon(source="m", url=server.address), silence_s=silence_s)

    failure = asyncio.run(scene()).failure
    assert failure is not None
    assert said in str(failure)
    assert failure.outcome == outcome


def test_a_stream_that_moved_is_followed_without_the_token() -> None:
    async def scene() -> list[tuple[str, dict[str, str], dict[str, str]]]:
        async with serving({STREAM: events(sse("update", status(1))), TIMELINE: answering([])}) as other:
            elsewhere = other.address.replace("127.0.0.1", "localhost") + STREAM
            moved = answering(web.Response(status=301, headers={"Location": elsewhere}))
            async with serving({STREAM: moved, TIMELINE: answering([])}) as server:
                found = await read_round(Mastodon(source="m", url=server.address, token="t0k"))
                assert found.ids == [status(1)["id"]]
                return other.asked

    ((path, _, headers),) = asyncio.run(scene())
    assert path == STREAM
    assert "authorization" not in headers
