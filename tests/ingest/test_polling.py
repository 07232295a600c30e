from __future__ import annotations

import asyncio
import http.server
import time
from pathlib import Path

import pytest

from core.metrics import INGEST
from core.settings import Settings
from ingest.condition import LONGEST_BACKOFF_S
from ingest.feeds import Feed
from ingest.fetching import FetchFailed, Validators, fetch, new_client
from ingest.polling import FeedPoller, poll_feeds
from ingest.producer import MessageProducer
from tests.ingest.ingest_helpers import Topics, make_settings
from tests.ingest.web_server import Answer, Site, item, page
from tests.ingest.web_server import rss as feed_of
from tests.ports import free_port


def rss(*items: tuple[str, str]) -> bytes:
    return feed_of(*(item(title, guid, f"https://e.com/{guid}") for guid, title in items))


def conditional(body: bytes, etag: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            page(b"", 304)(handler)
        else:
            page(body, ETag=etag, Last_Modified="Thu, 02 Jan 2014 03:04:05 GMT")(handler)

    return answer


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 65_536)


def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"<")
        time.sleep(0.02)


async def polled(
    settings: Settings, producer: MessageProducer, feed: Feed, times: int = 1
) -> tuple[FeedPoller, list[int]]:
    async with new_client() as client:
        poller = FeedPoller(feed, producer, settings, client)
        return poller, [await poller.poll() for _ in range(times)]


def metric(name: str, **labels: str) -> float:
    return INGEST.registry.get_sample_value(name, labels) or 0.0


