"""Stories and comments of Hacker News, from the search that Algolia keeps of it: newest first, by time."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Literal

import msgspec
from pydantic import Field

from ingest.fetching import FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, Unreadable, WebAddress
from ingest.sources.session import Session

_PAGE = 200
_MOST_PAGES = 500
_OVERLAP_S = 900  # an item is found some time after it was written


class HackerNews(Source):
    """Stories, comments or both of Hacker News, all or those that match a search."""

    documentation: ClassVar[str] = "https://hn.algolia.com/api"

    url: WebAddress = "https://hn.algolia.com/api/v1/search_by_date"
    """Address of the search."""
    query: str = ""
    """Only items that match this search; empty: all."""
    tags: list[Literal["story", "comment", "show_hn", "ask_hn", "front_page", "poll"]] = Field(["story"], min_length=1)
    """Which sorts of items, any of them."""

    @property
    def place(self) -> str:
        return f"{super().place} {self.query} {sorted(self.tags)}"

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        since = int(cursor.get("created", 0))
        floor, ceiling = since - _OVERLAP_S, int(time.time()) + _OVERLAP_S
        newest = since
        for _ in range(_MOST_PAGES):
            limits = f"created_at_i>={max(0, floor)},created_at_i<={ceiling}"
            asked: dict[str, str | int] = {
                "tags": f"({','.join(self.tags)})",
                "numericFilters": limits,
                "hitsPerPage": _PAGE,
            }
            answer = await session.json(self.url, asked | ({"query": self.query} if self.query else {}))
            hits = answer.get("hits") if isinstance(answer, dict) else None
            if not isinstance(hits, list):
                raise FetchFailed(f"{shown(self.url)} answered no `hits`", "unreadable")
            times = [
                hit["created_at_i"] for hit in hits if isinstance(hit, dict) and type(hit.get("created_at_i")) is int
            ]
            newest = max([newest, *(moment for moment in times if moment <= time.time())])
            lowest = min(times, default=ceiling)
            ended = not since or len(hits) < _PAGE or lowest >= ceiling
            # Pages go down in time: only the last one leaves no gap behind it.
            yield Batch([found for hit in hits if (found := _item(hit))], {"created": newest} if ended else None)
            if ended:
                return
            ceiling = lowest
        raise FetchFailed(f"{shown(self.url)} has more than {_MOST_PAGES} pages since the last round", "http-error")


def _item(hit: Any) -> Fields | Unreadable | None:
    """The item in `hit`; None for one without words."""
    if not (isinstance(hit, dict) and isinstance(hit.get("objectID"), str)):
        return Unreadable(msgspec.json.encode(hit), "it is no item: `objectID` is missing")
    title, text = hit.get("title"), hit.get("comment_text") or hit.get("story_text")
    if not (title or text):
        return None
    comment = "comment_text" in hit and hit["comment_text"] is not None
    return {
        "id": hit["objectID"],
        "title": title,
        "text": text,
        "published_at": hit.get("created_at_i"),
        "url": hit.get("url") or f"https://news.ycombinator.com/item?id={hit['objectID']}",
        "author": hit.get("author"),
        "kind": "comment" if comment else None,
        "extra": {"story": hit.get("story_title")} if comment else None,
    }
