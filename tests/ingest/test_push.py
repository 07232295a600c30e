from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import SettingsError
from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings
from ingest.producer import MessageProducer
from ingest.push import push_app, serve_push
from tests.ingest.ingest_helpers import Topics, make_settings, start_broker, stop_broker
from tests.ports import free_port

TOKEN = "a-long-token"


@pytest.fixture
def pushed(settings: Settings) -> Settings:
    section = settings.ingest.model_copy(
        update={"push_token": _secret(TOKEN), "push_max_bytes": 50_000, "push_port": free_port()}
    )
    return settings.model_copy(update={"ingest": section})


def _secret(text: str) -> Any:
    return make_settings(None, Path(), push_token=text).ingest.push_token


def ask(
    settings: Settings,
    producer: MessageProducer,
    content: bytes | Any = b"",
    *,
    path: str = "/v1/messages",
    method: str = "POST",
    acknowledge_s: float = 15.0,
    **headers: str,
) -> httpx.Response:
    async def scene() -> httpx.Response:
        transport = httpx.ASGITransport(push_app(settings, producer, acknowledge_s=acknowledge_s))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sent = {"Authorization": f"Bearer {TOKEN}"} | {
                name.replace("_", "-"): text for name, text in headers.items()
            }
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            return await client.request(method, path, content=body, headers=sent)

    return asyncio.run(scene())


def test_one_object_an_array_and_json_lines(pushed: Settings, producer: MessageProducer, topics: Topics) -> None:
    one = {"id": "1", "source": "blog", "text": "one", "kind": "comment"}
    assert ask(pushed, producer, one).json() == {"accepted": 1, "rejected": []}
    two = [{"id": str(i), "source": "blog", "text": f"text {i}"} for i in (2, 3)]
    response = ask(pushed, producer, two)
    assert (response.status_code, response.json()["accepted"]) == (202, 2)
    lines = b"\n".join(json.dumps({"id": str(i), "source": "blog", "text": f"t {i}"}).encode() for i in (4, 5))
    assert ask(pushed, producer, lines + b"\n", Content_Type="application/x-ndjson").json()["accepted"] == 2
    assert {message.id for message in topics.messages(5)} == {"1", "2", "3", "4", "5"}