def test_an_unchanged_feed_is_sent_once_and_not_read_again(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    site.pages["/a"] = conditional(rss(("1", "One"), ("2", "Two")), '"v1"')
    _, counts = asyncio.run(polled(settings, producer, Feed("etag", site.address + "/a"), 3))
    assert counts == [2, 0, 0]
    assert site.requests[0][1].get("if-none-match") is None
    assert [headers["if-none-match"] for _, headers in site.requests[1:]] == ['"v1"'] * 2
    assert site.requests[1][1]["if-modified-since"] == "Thu, 02 Jan 2014 03:04:05 GMT"
    assert metric("newstide_feed_fetches_total", source="etag", outcome="not-modified") == 2
    assert metric("newstide_feed_up", source="etag") == 1
    assert [message.id for message in sorted(topics.messages(2), key=lambda message: message.id)] == ["1", "2"]


def test_only_new_and_changed_entries_are_sent(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    pages = [rss(("1", "One")), rss(("2", "Two"), ("1", "One")), rss(("2", "Two"), ("1", "One, mended"))]
    rest = iter(pages)
    site.pages["/a"] = lambda handler: page(next(rest))(handler)
    _, counts = asyncio.run(polled(settings, producer, Feed("changing", site.address + "/a"), 3))
    assert counts == [1, 1, 1]
    assert sorted(message.title for message in topics.messages(3)) == ["One", "One, mended", "Two"]


def test_an_entry_without_text_becomes_a_dead_letter_once(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    site.pages["/a"] = page(rss(("1", "One"), ("2", "")))
    _, counts = asyncio.run(polled(settings, producer, Feed("halves", site.address + "/a"), 2))
    assert counts == [1, 0]
    (letter,) = topics.dead_letters(1)
    assert letter.origin.startswith("feed:halves:")
    assert b'"2"' in (letter.value or b"")
    assert "empty" in letter.reason


def test_nothing_is_remembered_until_kafka_has_it(site: Site, tmp_path: Path, producer: MessageProducer) -> None:
    site.pages["/a"] = conditional(rss(("1", "One")), '"v1"')

    class Unanswering(MessageProducer):
        def __init__(self) -> None:
            self.messages_topic = "none"

        def deliver(self, messages: object, letters: object = (), *, timeout_s: float) -> None:
            from ingest.producer import DeliveryFailed

            raise DeliveryFailed("Kafka is away")

    settings = make_settings(None, tmp_path)

    async def scene() -> None:
        async with new_client() as client:
            poller = FeedPoller(Feed("patient", site.address + "/a"), Unanswering(), settings, client)
            assert await poller.poll() == 0
            assert poller.condition.failures == 1
            poller._producer = producer
            assert await poller.poll() == 1

    asyncio.run(scene())
    assert all("if-none-match" not in headers for _, headers in site.requests)
    assert metric("newstide_feed_fetches_total", source="patient", outcome="kafka") == 1


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        ("broken", page(b"oops", 500), "http-error"),
        ("gone", page(b"", 410), "http-error"),
        ("garbage", page(b"\x00\xff<<<not a feed"), "unreadable"),
        ("empty", page(b""), "unreadable"),
        ("huge", endless, "too-large"),
        ("loop", page(b"", 302, Location="/page"), "redirect"),
        ("escape", page(b"", 302, Location="file:///etc/passwd"), "redirect"),
    ],
)
def test_a_failing_feed_is_counted_and_asked_less_often(
    settings: Settings, producer: MessageProducer, site: Site, name: str, answer: Answer, outcome: str
) -> None:
    site.pages["/page"] = answer
    poller, counts = asyncio.run(polled(settings, producer, Feed(name, site.address + "/page", interval_s=10), 2))
    assert counts == [0, 0]
    assert poller.condition.failures == 2
    assert 36 <= poller.condition.next_pause() <= 44
    assert metric("newstide_feed_up", source=name) == 0
    assert metric("newstide_feed_fetches_total", source=name, outcome=outcome) == 2
    poller.condition.failures = 1_000
    assert poller.condition.next_pause() <= 1.1 * LONGEST_BACKOFF_S


def test_a_server_that_asks_for_patience_gets_it(settings: Settings, producer: MessageProducer, site: Site) -> None:
    site.pages["/a"] = page(b"", 429, Retry_After="900")
    poller, _ = asyncio.run(polled(settings, producer, Feed("busy", site.address + "/a", interval_s=10)))
    assert poller.condition.next_pause() >= 0.9 * 900


def test_a_slow_feed_is_given_up_and_a_dead_host_is_reported(site: Site) -> None:
    site.pages["/slow"] = slow

    async def scene(url: str) -> FetchFailed:
        async with new_client() as client:
            with pytest.raises(FetchFailed) as failure:
                await fetch(client, Feed("x", url), Validators(), max_bytes=10**6, timeout_s=0.3)
            return failure.value

    assert asyncio.run(scene(site.address + "/slow")).outcome == "timeout"
    assert asyncio.run(scene(f"http://127.0.0.1:{free_port()}/")).outcome == "connection"


def test_keys_stay_with_their_own_host(settings: Settings, producer: MessageProducer, site: Site) -> None:
    elsewhere = site.address.replace("127.0.0.1", "localhost") + "/b"
    site.pages["/a"] = page(b"", 301, Location=elsewhere)
    site.pages["/b"] = page(rss(("1", "One")))
    feed = Feed("secret", site.address + "/a", headers={"X-Key": "k"})
    _, counts = asyncio.run(polled(settings, producer, feed))
    assert counts == [1]
    assert [headers.get("x-key") for _, headers in site.requests] == ["k", None]


def test_one_dead_feed_does_not_stop_the_others(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    site.pages["/good"] = page(rss(("1", "One")))
    site.pages["/bad"] = page(b"", 500)
    feeds = [Feed(name, f"{site.address}/{name}", interval_s=1) for name in ("bad", "good")]

    async def scene() -> None:
        stop = asyncio.Event()
        polling = asyncio.create_task(poll_feeds(settings, producer, feeds, stop))
        async with asyncio.timeout(30):
            while sum(path == "/good" for path, _ in site.requests) < 2:
                await asyncio.sleep(0.02)
            stop.set()
            await polling

    asyncio.run(scene())
    assert [message.title for message in topics.messages(1)] == ["One"]
