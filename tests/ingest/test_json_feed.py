"""JSON Feed, read and polled as any other feed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import InputError
from core.settings import Settings
from ingest.entries import read_entries
from ingest.feeds import Feed
from ingest.fetching import new_client
from ingest.polling import FeedPoller
from ingest.producer import MessageProducer
from tests.ingest.ingest_helpers import Topics
from tests.ingest.web_server import Site, page


def feed(*items: Any, **more: Any) -> bytes:
    head = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Desk",
        "home_page_url": "https://desk.example.com/",
    }
    return json.dumps(head | {"language": "de"} | more | {"items": items}).encode()


def test_items_are_entries() -> None:
    whole = {
        "id": "https://desk.example.com/1",
        "url": "/1",
        "title": "A < B & C",
        "content_html": "<p>Acme warns</p>",
        "content_text": "not this",
        "date_published": "2024-03-05T09:30:00+01:00",
        "date_modified": "2024-03-06T09:30:00+01:00",
        "authors": [{"name": "A. Writer"}, {"url": "x"}, {"name": "B. Other"}],
        "language": "fr",
    }
    first = {"id": 7, "external_url": "https://e.com/7", "content_text": "if a<b", "author": {"name": "Old"}}
    older, newer = read_entries(feed(whole, first, "no item", 5), "application/feed+json")
    assert newer.fields == {
        "id": "https://desk.example.com/1",
        "title": "A &lt; B &amp; C",
        "text": "<p>Acme warns</p>",
        "url": "https://desk.example.com/1",
        "author": "A. Writer, B. Other",
        "published_at": datetime(2024, 3, 5, 8, 30, tzinfo=UTC),
        "language": "fr",
    }
    assert older.fields == {
        "id": "7",
        "text": "if a&lt;b",
        "url": "https://e.com/7",
        "author": "Old",
        "language": "de",
    }


@pytest.mark.parametrize(
    "document", [b'{"version": 1, "items": []}', b'{"version": "https://jsonfeed.org/version/1"', b"[]"]
)
def test_other_json_is_no_feed(document: bytes) -> None:
    with pytest.raises(InputError, match="no RSS or Atom feed but"):
        read_entries(document)


@pytest.mark.parametrize("items", [None, {}, "x", [None, [], 1]])
def test_a_feed_without_items_is_a_feed(items: Any) -> None:
    document = json.dumps({"version": "https://jsonfeed.org/version/1", "items": items}).encode()
    assert read_entries(document) == []


def test_it_is_polled_as_any_other(settings: Settings, producer: MessageProducer, topics: Topics, site: Site) -> None:
    item = {"id": "1", "title": "One", "url": "https://e.com/1", "date_published": "2024-03-05T09:30:00Z"}
    pages = iter([feed(item), feed({"id": "2", "title": "Two"}, item | {"url": "https://e.com/1?utm_source=x"})])
    site.pages["/f.json"] = lambda handler: page(next(pages))(handler)

    async def scene() -> list[int]:
        async with new_client() as client:
            poller = FeedPoller(Feed("json", site.address + "/f.json"), producer, settings, client)
            return [await poller.poll() for _ in range(2)]

    assert asyncio.run(scene()) == [1, 1]
    assert sorted(message.title for message in topics.messages(2)) == ["One", "Two"]
