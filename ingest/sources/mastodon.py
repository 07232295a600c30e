"""Public posts of a Mastodon server: server-sent events, and the REST timeline for what came while nobody listened."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import AfterValidator, Field

from core.records import Kind
from core.web import is_web_address
from ingest.feeds import LONGEST_INTERVAL_S
from ingest.fetching import FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, Unreadable, WebAddress
from ingest.sources.session import Session
from ingest.sources.websocket import json_value

_PAGE = 40  # the most that a server gives
_MOST_PAGES = 500
_REWIND_MS = 300_000  # a post of another server gets an id by the time it was written, and arrives later


def _streaming(address: str) -> str:
    """`address` as events are asked for: servers name it as a websocket's."""
    address = re.sub(r"\Aws(s?)://", r"http\1://", address)
    if address and not is_web_address(address):
        raise ValueError("expected https://... or wss://...")
    return address


class Mastodon(Source):
    """Public posts that a Mastodon server knows: all, its own, or those under a tag."""

    documentation: ClassVar[str] = "https://docs.joinmastodon.org/methods/streaming/"

    url: WebAddress
    """Address of the server, such as `https://mastodon.social`."""
    tag: str = Field("", pattern=r"^[^#\s/?&]*$")
    """Only posts under this tag, written without `#`."""
    local: bool = False
    """Only posts of the server's own accounts."""
    token: str = ""
    """Access token of an application with the scope `read`. Most servers ask for one."""
    stream: bool = True
    """Whether to listen to the stream; else the timeline is asked every `interval_s` seconds."""
    streaming_url: Annotated[str, AfterValidator(_streaming)] = ""
    """Address of the streaming server where it is another, since a token follows no redirect: \
`configuration.urls.streaming` in the server's `/api/v2/instance`."""
    kind: Kind = "comment"
    """`news` or `comment`."""
    interval_s: float = Field(30.0, ge=1, le=LONGEST_INTERVAL_S)
    """Seconds between two rounds, or before a stream that ended is opened again."""

    @property
    def request_headers(self) -> dict[str, str]:
        return self.headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    @property
    def place(self) -> str:
        return f"{super().place} {self.tag} {self.local}"

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        if not self.stream:
            async for batch in self._timeline(session, cursor):
                yield batch
            return
        path, asked = self._stream()
        # The stream is opened first and read last, so that nothing falls between it and the timeline.
        async with session.events((self.streaming_url or self.url).rstrip("/") + path, asked) as groups:
            yield Batch()
            last = str(cursor.get("last", ""))
            async for batch in self._timeline(session, cursor):
                last = str((batch.cursor or {}).get("last", last))
                yield batch
            async for events in groups:
                items: list[Fields | Unreadable] = []
                for event in events:
                    if event.kind not in ("update", "status.update"):
                        continue
                    status = json_value(event.data)
                    found = _post(status, event.data)
                    if found is not None:
                        items.append(found)
                    if isinstance(status, dict) and isinstance(status.get("id"), str) and event.kind == "update":
                        last = max(last, status["id"], key=_order)
                yield Batch(items, {"last": last} if last else None)

    async def _timeline(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        """What the timeline has behind `cursor`, oldest first; its newest page where there is no cursor yet."""
        address = self.url.rstrip("/") + (
            f"/api/v1/timelines/tag/{self.tag}" if self.tag else "/api/v1/timelines/public"
        )
        asked: dict[str, str | int] = {"limit": _PAGE} | ({"local": "true"} if self.local else {})
        last = str(cursor.get("last", ""))
        low = _rewound(last)
        for _ in range(_MOST_PAGES):
            page = await session.json(address, asked | ({"min_id": low} if low else {}))
            if not isinstance(page, list):
                raise FetchFailed(f"{shown(address)} answered no list of posts", "unreadable")
            items = [found for status in reversed(page) if (found := _post(status, msgspec.json.encode(status)))]
            ids = [status["id"] for status in page if isinstance(status, dict) and isinstance(status.get("id"), str)]
            highest = max(ids, key=_order, default="")
            last = max(last, highest, key=_order)
            yield Batch(items, {"last": last} if last else None)
            if not cursor or not highest or _order(highest) <= _order(low):
                return
            low = highest
        raise FetchFailed(
            f"{shown(address)} has more than {_MOST_PAGES} pages; the rest is read next time", "http-error"
        )

    def _stream(self) -> tuple[str, dict[str, str | int]]:
        local = "/local" if self.local else ""
        if self.tag:
            return f"/api/v1/streaming/hashtag{local}", {"tag": self.tag}
        return f"/api/v1/streaming/public{local}", {}


def _post(status: Any, data: bytes) -> Fields | Unreadable | None:
    """The post in `status`; None for a boost, or where it says nothing in words."""
    if isinstance(status, Unreadable):
        return status
    if not (isinstance(status, dict) and isinstance(status.get("id"), str) and isinstance(status.get("content"), str)):
        return Unreadable(data, "it is no post: `id` or `content` is missing")
    if status.get("reblog") or not (status["content"] or status.get("spoiler_text")):
        return None
    account = status.get("account")
    return {
        "id": status["id"],
        "title": status.get("spoiler_text"),
        "text": status["content"],
        "published_at": status.get("created_at"),
        "url": status.get("url") or status.get("uri"),
        "author": account.get("acct") if isinstance(account, dict) else None,
        "language": status.get("language"),
    }


def _order(id: str) -> tuple[int, str]:
    """The order of ids: numbers written in digits, or texts of one length."""
    return len(id), id


def _rewound(last: str) -> str:
    """An id some minutes before `last`, where ids hold times in ms above 16 other bits; else `last`."""
    if not (last.isascii() and last.isdigit()):
        return last
    return str(max(0, (int(last) >> 16) - _REWIND_MS) << 16)
