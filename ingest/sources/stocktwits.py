"""Messages on StockTwits by symbol: JSON, newest first, with the ids of messages as cursors."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import Field, StringConstraints

from core.records import Kind
from ingest.fetching import FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, Unreadable, WebAddress
from ingest.sources.session import Session

log = logging.getLogger(__name__)

_MOST_PAGES = 30  # of 30 messages; the service gives 800 and then nothing

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,20}$")]


class StockTwits(Source):
    """Messages on StockTwits about the symbols that you name."""

    documentation: ClassVar[str] = "https://api.stocktwits.com/developers/docs/parameters"
    apart_s: ClassVar[float] = 1.0

    symbols: list[Symbol] = Field(min_length=1, max_length=200)
    """Symbols as StockTwits writes them, such as `AAPL` or `BTC.X`; one request each a round."""
    token: str = ""
    """Access token; without one the service allows 200 requests an hour."""
    url: WebAddress = "https://api.stocktwits.com/api/2/streams/symbol"
    """Address of the streams."""
    kind: Kind = "comment"
    """`news` or `comment`."""
    interval_s: float = Field(300.0, ge=1, le=86_400)
    """Seconds between two rounds."""

    @property
    def request_headers(self) -> dict[str, str]:
        return self.headers | ({"Authorization": f"OAuth {self.token}"} if self.token else {})

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        stand = dict(cursor)
        missing: FetchFailed | None = None
        for symbol in self.symbols:
            try:
                async for batch, newest in self._messages(session, symbol, int(cursor.get(symbol, 0))):
                    if newest:
                        stand[symbol] = newest
                    yield Batch(batch, dict(stand) if newest else None)
            except FetchFailed as error:
                if error.status != 404:
                    raise
                missing = error  # a symbol that there is not, or no more: the others are read all the same
        if missing is not None:
            raise missing

    async def _messages(
        self, session: Session, symbol: str, since: int
    ) -> AsyncIterator[tuple[list[Fields | Unreadable], int]]:
        """Messages behind the one with the id `since`, page by page downwards; with the last one the newest id."""
        address = f"{self.url.rstrip('/')}/{symbol}.json"
        newest, below = since, 0
        for number in range(1, _MOST_PAGES + 1):
            asked = {name: value for name, value in (("since", since), ("max", below)) if value}
            answer = await session.json(address, asked)
            messages = answer.get("messages") if isinstance(answer, dict) else None
            if not isinstance(messages, list):
                raise FetchFailed(f"{shown(address)} answered no `messages`", "unreadable")
            ids = [
                message["id"] for message in messages if isinstance(message, dict) and type(message.get("id")) is int
            ]
            newest = max([newest, *ids])
            pages = answer.get("cursor")
            more = isinstance(pages, dict) and pages.get("more") is True and bool(ids) and min(ids) != below
            ended = not since or not more or min(ids) <= since
            if not ended and number == _MOST_PAGES:
                log.warning(
                    "source %s: no more than %d pages of %s are read at once; older ones are missed",
                    self.source,
                    _MOST_PAGES,
                    symbol,
                )
                ended = True
            yield [found for message in messages if (found := _message(message))], newest if ended else 0
            if ended:
                return
            below = min(ids)


def _message(message: Any) -> Fields | Unreadable | None:
    if not (isinstance(message, dict) and type(message.get("id")) is int):
        return Unreadable(msgspec.json.encode(message), "it is no message: `id` is missing")
    if not message.get("body"):
        return None
    user = message.get("user")
    name = user.get("username") if isinstance(user, dict) else None
    symbols = message.get("symbols")
    return {
        "id": message["id"],
        "text": message["body"],
        "published_at": message.get("created_at"),
        "url": f"https://stocktwits.com/{name}/message/{message['id']}" if isinstance(name, str) else None,
        "author": name,
        "entities": [entry.get("symbol") for entry in symbols if isinstance(entry, dict)]
        if isinstance(symbols, list)
        else None,
    }
