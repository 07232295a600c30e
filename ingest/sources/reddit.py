"""New posts or comments of subreddits: Reddit's listings as JSON, newest first."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import Field, StringConstraints

from core.records import Kind
from ingest.fetching import AGENT, FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, Unreadable, WebAddress
from ingest.sources.session import Session

log = logging.getLogger(__name__)

_PAGE = 100
_MOST_PAGES = 10  # a listing ends after a thousand
_OVERLAP_S = 600
_GONE = ("[removed]", "[deleted]")

Subreddit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{2,24}$")]


class Reddit(Source):
    """New posts, or comments, of one or more subreddits."""

    documentation: ClassVar[str] = "https://www.reddit.com/dev/api#GET_new"
    apart_s: ClassVar[float] = 1.0

    subreddits: list[Subreddit] = Field(min_length=1, max_length=50)
    """Names without `r/`, such as `stocks`."""
    comments: bool = False
    """Comments in place of posts."""
    contact: str = ""
    """Who asks, such as `/u/name` or an address of mail: Reddit turns programs away that do not say."""
    client_id: str = ""
    """Id of an application of yours (reddit.com/prefs/apps, type `script`), where the public listings are refused."""
    client_secret: str = ""
    """Its secret."""
    url: WebAddress = "https://www.reddit.com"
    """Address of the public listings and of access tokens."""
    oauth_url: WebAddress = "https://oauth.reddit.com"
    """Address of the listings for applications."""
    kind: Kind = "comment"
    """`news` or `comment`."""

    @property
    def request_headers(self) -> dict[str, str]:
        return {"User-Agent": f"{AGENT} {self.contact}".strip()} | self.headers

    @property
    def place(self) -> str:
        return f"{super().place} {sorted(self.subreddits)} {self.comments}"

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        site, headers = self.url.rstrip("/"), {}
        if self.client_id:
            token = await session.access_token(f"{site}/api/v1/access_token", self.client_id, self.client_secret)
            site, headers = self.oauth_url.rstrip("/"), {"Authorization": f"Bearer {token}"}
        address = f"{site}/r/{'+'.join(self.subreddits)}/{'comments' if self.comments else 'new'}.json"
        since = float(cursor.get("created", 0))
        newest, after = since, ""
        # `before` would be one request, and answers nothing for ever once the post it names is deleted.
        for _ in range(_MOST_PAGES):
            asked: dict[str, str | int] = {"limit": _PAGE, "raw_json": 1} | ({"after": after} if after else {})
            answer = await session.json(address, asked, headers=headers)
            listing = answer.get("data") if isinstance(answer, dict) else None
            children = listing.get("children") if isinstance(listing, dict) else None
            if not isinstance(listing, dict) or not isinstance(children, list):
                raise FetchFailed(f"{shown(address)} answered no listing", "unreadable")
            things = [child.get("data") if isinstance(child, dict) else child for child in children]
            times = [at for thing in things if (at := _time(thing))]
            newest = max([newest, *(moment for moment in times if moment <= time.time())])
            after = listing.get("after") or ""
            ended = not since or not isinstance(after, str) or not after or min(times, default=0) < since - _OVERLAP_S
            yield Batch([found for thing in things if (found := _thing(thing))], {"created": newest} if ended else None)
            if ended:
                return
        log.warning(
            "source %s: Reddit lists no more than %d new ones; older ones are missed", self.source, _MOST_PAGES * _PAGE
        )
        yield Batch((), {"created": newest})


def _thing(thing: Any) -> Fields | Unreadable | None:
    """The post or comment in `thing`; None for one without words."""
    if not (isinstance(thing, dict) and isinstance(thing.get("name"), str)):
        return Unreadable(msgspec.json.encode(thing), "it is no post or comment: `name` is missing")
    text = thing.get("selftext") or thing.get("body") or ""
    text = "" if text in _GONE else text
    title = "" if thing.get("title") in _GONE else thing.get("title")
    if not (title or text):
        return None
    link = thing.get("permalink")
    return {
        "id": thing["name"],
        "title": title,
        "text": text,
        "published_at": thing.get("created_utc"),
        "url": f"https://www.reddit.com{link}" if isinstance(link, str) else None,
        "author": thing.get("author"),
        "extra": {"subreddit": thing.get("subreddit")},
    }


def _time(thing: Any) -> float:
    """When it was written, in seconds since 1970; 0 if it does not say."""
    at = thing.get("created_utc") if isinstance(thing, dict) else None
    return float(at) if isinstance(at, (int, float)) else 0.0