def test_bad_messages_never_lose_the_others(pushed: Settings, producer: MessageProducer, topics: Topics) -> None:
    batch = [
        {"source": "a", "text": "x"},
        5,
        {"source": "a"},
        {"source": "a", "txt": "x"},
        {"source": "a", "text": "y"},
    ]
    response = ask(pushed, producer, batch)
    assert response.status_code == 202
    assert response.json()["accepted"] == 2
    rejected = response.json()["rejected"]
    assert [item["index"] for item in rejected] == [1, 2, 3]
    assert "did you mean `text`" in rejected[2]["reason"]
    assert [message.text for message in topics.messages(2)] != []
    assert len(topics.messages(2)) == 2
    assert topics.dead_letters(0) == []

    lines = b'{"source": "a", "text": "z"}\n{oops\n'
    response = ask(pushed, producer, lines, Content_Type="application/x-ndjson")
    assert (response.status_code, response.json()["rejected"][0]["index"]) == (202, 1)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{}", {"Authorization": ""}, 401, "unauthorized"),
        (b"{}", {"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        (b"{}", {"Authorization": f"Basic {TOKEN}"}, 401, "unauthorized"),
        (b"{}", {"Authorization": "Bearer \xff"}, 401, "unauthorized"),
        (b"{oops", {}, 400, "unreadable"),
        (b"", {}, 400, "unreadable"),
        (b"[]", {}, 400, "unreadable"),
        (b'{"a":' * 10_000, {}, 400, "unreadable"),
        (b"[5]", {}, 422, "no_message_accepted"),
        (b'{"source": " ", "text": "x"}', {}, 422, "no_message_accepted"),
        (b" " * 60_000, {}, 413, "too_large"),
        (b"a=1", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b"x", {"Content_Encoding": "gzip"}, 415, "unsupported_media_type"),
    ],
)
def test_refusals_have_one_shape(
    pushed: Settings, producer: MessageProducer, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    if "\xff" in headers.get("Authorization", ""):
        headers = headers | {"Authorization": headers["Authorization"].encode("latin-1")}  # type: ignore[dict-item]
    response = ask(pushed, producer, content, **headers)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["message"]


def test_a_body_of_unknown_length_is_bounded(pushed: Settings, producer: MessageProducer) -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 10_000

    async def scene() -> int:
        transport = httpx.ASGITransport(push_app(pushed, producer))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sent = {"Authorization": f"Bearer {TOKEN}"}
            return (await client.post("/v1/messages", content=endless(), headers=sent)).status_code

    assert asyncio.run(scene()) == 413


def test_other_paths_and_methods(pushed: Settings, producer: MessageProducer) -> None:
    assert ask(pushed, producer, path="/healthz", method="GET", Authorization="").json() == {"status": "ok"}
    assert ask(pushed, producer, path="/", method="GET").json()["error"]["code"] == "not_found"
    assert ask(pushed, producer, method="GET").json()["error"]["code"] == "method_not_allowed"


def test_only_listed_sources_may_be_pushed(pushed: Settings, producer: MessageProducer) -> None:
    section = pushed.ingest.model_copy(update={"push_sources": ["blog"]})
    limited = pushed.model_copy(update={"ingest": section})
    response = ask(limited, producer, [{"source": "blog", "text": "x"}, {"source": "other", "text": "x"}])
    assert response.json()["accepted"] == 1
    assert "unknown source `other`" in response.json()["rejected"][0]["reason"]


def test_no_token_no_endpoint(settings: Settings, producer: MessageProducer) -> None:
    with pytest.raises(SettingsError, match="NEWSTIDE_INGEST__PUSH_TOKEN"):
        push_app(settings, producer)


def test_kafka_gone_is_503_and_heals_when_it_is_back(tmp_path: Path) -> None:
    broker = start_broker()
    settings = make_settings(broker.address, tmp_path, push_token=TOKEN)
    wait_for_broker(settings)
    ensure_topics(settings)
    producer = MessageProducer(settings, delivery_timeout_s=2)
    message = {"id": "1", "source": "a", "text": "x"}
    try:
        assert ask(settings, producer, message).status_code == 202
        stop_broker(broker)
        response = ask(settings, producer, message, acknowledge_s=1)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json()["error"]["code"] == "unavailable"
        broker = start_broker(int(broker.address.rpartition(":")[2]))
        wait_for_broker(settings)
        ensure_topics(settings)
        statuses = [ask(settings, producer, message, acknowledge_s=10).status_code for _ in range(3)]
        assert 202 in statuses
    finally:
        producer.close(timeout_s=1)
        stop_broker(broker)


def test_the_served_endpoint_answers_and_stops(pushed: Settings, producer: MessageProducer, topics: Topics) -> None:
    address = f"http://127.0.0.1:{pushed.ingest.push_port}"

    async def scene() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve_push(pushed, producer, stop))
        async with httpx.AsyncClient() as client, asyncio.timeout(30):
            while True:
                try:
                    assert (await client.get(f"{address}/healthz")).status_code == 200
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
            sent = {"Authorization": f"Bearer {TOKEN}"}
            response = await client.post(f"{address}/v1/messages", json={"source": "a", "text": "x"}, headers=sent)
            assert response.status_code == 202
            with pytest.raises(SettingsError, match="can't listen"):
                await serve_push(pushed, producer, stop)
        stop.set()
        await serving

    asyncio.run(scene())
    assert [message.text for message in topics.messages(1)] == ["x"]


@contextlib.asynccontextmanager
async def served(settings: Settings, producer: MessageProducer) -> AsyncIterator[str]:
    address = f"http://127.0.0.1:{settings.ingest.push_port}"
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_push(settings, producer, stop))
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        while True:
            try:
                await client.get(f"{address}/healthz")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
    try:
        yield address
    finally:
        stop.set()
        await serving


def with_limits(settings: Settings, **limits: object) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update=limits)})


async def connect(settings: Settings, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.ingest.push_port)
    writer.write(said)
    await writer.drain()
    return reader, writer


HEAD = (
    f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    "content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
).encode()


