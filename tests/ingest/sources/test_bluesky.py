"""Jetstream: its events, and its cursor over disconnects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from ingest.sources.bluesky import Bluesky
from tests.ingest.sources.servers import Round, read_round, sending, serving, socket_address

DID = "did:plc:eygmaihciaxprqvxpfvl6flk"
T0 = 1_725_911_162_329_308


def event(number: int, text: str = "Shares fall", **commit: Any) -> dict[str, Any]:
    record = {"$type": "app.bsky.feed.post", "createdAt": "2024-09-09T19:46:02.102Z", "langs": ["en"], "text": text}
    return {
        "did": DID,
        "time_us": T0 + number * 1_000_000,
        "kind": "commit",
        "commit": {
            "rev": "3l3qo2vutsw2b",
            "operation": "create",
            "collection": "app.bsky.feed.post",
            "rkey": f"key{number}",
            "record": record,
            "cid": "bafyrei",
        }
        | commit,
    }


def others() -> list[dict[str, Any]]:
    identity = {"did": DID, "handle": "x.bsky.social", "seq": 1, "time": "2024-09-05T06:11:04.870Z"}
    return [
        {"did": DID, "time_us": T0, "kind": "identity", "identity": identity},
        {"did": DID, "time_us": T0, "kind": "account", "account": {"active": True, "did": DID, "seq": 2}},
        event(0, operation="delete", record=None),
        event(0, collection="app.bsky.feed.like"),
        event(0, text=""),
    ]


def test_posts_are_taken_and_the_rest_is_passed_over() -> None:
    frames = [*map(json.dumps, [*others(), event(1)]), b"\x00\x01", "[]", '{"kind": "commit"}']
    frames.append(json.dumps(event(2, record=None)))

    async def scene() -> Round:
        async with serving({"/subscribe": sending(frames)}) as server:
            return await read_round(Bluesky(source="sky", url=socket_address(server, "/subscribe")))

    found = asyncio.run(scene())
    assert found.items == [
        {
            "id": f"at://{DID}/app.bsky.feed.post/key1",
            "text": "Shares fall",
            "published_at": "2024-09-09T19:46:02.102Z",
            "url": f"https://bsky.app/profile/{DID}/post/key1",
            "author": DID,
            "language": "en",
        }
    ]
    assert len(found.unreadable) == 4
    assert found.cursor == {"time_us": T0 + 2_000_000}
    assert found.failure is not None
    assert "1001 ('restarting')" in str(found.failure)


def test_nothing_is_missed_over_disconnects() -> None:
    """The instance replays from the cursor on, live events come meanwhile, and each connection ends after some."""
    log = [event(number) for number in range(0, 100, 2)]
    cursors = []

    async def stream(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        cursors.append(int(request.query["cursor"]) if "cursor" in request.query else None)
        assert request.query["wantedCollections"] == "app.bsky.feed.post"
        start = cursors[-1] if cursors[-1] is not None else T0
        for one in [one for one in log if one["time_us"] >= start][:15]:
            await socket.send_json(one)
        await socket.close()
        return socket

    async def scene() -> list[Round]:
        rounds: list[Round] = []
        async with serving({"/subscribe": stream}) as server:
            source = Bluesky(source="sky", url=socket_address(server, "/subscribe"))
            for _ in range(5):
                rounds.append(await read_round(source, rounds[-1].cursor if rounds else None))
        return rounds

    rounds = asyncio.run(scene())
    assert cursors[0] is None
    assert cursors[1] == T0 + 28_000_000 - 5_000_000
    seen = [id for found in rounds for id in found.ids]
    assert set(seen) == {f"at://{DID}/app.bsky.feed.post/key{number}" for number in range(0, 100, 2)}


def test_only_some_accounts_and_languages() -> None:
    posts = [event(1), event(2)]
    posts[1]["commit"]["record"] |= {"langs": ["pt-BR", 7, "de"]}

    async def scene() -> tuple[Round, str]:
        async with serving({"/subscribe": sending([json.dumps(post) for post in posts])}) as server:
            url = socket_address(server, "/subscribe")
            source = Bluesky(source="sky", url=url, accounts=["did:plc:a", "did:plc:b"], languages=["pt"])
            return await read_round(source), server.asked[0][1]["wantedDids"]

    found, dids = asyncio.run(scene())
    assert [(item["id"][-4:], item["language"]) for item in found.items] == [("key2", None)]
    assert dids in ("did:plc:a", "did:plc:b")
