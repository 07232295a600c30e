"""The document of all pages and its files: what a browser may keep, and what it is told to ask for."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from desk.events import TOPICS, Events
from tests.desk.people import Login


def test_a_browser_keeps_what_the_document_names_and_asks_for_all_else(stranger: TestClient) -> None:
    document = stranger.get("/")
    named = re.findall(r'"(/static/[^"]+)"', document.text)
    assert [address.partition("?")[0].rpartition(".")[2] for address in named] == ["svg", "css", "js"]
    for address in named:
        assert "immutable" in stranger.get(address).headers["cache-control"], address
    for address in ("/", "/static/app.js", "/static/app.js?v=0123456789ab", f"{named[-1]}&v=1"):
        assert stranger.get(address).headers["cache-control"] == "no-cache", address


def test_long_answers_are_compressed(stranger: TestClient) -> None:
    script = re.findall(r'"(/static/app\.js[^"]+)"', stranger.get("/").text)[0]
    packed = stranger.get(script)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.num_bytes_downloaded < len(packed.content) / 2
    assert stranger.get(script, headers={"Accept-Encoding": "identity"}).content == packed.content
    assert "content-encoding" not in stranger.get("/api/v1/session").headers, "what is secret is not"


def test_who_may_be_logged_in_is_told_what_to_ask_for(login: Login, stranger: TestClient) -> None:
    def told(browser: TestClient, address: str) -> list[str]:
        return re.findall(
            r"<([^>]+)>; rel=preload; as=fetch; crossorigin", browser.get(address).headers.get("link", "")
        )

    ann = login("ann")
    assert told(stranger, "/") == []
    assert told(ann, "/") == ["/api/v1/session", "/api/v1/mood/overview"]
    query = "?range=7d&series=entity%3DNMRB&until=2025-03-07T12%3A00%3A00Z&pin=topic%3DM%26A"
    assert told(ann, f"/{query}") == ["/api/v1/session", f"/api/v1/mood/overview{query}"]
    assert told(ann, f"/?series={'x' * 2000}") == ["/api/v1/session"]
    assert told(ann, "/alerts/7") == ["/api/v1/session"]


def test_who_connects_hears_how_long_nothing_changed(engine: Engine) -> None:
    events = Events(engine)

    def connected() -> Any:
        async def first() -> str:
            stream = events.subscribe()
            try:
                return await anext(stream)
            finally:
                await stream.aclose()  # type: ignore[attr-defined]

        return json.loads(asyncio.run(first()))

    assert connected()["quiet_s"] == {}, "nobody has looked: anything may have changed"
    events.look()
    time.sleep(0.05)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO offset_ledger (topic, partition, messages) VALUES ('messages', 0, 1)"))
    assert events.look() == ["trends"]
    heard = connected()
    assert heard["topic"] == "connected"
    assert set(heard["quiet_s"]) == set(TOPICS)
    assert 0 <= heard["quiet_s"]["trends"] <= heard["quiet_s"]["labels"] - 0.05
