"""Feeds polled again and again: what is known once more, what is said once, what a restart keeps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from core.metrics import INGEST
from core.records import ENCODING_DOUBTFUL, ID_DERIVED
from core.settings import Settings
from ingest.feed_state import load_memory, state_path
from ingest.feeds import Feed
from ingest.fetching import new_client
from ingest.polling import FeedPoller
from ingest.producer import DeliveryFailed, MessageProducer
from tests.ingest.ingest_helpers import Topics
from tests.ingest.web_server import Site, in_turn, item, page, rss

MARCH = "Tue, 05 Mar 2024 09:30:00 GMT"


async def poll(
    settings: Settings, producer: MessageProducer, feed: Feed, times: int = 1
) -> tuple[FeedPoller, list[int]]:
    async with new_client() as client:
        poller = FeedPoller(feed, producer, settings, client)
        return poller, [await poller.poll() for _ in range(times)]


def restart(settings: Settings, producer: MessageProducer, feed: Feed, times: int = 1) -> list[int]:
    """New messages at each of some polls by a new poller, as after a restart of the process."""
    return asyncio.run(poll(settings, producer, feed, times))[1]


def metric(name: str, **labels: str) -> float:
    return INGEST.registry.get_sample_value(name, labels) or 0.0


def aggregated(fetch: int) -> bytes:
    link = f"https://news.e.com/a/{fetch}?oc={fetch}"
    text = f'&lt;a href="{link}"&gt;Acme cuts its forecast&lt;/a&gt; The Example'
    return rss(item("Acme cuts its forecast - The Example", f"CB{fetch}", link, MARCH, text))


def test_an_item_whose_guid_and_link_change_is_one_message_across_fetches_and_restarts(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    site.pages["/a"] = in_turn(*(page(aggregated(fetch)) for fetch in range(1, 7)))
    feed = Feed("The Aggregator", site.address + "/a")
    assert restart(settings, producer, feed, 3) == [1, 0, 0]
    assert restart(settings, producer, feed, 3) == [1, 0, 0]  # sent again in case Kafka lost it, as the same message
    assert len({message.uid for message in topics.messages(2)}) == 1


def test_items_that_share_everything_but_their_words_all_arrive_and_are_marked(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    items = [item(title, "N/A", "https://e.com") for title in ("Acme warns", "Beta warns", "Gamma warns")]
    site.pages["/a"] = page(rss(*items))
    assert restart(settings, producer, Feed("shared", site.address + "/a"), 2) == [3, 0]
    messages = topics.messages(3)
    assert len({message.uid for message in messages}) == 3
    assert all(ID_DERIVED in message.marks for message in messages)


def test_an_edited_item_keeps_its_id_and_is_counted(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    before = metric("newstide_ingest_duplicates_total", content="different")
    site.pages["/a"] = in_turn(page(rss(item("Acme warns", "7"))), page(rss(item("Acme warns", "7", text="again"))))
    assert restart(settings, producer, Feed("edits", site.address + "/a"), 3) == [1, 1, 0]
    assert {message.id for message in topics.messages(2)} == {"7"}
    assert metric("newstide_ingest_duplicates_total", content="different") == before + 1


def test_an_item_that_kafka_did_not_take_keeps_its_id_but_stands_in_no_file(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site
) -> None:
    class Unanswering(MessageProducer):
        def __init__(self) -> None:
            self.messages_topic = "none"

        def deliver(self, messages: object, letters: object = (), *, timeout_s: float) -> None:
            raise DeliveryFailed("Kafka is away")

    site.pages["/a"] = in_turn(*(page(aggregated(fetch)) for fetch in range(1, 4)))
    feed = Feed("waiting", site.address + "/a")

    async def scene() -> list[int]:
        async with new_client() as client:
            poller = FeedPoller(feed, Unanswering(), settings, client)
            counts = [await poller.poll()]
            assert not state_path(settings, feed.source).exists()
            poller._producer = producer
            return [*counts, await poller.poll(), await poller.poll()]

    assert asyncio.run(scene()) == [0, 1, 0]
    assert [message.id for message in topics.messages(1)] == ["CB1"]
    assert [known.id for known in load_memory(state_path(settings, feed.source)).known()] == ["CB1"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"source": "x", "known": [[1]]}', b"\x00" * 100])
def test_a_damaged_memory_is_ignored_with_a_warning(
    settings: Settings, producer: MessageProducer, site: Site, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    site.pages["/a"] = page(rss(item("Acme warns", "7")))
    feed = Feed("Börse", site.address + "/a")
    restart(settings, producer, feed)
    path = state_path(settings, feed.source)
    assert path.name.isascii()
    assert load_memory(path).known()[0].id == "7"
    path.write_bytes(damage)
    assert restart(settings, producer, feed) == [1]
    assert "can't be read" in caplog.text
    assert load_memory(path).known()[0].id == "7"
    assert list(path.parent.iterdir()) == [path]


def test_a_memory_that_cannot_be_written_stops_nothing(
    settings: Settings, producer: MessageProducer, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    settings.embedded.directory.mkdir(parents=True, exist_ok=True)
    (settings.embedded.directory / "feeds").write_text("a file where a folder should be")
    site.pages["/a"] = in_turn(*(page(rss(item(f"Acme {n}", str(n + 1)))) for n in range(3)))
    assert restart(settings, producer, Feed("stateless", site.address + "/a"), 3) == [1, 1, 1]
    assert caplog.text.count("can't keep its memory") == 1


def test_every_new_reason_is_logged_once_and_the_recovery_too(
    settings: Settings, producer: MessageProducer, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    good, html = page(rss(item("One", "1"))), page(b"<!doctype html><title>Down</title>")
    busy = [page(b"", 429, Retry_After=str(wait)) for wait in (100, 90)]
    answers = [page(b"", 500), page(b"", 500), html, page(b"", 500), *busy, html, good, good, page(b"", 500)]
    site.pages["/a"] = in_turn(*answers)
    restart(settings, producer, Feed("moody", site.address + "/a"), len(answers))
    lines = [record.getMessage() for record in caplog.records if "feed moody" in record.getMessage()]
    reasons = ("is up", "answered 500", "web page", "answered 429")
    assert [next(reason for reason in reasons if reason in line) for line in lines] == [
        "answered 500",
        "web page",
        "answered 429",
        "is up",
        "answered 500",
    ]
    assert "again after 7 failed tries" in lines[3]


def test_a_page_in_place_of_a_feed_names_who_answered_and_the_feed(
    settings: Settings, producer: MessageProducer, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/feed"] = page(b"", 301, Location="/home")
    link = b'<link rel="alternate" type="application/rss+xml" href="rss.xml">'
    site.pages["/home"] = page(b"<!doctype html><html><head>" + link + b"</head></html>", Content_Type="text/html")
    assert restart(settings, producer, Feed("lost", site.address + "/feed")) == [0]
    assert f"{site.address}/feed (redirected to {site.address}/home)" in caplog.text
    assert f"it names its feed: {site.address}/rss.xml" in caplog.text
    assert metric("newstide_feed_fetches_total", source="lost", outcome="unreadable") == 1


def test_a_move_for_good_is_said_once(
    settings: Settings, producer: MessageProducer, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/old"] = page(b"", 301, Location="/new")
    site.pages["/new"] = page(rss(item("One", "1")))
    assert restart(settings, producer, Feed("mover", site.address + "/old"), 3) == [1, 0, 0]
    assert caplog.text.count(f"has moved for good to {site.address}/new") == 1


def test_an_encoding_that_nobody_declares_is_read_and_a_doubt_is_marked_and_said_once(
    settings: Settings, producer: MessageProducer, topics: Topics, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    words = {"gbk": "某银行警告利润下滑，股价下跌", "koi8-r": "Банк предупредил о падении прибыли", "cp1252": "Café"}
    for encoding, title in words.items():
        document = rss(item(title, encoding)).decode().replace(' encoding="utf-8"', "")
        site.pages[f"/{encoding}"] = page(document.encode(encoding))
        assert restart(settings, producer, Feed(encoding, f"{site.address}/{encoding}"), 2) == [1, 0]
    messages = {message.source: message for message in topics.messages(3)}
    assert {source: message.title for source, message in messages.items()} == words
    assert [source for source, message in messages.items() if ENCODING_DOUBTFUL in message.marks] == ["cp1252"]
    assert caplog.text.count("feed cp1252 does not say truly how it is encoded") == 1
    assert restart(settings, producer, Feed("Stated", f"{site.address}/cp1252", encoding="latin1")) == [1]
    (stated,) = [message for message in topics.messages(4) if message.source == "Stated"]
    assert (stated.title, ENCODING_DOUBTFUL in stated.marks) == ("Café", False)


def test_patience_lasts_until_the_time_that_was_asked_for(
    settings: Settings, producer: MessageProducer, site: Site
) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(hours=5), usegmt=True)
    feed = Feed("busy", site.address + "/a", interval_s=10)
    for wish, least, most in ((until, 17_900, 18_000), ("86400", 86_400, 86_400), ("99999999", 86_400, 86_400)):
        site.pages["/a"] = page(b"", 503, Retry_After=wish)
        poller, _ = asyncio.run(poll(settings, producer, feed))
        assert all(least <= poller.condition.next_pause() <= most for _ in range(20))
    site.pages["/a"] = page(rss(item("One", "1")))
    assert asyncio.run(poll(settings, producer, feed))[0].condition.next_pause() < 12
