"""Any JSON over HTTP that lists items."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from core.errors import InputError
from ingest.fetching import FetchFailed
from ingest.junk_ids import is_junk
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Unreadable, WebAddress
from ingest.sources.mapped import Mapped, value_at
from ingest.sources.session import Session, decoded

log = logging.getLogger(__name__)


class JsonEndpoint(Mapped):
    """Any JSON over HTTP that lists items, asked again and again."""

    documentation: ClassVar[str] = "https://www.rfc-editor.org/rfc/rfc8259"

    url: WebAddress
    """Address that answers with JSON."""
    next: str = ""
    """Path in the document to the token of the next page; followed until there is none, or a page holds nothing new; \
with `cursor_parameter`, nothing at all."""
    next_parameter: str = ""
    """Query parameter that takes the token."""
    most_pages: int = Field(20, ge=1, le=1_000)
    """Pages read in one round."""

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        where = shown(self.url)
        asked: dict[str, str | int] = self.parameters(cursor)
        # Where the last round broke off between two pages, what is known may hide what is not.
        resumed = bool(cursor.get("unfinished"))
        behind = {name: value for name, value in cursor.items() if name != "unfinished"}
        for number in range(1, self.most_pages + 1):
            document = await session.get(self.url, asked, if_changed=not self.next)
            if document is None:
                yield Batch()
                return
            value = decoded(document, self.url)
            try:
                records = self.records(value, where)
                if not cursor:
                    self.fields.check((record for record in records if isinstance(record, dict)), where)
            except InputError as error:
                raise FetchFailed(str(error), "unreadable") from error
            items, passed = self._sorted(records)
            behind |= self.later(behind, records)
            token = value_at(value, self.next) if self.next else None
            # Of a source that is new here only the present is read: its last page may be years away.
            more = bool(cursor) and isinstance(token, (str, int)) and bool(token) and bool(self.next_parameter)
            if more and self.cursor_parameter:
                # What lies behind a cursor may begin with what is known. Many servers give a token at its end too.
                more = bool(records)
            elif more and not resumed:
                # A list begins with what is new.
                more = not await asyncio.to_thread(_nothing_new, session, [*items, *passed])
            if more and number == self.most_pages:
                log.warning(
                    "source %s has more than `most_pages` = %d pages; the rest is not read", self.source, number
                )
                more = False
            yield Batch(items, {**cursor, "unfinished": True} if more else behind | {"begun": True}, passed)
            if not more:
                return
            asked = self._page(cursor, token)

    def _sorted(self, records: list[Any]) -> tuple[list[Fields | Unreadable], list[bytes]]:
        """What is asked for, and what tells one record from another of those that are not."""
        items: list[Fields | Unreadable] = []
        passed = []
        for record in records:
            found = self.read(record)
            if isinstance(found, Unreadable) or (found is not None and self.wants(found)):
                items.append(found)
            else:
                passed.append(msgspec.json.encode(self._told_apart_by(record)))
        return items, passed

    def _told_apart_by(self, record: dict[str, Any]) -> Any:
        """Of a record that is passed over what would make the id of a message: views and scores change all the time."""
        fields = self.fields.apply(record)
        if not is_junk(str(fields.get("id"))):
            return fields.get("source"), fields["id"]
        said = [fields.get(name) for name in ("title", "text", "url", "published_at")]
        return [fields.get("source"), *said] if any(said) else record

    def _page(self, cursor: Cursor, token: Any) -> dict[str, str | int]:
        return {**self.parameters(cursor), self.next_parameter: str(token)}


def _nothing_new(session: Session, found: list[Fields | Unreadable | bytes]) -> bool:
    """Whether a page holds something, and all of it is known."""
    return bool(found) and all(map(session.known, found))
