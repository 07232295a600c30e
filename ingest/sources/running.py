"""Sources at work: what they read goes to Kafka, then the cursor to disk, and a stream that ends is opened again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from core import metrics
from core.dead_letters import DeadLetter, dead_letter
from core.errors import NewstideError, UndecodableMessage
from core.records import Message
from core.settings import Settings
from core.sources import source_slug
from ingest.cleaning import clean_message
from ingest.condition import Condition, pause
from ingest.confirmation import Confirmation
from ingest.fetching import FetchFailed
from ingest.producer import MessageProducer
from ingest.redirects import shown
from ingest.reread import reading_context
from ingest.sources.interface import Batch, Fields, Source, Unreadable
from ingest.sources.session import Network, Session
from ingest.sources.state import SourceState

log = logging.getLogger(__name__)

MOST_UNREADABLE = 200
_FIRST_ROUND_WITHIN_S = 2.0
_DELIVERY_S = 60.0
_SAVE_EVERY_S = 2.0
_STEADY_S = 30.0


class Cleaned(NamedTuple):
    """A message or a dead letter, what it is known by, and a hash of what it says."""

    record: Message | DeadLetter
    id: str
    said: int


class SourceRunner:
    """Runs one source. Its cursor advances only once Kafka has acknowledged what came before it.

    With a `confirmation` (beside a broker that can lose what it acknowledged), once that is committed to Postgres.
    """

    def __init__(
        self,
        source: Source,
        producer: MessageProducer,
        settings: Settings,
        network: Network,
        confirmation: Confirmation | None = None,
    ) -> None:
        self.source = source
        self.condition = Condition(source.source, "source", source.interval_s)
        self.state = SourceState(settings, source.source, source.place)
        self._producer = producer
        self._confirmation = confirmation
        self._session = Session(
            network,
            source.request_headers,
            apart_s=source.apart_s,
            private=source.private,
            known=self._knows,
        )
        self._unreadable = 0  # in a row
        self._saved_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Read round after round until `stop` is set; what was read by then is delivered first."""
        await pause(stop, random.uniform(0, min(_FIRST_ROUND_WITHIN_S, self.source.interval_s)))
        while not stop.is_set():
            await self.read(stop)
            await pause(stop, self.condition.next_pause())

    async def read(self, stop: asyncio.Event) -> int:
        """One round of polls, or a stream until it ends; the number of messages that Kafka acknowledged."""
        sent = 0
        began, failures = time.monotonic(), self.condition.failures
        try:
            async with contextlib.aclosing(self.source.batches(self._session, dict(self.state.cursor))) as batches:
                while (batch := await _unless(stop, batches)) is not None:
                    sent += await self._deliver(batch)
                    self.condition.up(self._where)
            return sent
        except FetchFailed as error:
            reason, outcome, wait = str(error), error.outcome, error.retry_after_s
        except NewstideError as error:
            reason, outcome, wait = str(error), "kafka", 0.0
        except Exception as error:
            # Neither a hostile answer nor a fault in somebody's package must end the other sources.
            log.debug("source %s", self.source.source, exc_info=True)
            reason, outcome, wait = f"{type(error).__name__}: {error}", "unreadable", 0.0
        finally:
            await self._save()
        if not sent and time.monotonic() - began < _STEADY_S:
            self.condition.failures = failures  # a stream that opens and ends at once is no better than one that fails
        self._session.forget()
        self.condition.down(reason, outcome, wait)
        return sent

    @property
    def _where(self) -> str:
        return shown(getattr(self.source, "url", "")) or type(self.source).__name__

    async def _deliver(self, batch: Batch) -> int:
        cleaned = await asyncio.to_thread(self._clean, batch.items)
        latest: dict[str, int] = {}
        new: list[Cleaned] = []
        changed = 0
        for item in cleaned:
            before = latest.get(item.id, self.state.said(item.id))
            if before != item.said:
                new.append(item)
                latest[item.id] = item.said
                changed += before is not None
        messages = [item.record for item in new if isinstance(item.record, Message)]
        letters = [item.record for item in new if isinstance(item.record, DeadLetter)]
        if new:
            ends = await asyncio.to_thread(self._producer.deliver, messages, letters, timeout_s=_DELIVERY_S)
            if self._confirmation is not None:
                await asyncio.to_thread(self._confirmation.wait, ends, _DELIVERY_S)
        if letters:
            metrics.INGEST_REJECTED.labels(metrics.source_label(self.source.source)).inc(len(letters))
        if changed:
            metrics.INGEST_DUPLICATES.labels("different").inc(changed)
        for item in cleaned:
            self.state.remember(item.id, item.said)
        for value in batch.passed:
            self.state.pass_over(_digest(value))
        self.state.move(batch.cursor)
        if new or time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            await self._save()
        self._unreadable = self._unreadable + len(letters) if letters and not messages else 0
        if self._unreadable >= MOST_UNREADABLE:
            self._unreadable = 0
            raise FetchFailed(
                f"{self._where} sends what can't be read: {letters[-1].reason}; it stands in the dead letters",
                "unreadable",
            )
        return len(messages)

    def _knows(self, item: Fields | Unreadable | bytes) -> bool:
        if isinstance(item, bytes):
            return self.state.passed_over(_digest(item))
        return self.state.said(self._cleaned(item).id) is not None

    def _clean(self, items: Sequence[Fields | Unreadable]) -> list[Cleaned]:
        return [self._cleaned(item) for item in items if isinstance(item, Unreadable) or self.source.wants(item)]

    def _cleaned(self, item: Fields | Unreadable) -> Cleaned:
        if isinstance(item, Unreadable):
            return self._letter(item.value, item.reason, self.source.unreadable_context)
        source, kind = self.source.source, self.source.kind
        try:
            return self._message(clean_message(item, source=source, kind=kind))
        except UndecodableMessage as error:
            return self._letter(encoded(item), str(error), reading_context("fields", source=source, kind=kind))

    def _message(self, message: Message) -> Cleaned:
        own = message.source == self.source.source
        return Cleaned(message, message.id if own else f"{message.source}\x00{message.id}", message.content_hash)

    def _letter(self, value: bytes, reason: str, context: Mapping[str, str]) -> Cleaned:
        digest = _digest(value)
        letter = dead_letter(
            value,
            reason,
            origin=f"source:{source_slug(self.source.source)}:{digest}",
            stage="ingest",
            topic=self._producer.messages_topic,
            context=context,
        )
        return Cleaned(letter, f"unreadable:{digest}", 0)

    async def _save(self) -> None:
        if not self.state.changed:
            return
        self._saved_at = time.monotonic()
        try:
            await asyncio.to_thread(self.state.save)
        except OSError as error:
            self.condition.remark(
                f"can't keep where it stands in {self.state.path} ({error.strerror}); check the folder"
            )


async def run_sources(
    settings: Settings, producer: MessageProducer, sources: Sequence[Source], stop: asyncio.Event
) -> None:
    """Run all `sources` until `stop` is set."""
    confirmation = Confirmation(settings) if settings.ingest.push_confirms == "commit" else None
    try:
        async with Network(settings.ingest.feed_max_bytes) as network, asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(SourceRunner(source, producer, settings, network, confirmation).run(stop))
    finally:
        if confirmation is not None:
            confirmation.close()


def encoded(fields: Fields) -> bytes:
    """`fields` as JSON, whatever they hold."""
    try:
        return msgspec.json.encode(fields, enc_hook=str)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, RecursionError):
        return repr(fields).encode(errors="replace")


def _digest(value: bytes) -> str:
    return hashlib.blake2b(value, digest_size=12).hexdigest()


async def _unless(stop: asyncio.Event, batches: AsyncIterator[Batch]) -> Batch | None:
    """The next batch; None after the last one, and once `stop` is set."""
    reading = asyncio.ensure_future(anext(batches, None))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else None
    finally:
        stopping.cancel()
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