@pytest.mark.parametrize("said", [b"", b"POST /v1/mess", b"GET / HTTP/1.1\r\nhost: x\r\na: "])
def test_silent_connections_keep_nobody_out(pushed: Settings, producer: MessageProducer, said: bytes) -> None:
    limited = with_limits(pushed, push_max_connections=64, push_max_connections_per_peer=64)

    async def scene() -> None:
        async with served(limited, producer) as address, asyncio.timeout(60):
            silent = [await connect(limited, said) for _ in range(100)]
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{address}/healthz")).status_code == 200
                sent = {"Authorization": f"Bearer {TOKEN}"}
                response = await client.post(f"{address}/v1/messages", json={"source": "a", "text": "x"}, headers=sent)
                assert response.status_code == 202
            for _, writer in silent:
                writer.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", b"HTTP/1.1 408"),
        (b"POST /v1/messages HTT", b"HTTP/1.1 408"),
        (HEAD, b"HTTP/1.1 408"),
        (HEAD + b'{"source":', b"HTTP/1.1 408"),
        (b"\x16\x03\x01\x02\x00\x01", b"HTTP/1.1 400"),
    ],
)
def test_what_does_not_come_in_time_is_closed(
    pushed: Settings, producer: MessageProducer, said: bytes, answer: bytes
) -> None:
    limited = with_limits(pushed, push_header_timeout_s=0.3, push_body_timeout_s=0.3)

    async def scene() -> bytes:
        async with served(limited, producer), asyncio.timeout(30):
            reader, writer = await connect(limited, said)
            told = await reader.read()
            writer.close()
            return told

    told = asyncio.run(scene())
    assert told.startswith(answer)
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] in ("timeout", "unreadable")


def test_a_second_request_has_the_same_deadline(pushed: Settings, producer: MessageProducer) -> None:
    limited = with_limits(pushed, push_header_timeout_s=0.5)

    async def scene() -> bytes:
        async with served(limited, producer), asyncio.timeout(30):
            reader, writer = await connect(limited, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b'{"status":"ok"}')
            writer.write(b"GET /hea")
            told = await reader.read()
            writer.close()
            return told

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 408")


def test_busy_connections_of_one_peer_are_limited(pushed: Settings, producer: MessageProducer) -> None:
    limited = with_limits(pushed, push_max_connections_per_peer=3)

    async def scene() -> tuple[bytes, bytes]:
        async with served(limited, producer), asyncio.timeout(30):
            busy = [await connect(limited, HEAD + b"{") for _ in range(3)]
            await asyncio.sleep(0.2)
            refused_reader, refused_writer = await connect(limited)
            refused = await refused_reader.read()
            refused_writer.close()
            busy[0][1].close()
            await asyncio.sleep(0.2)
            reader, writer = await connect(limited, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            served_again = await reader.read()
            for _, each in [*busy, (reader, writer)]:
                each.close()
            return refused, served_again

    refused, served_again = asyncio.run(scene())
    assert refused.startswith(b"HTTP/1.1 429")
    assert b'"code":"too_many_connections"' in refused
    assert served_again.startswith(b"HTTP/1.1 200")


def test_too_many_connections_in_all(pushed: Settings, producer: MessageProducer) -> None:
    limited = with_limits(pushed, push_max_connections=2)

    async def scene() -> bytes:
        async with served(limited, producer), asyncio.timeout(30):
            busy = [await connect(limited, HEAD + b"{") for _ in range(2)]
            await asyncio.sleep(0.2)
            reader, writer = await connect(limited)
            refused = await reader.read()
            for _, each in [*busy, (reader, writer)]:
                each.close()
            return refused

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 503")


def test_items_of_a_push_are_limited(pushed: Settings, producer: MessageProducer, topics: Topics) -> None:
    limited = with_limits(pushed, push_max_items=3)
    item = {"source": "a", "text": "x"}
    assert ask(limited, producer, [item] * 3).status_code == 202
    for content, kind in (
        (json.dumps([item] * 4).encode(), "application/json"),
        (b"\n".join([json.dumps(item).encode()] * 4), "application/x-ndjson"),
        (b"[" + b"[]," * 500 + b"[]]", "application/json"),
    ):
        response = ask(limited, producer, content, Content_Type=kind)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_many_items")
    assert len(topics.messages(3)) == 3


def test_bodies_in_memory_are_limited_in_all(pushed: Settings, producer: MessageProducer) -> None:
    limited = with_limits(pushed, push_max_bytes=1000)

    async def scene() -> list[int]:
        transport = httpx.ASGITransport(push_app(limited, producer))
        gate = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b" " * 900
            await gate.wait()
            yield b"5"

        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sent = {"Authorization": f"Bearer {TOKEN}"}
            held = [asyncio.create_task(client.post("/v1/messages", content=slow(), headers=sent)) for _ in range(4)]
            await asyncio.sleep(0.2)
            one_more = await client.post("/v1/messages", content=b" " * 900, headers=sent)
            gate.set()
            answers = [(await task).status_code for task in held]
            after = await client.post("/v1/messages", content=b" " * 900 + b"5", headers=sent)
            return [one_more.status_code, *answers, after.status_code]

    assert asyncio.run(scene()) == [503, 422, 422, 422, 422, 422]
