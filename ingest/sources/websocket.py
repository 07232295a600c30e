"""Any websocket that sends JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from core.errors import InputError
from ingest.feeds import LONGEST_INTERVAL_S
from ingest.sources.interface import Batch, Cursor, Fields, SocketAddress, Unreadable
from ingest.sources.mapped import Mapped
from ingest.sources.session import Session


class WebSocket(Mapped):
    """Any websocket that sends JSON, an item or a list of them in each frame."""

    documentation: ClassVar[str] = "https://www.rfc-editor.org/rfc/rfc6455"

    url: SocketAddress
    """Address of the stream."""
    say: list[str] = Field([])
    """Texts sent once the stream is open, such as a subscription."""
    interval_s: float = Field(1.0, ge=1, le=LONGEST_INTERVAL_S)
    """Seconds before a stream that ended is opened again; more after each failure."""

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        behind = dict(cursor)
        async with session.websocket(self.url, self.parameters(cursor), say=self.say) as groups:
            yield Batch()
            async for frames in groups:
                items: list[Fields | Unreadable] = []
                for frame in frames:
                    records, fault = self._records(frame)
                    behind |= self.later(behind, records)
                    items += [found for record in records if (found := self.read(record)) is not None]
                    items += [fault] if fault is not None else []
                yield Batch(items, behind or None)

    def _records(self, frame: bytes) -> tuple[list[Any], Unreadable | None]:
        value = json_value(frame)
        if isinstance(value, Unreadable):
            return [], value
        try:
            return self.records(value, "the frame"), None
        except InputError as error:
            # Greetings and confirmations have no list of items. With a filter it is clear that they are not wanted.
            return [], None if self.items else Unreadable(frame, str(error))


def json_value(frame: bytes) -> Any:
    """The JSON value in `frame`; Unreadable where there is none."""
    try:
        return msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(frame, f"the frame is not readable as JSON: {error}")
