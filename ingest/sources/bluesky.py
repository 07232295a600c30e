"""Posts on Bluesky, as Jetstream sends them: JSON over a websocket, with times in microseconds as cursors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from pydantic import Field

from core.records import Kind
from ingest.feeds import LONGEST_INTERVAL_S
from ingest.sources.interface import Batch, Cursor, Fields, SocketAddress, Source, Unreadable
from ingest.sources.session import Session
from ingest.sources.websocket import json_value

_POST = "app.bsky.feed.post"
_REWIND_US = 5_000_000  # instances stamp events by their own clocks, and within one the order is not strict


class Bluesky(Source):
    """Posts on Bluesky through a Jetstream instance; all of the network, some fifty a second, unless filtered."""

    documentation: ClassVar[str] = "https://github.com/bluesky-social/jetstream"

    url: SocketAddress = "wss://jetstream2.us-east.bsky.network/subscribe"
    """Jetstream instance. It keeps about a day, so a longer absence is a gap."""
    languages: list[str] = Field([])
    """Only posts whose author marked them with one of these codes, such as `en`; empty: all."""
    accounts: list[str] = Field([], max_length=100)
    """Only posts of these accounts, as DIDs (`did:plc:...`), at most 100; empty: everybody."""
    kind: Kind = "comment"
    """`news` or `comment`."""
    interval_s: float = Field(1.0, ge=1, le=LONGEST_INTERVAL_S)
    """Seconds before a stream that ended is opened again; more after each failure."""

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        asked: list[tuple[str, str | int]] = [("wantedCollections", _POST)]
        asked += [("wantedDids", account) for account in self.accounts]
        if "time_us" in cursor:
            asked.append(("cursor", max(0, int(cursor["time_us"]) - _REWIND_US)))
        behind = dict(cursor)
        async with session.websocket(self.url, asked) as groups:
            yield Batch()
            async for frames in groups:
                items: list[Fields | Unreadable] = []
                for frame in frames:
                    event = json_value(frame)
                    found = self._post(event, frame)
                    if found is not None:
                        items.append(found)
                    if isinstance(event, dict) and type(event.get("time_us")) is int:
                        behind = {"time_us": event["time_us"]}
                yield Batch(items, behind or None)

    def _post(self, event: Any, frame: bytes) -> Fields | Unreadable | None:
        """The post in `event`; None for what is none, or not asked for."""
        if isinstance(event, Unreadable):
            return event
        if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
            return Unreadable(frame, "the frame is no event of Jetstream: it names no `kind`")
        if event["kind"] != "commit":
            return None
        commit = event.get("commit")
        if not isinstance(commit, dict):
            return Unreadable(frame, "the event has no `commit`")
        if commit.get("collection") != _POST or commit.get("operation") not in ("create", "update"):
            return None
        record, did, key = commit.get("record"), event.get("did"), commit.get("rkey")
        if not (isinstance(record, dict) and isinstance(did, str) and isinstance(key, str)):
            return Unreadable(frame, "the commit lacks `record`, `did` or `rkey`")
        text = record.get("text")
        listed = record.get("langs")
        languages = [code for code in listed if isinstance(code, str)] if isinstance(listed, list) else []
        if not text or (self.languages and not {code[:2].lower() for code in languages} & set(self.languages)):
            return None
        return {
            "id": f"at://{did}/{_POST}/{key}",
            "text": text,
            "published_at": record.get("createdAt"),
            "url": f"https://bsky.app/profile/{did}/post/{key}",
            "author": did,
            "language": languages[0] if len(languages) == 1 else None,
        }
