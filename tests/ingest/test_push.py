from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from ingest_helpers import Topics, free_port, make_settings, start_broker, stop_broker

from core.errors import SettingsError
from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings
from ingest.producer import MessageProducer
from ingest.push import push_app, serve_push

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
