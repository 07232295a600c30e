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
from core.records import BYTES_REPLACED, ENCODING_DOUBTFUL, ID_DERIVED, Message
from core.settings import Settings
from core.sources import source_slug
from ingest.cleaning import clean_message
from ingest.condition import Condition, pause
from ingest.entries import Entry, Said, read_entries
from ingest.feed_state import load_memory, save_memory, state_path
from ingest.feeds import Feed
from ingest.fetching import Document, FetchFailed, Validators, fetch, named, new_client
from ingest.identity import FeedMemory, Identified
from ingest.producer import MessageProducer
from ingest.redirects import shown
from ingest.reread import reading_context

log = logging.getLogger(__name__)

SENT_ENTRIES = 20_000
_FIRST_POLL_WITHIN_S = 2.0
_DELIVERY_S = 60.0


class FeedPoller:
    """Polls one feed. What it remembers of an answer advances only once Kafka has acknowledged the entries in it."""

    def __init__(self, feed: Feed, producer: MessageProducer, settings: Settings, client: httpx.AsyncClient) -> None:
        self.feed = feed
        self.condition = Condition(feed.source, "feed", feed.interval_s)
        self._producer = producer
        self._max_bytes = settings.ingest.feed_max_bytes
        self._client = client
        self._known = Validators()
        self._state = state_path(settings, feed.source)
        self._memory: FeedMemory | None = None
        self._memory_changed = False
        self._unacknowledged: set[str] = set()  # ids in memory, kept for the next try, but not for the file
        self._sent: OrderedDict[tuple[str, Said], None] = OrderedDict()

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set."""
        await pause(stop, random.uniform(0, min(_FIRST_POLL_WITHIN_S, self.feed.interval_s)))
        while not stop.is_set():
            await self.poll()
            await pause(stop, self.condition.next_pause())

    async def poll(self) -> int:
        """Fetch once; the number of new messages that Kafka acknowledged. Failures are counted and logged."""
        try:
            count, outcome = await self._fetch_and_send()
        except FetchFailed as error:
            self.condition.down(str(error), error.outcome, error.retry_after_s)
            return 0
        except NewstideError as error:
            self.condition.down(str(error), "kafka")
            return 0
        except Exception as error:
            # A parser that trips over hostile input must not end the other feeds.
            log.debug("feed %s", self.feed.source, exc_info=True)
            self.condition.down(f"{shown(self.feed.url)}: {type(error).__name__}: {error}", "unreadable")
            return 0
        self.condition.up(shown(self.feed.url), outcome)
        return count

    async def _fetch_and_send(self) -> tuple[int, str]:
        document = await fetch(self._client, self.feed, self._known, max_bytes=self._max_bytes)
        if document is None:
            return 0, "not-modified"
        if document.moved_to:
            self.condition.remark(f"has moved for good to {document.moved_to}: put that address into feeds.toml")
        entries = await asyncio.to_thread(self._read, document)
        if self._memory is None:
            self._memory = await asyncio.to_thread(load_memory, self._state)
        listed = await asyncio.to_thread(self._memory.identify, entries)
        new = [item for item in listed if (item.id, item.entry.said) not in self._sent]
        self._memory_changed |= self._memory.remember(listed)
        self._unacknowledged.update(item.id for item in new if item.known is None)
        messages, letters = await asyncio.to_thread(self._clean, new)
        await asyncio.to_thread(self._producer.deliver, messages, letters, timeout_s=_DELIVERY_S)
        if letters:
            metrics.INGEST_REJECTED.labels(metrics.source_label(self.feed.source)).inc(len(letters))
        self._known = document.validators
        self._note_sent(new)
        if self._memory_changed:
            await asyncio.to_thread(self._save, self._memory)
        return len(messages), "ok"

    def _read(self, document: Document) -> list[Entry]:
        where = document.address
        try:
            entries = read_entries(
                document.content,
                document.content_type,
                encoding=self.feed.encoding,
                address=where,
                times=self.feed.times,
            )
        except InputError as error:
            raise FetchFailed(f"{named(self.feed, where)}: {error}", "unreadable") from error
        if any(entry.doubtful for entry in entries):
            self.condition.remark(
                'does not say truly how it is encoded; if its texts are wrong, set `encoding = "..."` for it'
            )
        return entries

    def _clean(self, items: Iterable[Identified]) -> tuple[list[Message], list[DeadLetter]]:
        messages: list[Message] = []
        letters: list[DeadLetter] = []
        source, kind = self.feed.source, self.feed.kind
        for entry, id, derived, _ in items:
            fields = entry.fields | {"id": id}
            replaced = "\ufffd" in f"{fields.get('title')}{fields.get('text')}"
            marks = [ID_DERIVED] * derived + [ENCODING_DOUBTFUL] * entry.doubtful + [BYTES_REPLACED] * replaced
            try:
                messages.append(clean_message(fields, source=source, kind=kind, marks=marks))
            except UndecodableMessage as error:
                letter = dead_letter(
                    msgspec.json.encode({name: _plain(value) for name, value in fields.items()}),
                    str(error),
                    origin=f"feed:{source_slug(source)}:{entry.digest}",
                    stage="ingest",
                    topic=self._producer.messages_topic,
                    context=reading_context("fields", source=source, kind=kind),
                )
                letters.append(letter)
        return messages, letters

    def _note_sent(self, new: Iterable[Identified]) -> None:
        edited = 0
        for item in new:
            self._unacknowledged.discard(item.id)
            edited += item.known is not None and item.known.said != item.entry.said
            self._sent[item.id, item.entry.said] = None
        while len(self._sent) > SENT_ENTRIES:
            self._sent.popitem(last=False)
        if edited:
            metrics.INGEST_DUPLICATES.labels("different").inc(edited)
            log.info(
                "feed %s: %d entries came again with other words; each stays the message that it was",
                self.feed.source,
                edited,
            )

    def _save(self, memory: FeedMemory) -> None:
        try:
            known = [message for message in memory.known() if message.id not in self._unacknowledged]
            save_memory(self._state, self.feed.source, known)
            self._memory_changed = False
        except OSError as error:
            self.condition.remark(f"can't keep its memory in {self._state} ({error.strerror}); check the folder")


async def poll_feeds(settings: Settings, producer: MessageProducer, feeds: list[Feed], stop: asyncio.Event) -> None:
    """Poll all `feeds` until `stop` is set; polls under way then are finished first."""
    async with new_client() as client:
        pollers = [FeedPoller(feed, producer, settings, client) for feed in feeds]
        async with asyncio.TaskGroup() as group:
            for poller in pollers:
                group.create_task(poller.run(stop))


def _plain(value: object) -> str:
    return str(value).encode(errors="replace").decode()
