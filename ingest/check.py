"""A try at each feed and source, once, that produces nothing: what comes, and what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from core.errors import InputError, NewstideError, UndecodableMessage
from core.records import BYTES_REPLACED, ENCODING_DOUBTFUL, TIME_ASSUMED, Kind
from core.redaction import redact
from ingest.cleaning import clean_message
from ingest.entries import read_entries
from ingest.feeds import Feed
from ingest.feeds_file import FeedsFile
from ingest.fetching import Validators, fetch, named
from ingest.redirects import shown
from ingest.sources.interface import Fields, Source, Unreadable
from ingest.sources.registry import type_of
from ingest.sources.session import Network, Session

log = logging.getLogger(__name__)

ENOUGH = 100
_AT_ONCE = 8
_MOST_EXAMPLES = 3


@dataclass
class Finding:
    """What one feed or source gave.

    `messages` could be read; `unreadable` would be dead letters, with the commonest `reasons`; `passed_over` are
    not asked for. `newest` is the time of the newest message that states one, `times_unread` counts those that state
    none.
    """

    source: str
    type: str
    address: str
    messages: int = 0
    unreadable: int = 0
    passed_over: int = 0
    newest: datetime | None = None
    times_unread: int = 0
    encodings_doubtful: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    @property
    def well(self) -> bool:
        """Whether it answered, and something in it can be read if there is anything."""
        return not self.error and not (self.unreadable and not self.messages)

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        newest = self.newest.isoformat() if self.newest else None
        return asdict(self) | {"newest": newest, "seconds": round(self.seconds, 2), "well": self.well}

    def take(self, fields: Mapping[str, Any], kind: Kind, *, doubtful: bool = False) -> None:
        """Count the message of these raw fields."""
        try:
            message = clean_message(fields, source=self.source, kind=kind, marks=[ENCODING_DOUBTFUL] * doubtful)
        except UndecodableMessage as error:
            self.refuse(str(error))
            return
        self.messages += 1
        self.times_unread += TIME_ASSUMED in message.marks
        self.encodings_doubtful += not {ENCODING_DOUBTFUL, BYTES_REPLACED}.isdisjoint(message.marks)
        self.languages = dict(Counter(self.languages) + Counter([message.language or "?"]))
        if TIME_ASSUMED not in message.marks and (self.newest is None or message.published_at > self.newest):
            self.newest = message.published_at
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(" ".join((message.title or message.text).split())[:120])

    def refuse(self, reason: str) -> None:
        """Count one that would be a dead letter."""
        self.unreadable += 1
        if reason not in self.reasons and len(self.reasons) < _MOST_EXAMPLES:
            self.reasons.append(reason)


async def check_all(listed: FeedsFile, *, max_bytes: int, listen_s: float) -> list[Finding]:
    """Try all feeds and sources of `listed` beside each other; listen to streams for at most `listen_s` seconds."""
    places = asyncio.Semaphore(_AT_ONCE)
    async with Network(max_bytes) as network:

        async def tried(one: Feed | Source) -> Finding:
            async with places:
                if isinstance(one, Feed):
                    return await check_feed(network, one)
                return await check_source(network, one, listen_s)

        every: list[Feed | Source] = [*listed.feeds, *listed.sources]
        return list(await asyncio.gather(*map(tried, every)))


async def check_feed(network: Network, feed: Feed) -> Finding:
    """Fetch `feed` once."""
    finding = Finding(feed.source, "feed", shown(feed.url))
    with _explained(finding):
        document = await fetch(network.http, feed, Validators(), max_bytes=network.max_bytes)
        if document is None:
            return finding
        if document.moved_to:
            finding.notes.append(f"has moved for good to {document.moved_to}: put that address into feeds.toml")
        try:
            entries = await asyncio.to_thread(
                read_entries,
                document.content,
                document.content_type,
                encoding=feed.encoding,
                address=document.address,
                times=feed.times,
            )
        except InputError as error:
            raise InputError(f"{named(feed, document.address)}: {error}") from error
        for entry in entries:
            finding.take(entry.fields, feed.kind, doubtful=entry.doubtful)
        if not entries:
            finding.notes.append("lists no entries at the moment")
    return finding


async def check_source(network: Network, source: Source, listen_s: float) -> Finding:
    """Read `source` from its present on, until a round ends, ENOUGH messages came or `listen_s` seconds are over."""
    finding = Finding(source.source, type_of(source), shown(getattr(source, "url", "")))
    session = Session(network, source.request_headers, apart_s=source.apart_s, private=source.private)
    with _explained(finding):
        answered = False
        try:
            async with asyncio.timeout(listen_s), contextlib.aclosing(source.batches(session, {})) as batches:
                async for batch in batches:
                    answered = True
                    for item in batch.items:
                        _take(finding, source, item)
                    finding.passed_over += len(batch.passed)
                    if finding.messages >= ENOUGH:
                        break
        except TimeoutError:
            if not answered:
                finding.error = f"{finding.address} did not answer within {listen_s:g} seconds"
        if answered and not (finding.messages or finding.unreadable):
            finding.notes.append("answers, and nothing that is asked for came")
    return finding


def _take(finding: Finding, source: Source, item: Fields | Unreadable) -> None:
    if isinstance(item, Unreadable):
        finding.refuse(item.reason)
    elif source.wants(item):
        finding.take(item, source.kind)
    else:
        finding.passed_over += 1


@contextlib.contextmanager
def _explained(finding: Finding) -> Iterator[None]:
    """Errors stand in the finding, and its seconds."""
    began = time.monotonic()
    try:
        yield
    except NewstideError as error:
        finding.error = redact(str(error))
    except Exception as error:
        log.debug("check of %s", finding.source, exc_info=True)
        finding.error = redact(f"{type(error).__name__}: {error}")
    finally:
        finding.seconds = time.monotonic() - began
