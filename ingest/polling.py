"""Polling of RSS and Atom feeds: each on its own clock, none stopping another."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Iterable

import httpx
import msgspec

from core import metrics
from core.dead_letters import DeadLetter, dead_letter
from core.errors import InputError, NewstideError, UndecodableMessage
from core.records import Message
from core.settings import Settings
from core.sources import source_slug
from ingest.cleaning import clean_message
from ingest.entries import Entry, read_entries
from ingest.feeds import Feed
from ingest.fetching import FetchFailed, Validators, fetch, new_client
from ingest.producer import MessageProducer
from ingest.reread import reading_context

log = logging.getLogger(__name__)

SEEN_ENTRIES = 20_000
LONGEST_BACKOFF_S = 3_600.0
JITTER = 0.1
_FIRST_POLL_WITHIN_S = 2.0
_DELIVERY_S = 60.0


class FeedPoller:
    """Polls one feed. What it remembers of an answer advances only once Kafka has acknowledged the entries in it."""

    def __init__(self, feed: Feed, producer: MessageProducer, settings: Settings, client: httpx.AsyncClient) -> None:
        self.feed = feed
        self.failures = 0
        self._producer = producer
        self._max_bytes = settings.ingest.feed_max_bytes
        self._client = client
        self._known = Validators()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._up: bool | None = None
        self._retry_after_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set."""
        await _pause(stop, random.uniform(0, min(_FIRST_POLL_WITHIN_S, self.feed.interval_s)))
        while not stop.is_set():
            await self.poll()
            await _pause(stop, self.next_pause())

    async def poll(self) -> int:
        """Fetch once; the number of new messages that Kafka acknowledged. Failures are counted and logged."""
        try:
            count, outcome = await self._fetch_and_send()
        except FetchFailed as error:
            self._retry_after_s = error.retry_after_s
            self._down(str(error), error.outcome)
            return 0
        except InputError as error:
            self._down(f"{self.feed.url}: {error}", "unreadable")
            return 0
        except NewstideError as error:
            self._down(str(error), "kafka")
            return 0
        except Exception as error:
            # A parser that trips over hostile input must not end the other feeds.
            log.debug("feed %s", self.feed.source, exc_info=True)
            self._down(f"{self.feed.url}: {type(error).__name__}: {error}", "unreadable")
            return 0
        self._is_up(outcome)
        return count

    def next_pause(self) -> float:
        """Seconds to the next poll: the interval, doubled for each failure in a row, give or take a tenth."""
        pause = self.feed.interval_s
        if self.failures:
            longest = max(LONGEST_BACKOFF_S, self.feed.interval_s)
            pause = min(pause * 2.0 ** min(self.failures, 20), longest)
            pause = max(pause, min(self._retry_after_s, longest))
        return pause * random.uniform(1 - JITTER, 1 + JITTER)

    async def _fetch_and_send(self) -> tuple[int, str]:
        document = await fetch(self._client, self.feed, self._known, max_bytes=self._max_bytes)
        if document is None:
            return 0, "not-modified"
        entries = await asyncio.to_thread(read_entries, document.content, document.content_type)
        new = {entry.digest: entry for entry in entries if entry.digest not in self._seen}
        messages, letters = await asyncio.to_thread(self._clean, new.values())
        await asyncio.to_thread(self._producer.deliver, messages, letters, timeout_s=_DELIVERY_S)
        if letters:
            metrics.INGEST_REJECTED.labels(metrics.source_label(self.feed.source)).inc(len(letters))
        self._known = document.validators
        self._remember(entries)
        return len(messages), "ok"

    def _clean(self, entries: Iterable[Entry]) -> tuple[list[Message], list[DeadLetter]]:
        messages: list[Message] = []
        letters: list[DeadLetter] = []
        for entry in entries:
            try:
                messages.append(clean_message(entry.fields, source=self.feed.source, kind=self.feed.kind))
            except UndecodableMessage as error:
                letter = dead_letter(
                    msgspec.json.encode({name: _plain(value) for name, value in entry.fields.items()}),
                    str(error),
                    origin=f"feed:{source_slug(self.feed.source)}:{entry.digest}",
                    stage="ingest",
                    topic=self._producer.messages_topic,
                    context=reading_context("fields", source=self.feed.source, kind=self.feed.kind),
                )
                letters.append(letter)
        return messages, letters

    def _remember(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._seen[entry.digest] = None
            self._seen.move_to_end(entry.digest)
        while len(self._seen) > SEEN_ENTRIES:
            self._seen.popitem(last=False)

    def _is_up(self, outcome: str) -> None:
        self.failures = 0
        self._retry_after_s = 0.0
        metrics.FEED_FETCHES.labels(metrics.source_label(self.feed.source), outcome).inc()
        metrics.FEED_UP.labels(metrics.source_label(self.feed.source)).set(1)
        if self._up is not True:
            log.info("feed %s is up: %s", self.feed.source, self.feed.url)
        self._up = True

    def _down(self, reason: str, outcome: str) -> None:
        self.failures += 1
        metrics.FEED_FETCHES.labels(metrics.source_label(self.feed.source), outcome).inc()
        metrics.FEED_UP.labels(metrics.source_label(self.feed.source)).set(0)
        if self._up is not False:
            log.warning("feed %s is down: %s; trying again, the other feeds go on", self.feed.source, reason)
        self._up = False


async def poll_feeds(settings: Settings, producer: MessageProducer, feeds: list[Feed], stop: asyncio.Event) -> None:
    """Poll all `feeds` until `stop` is set; polls under way then are finished first."""
    async with new_client() as client:
        pollers = [FeedPoller(feed, producer, settings, client) for feed in feeds]
        async with asyncio.TaskGroup() as group:
            for poller in pollers:
                group.create_task(poller.run(stop))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _plain(value: object) -> str:
    return str(value).encode(errors="replace").decode()
