"""One request for one feed: conditional, bounded in size, time and redirects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import httpx

from core.errors import InputError, NewstideError
from core.retry_after import LONGEST_RETRY_AFTER_S, retry_after
from ingest.feeds import Feed
from ingest.inflate import ACCEPTED, TooLarge, inflate
from ingest.rate_limits import pause_asked
from ingest.redirects import Address, RedirectRefused, Target, checked, home, joined, opened, origin, peer, shown

MOST_REDIRECTS = 5
FETCH_TIMEOUT_S = 60.0
_CONNECTIONS = 100
_TIMEOUTS = httpx.Timeout(15.0, connect=10.0)
AGENT = f"newstide/{version('newstide')} (feed reader)"
_ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json;q=0.9, application/xml;q=0.9, text/xml;q=0.9, "
    "*/*;q=0.5"
)
_PERMANENT = (httpx.codes.MOVED_PERMANENTLY, httpx.codes.PERMANENT_REDIRECT)
_READABLE = (httpx.codes.OK, httpx.codes.NON_AUTHORITATIVE_INFORMATION)


class FetchFailed(NewstideError):
    """A feed could not be fetched; `outcome` is the metric's word for it, `retry_after_s` the server's wish.

    `status`: what the server answered, 0 where it did not.
    """

    def __init__(self, message: str, outcome: str, retry_after_s: float = 0.0, status: int = 0) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry_after_s = retry_after_s
        self.status = status


@dataclass(frozen=True)
class Validators:
    """What a server said identifies the version of its document at `url`; it means nothing to another address."""

    url: str = ""
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Document:
    """A feed's document, and the validators that go with it.

    `address` is the one that answered, after redirects; `moved_to` the one that every redirect before it called
    permanent, if there were any. `pause_s`: how long the server wants to be left alone now, although it answered.
    """

    content: bytes
    content_type: str
    validators: Validators
    address: str
    moved_to: str = ""
    pause_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a server answers, and from where, after redirects; `moved_to` as in Document."""

    response: httpx.Response
    target: Target
    moved_to: str


def new_client() -> httpx.AsyncClient:
    """The HTTP client that all feeds share."""
    headers = {"User-Agent": AGENT, "Accept": _ACCEPT, "Accept-Encoding": ACCEPTED}
    # A connection that was opened, and whose certificate was checked, for one name is never used for another.
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=_TIMEOUTS, headers=headers, limits=limits)


async def fetch(
    client: httpx.AsyncClient, feed: Feed, known: Validators, *, max_bytes: int, timeout_s: float = FETCH_TIMEOUT_S
) -> Document | None:
    """The feed's document; None if the server says that it has not changed since `known`.

    At most `max_bytes` are read, packed and unpacked. Raises FetchFailed for everything that goes wrong.
    """
    try:
        async with asyncio.timeout(timeout_s), followed(client, feed, _conditions_of(known)) as answer:
            if answer.response.status_code == httpx.codes.NOT_MODIFIED:
                if known.url == str(answer.target.url):
                    return None
                where = named(feed, shown(answer.target.url))
                raise FetchFailed(f"{where} answered 304, though no version was named", "http-error")
            return await _read(answer, feed, max_bytes)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, RedirectRefused, ValueError, OSError) as error:
        raise explained(error, feed) from error


def explained(error: Exception, feed: Feed) -> FetchFailed:
    """`error`, raised by a request for `feed`, as what people are told."""
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return FetchFailed(f"{shown(feed.url)} did not answer in time", "timeout")
    if isinstance(error, RedirectRefused):
        return FetchFailed(f"{shown(feed.url)}: {error}", "redirect")
    return FetchFailed(f"{shown(feed.url)} can't be reached: {type(error).__name__}: {error}", "connection")


@contextlib.asynccontextmanager
async def followed(
    client: httpx.AsyncClient, feed: Feed, conditions: Callable[[Target], Mapping[str, str]]
) -> AsyncIterator[Answer]:
    """What answers the request for `feed`, after redirects, its body not read yet: 200, 203 or 304.

    `conditions`: more request headers for an address. Raises FetchFailed, RedirectRefused and what httpx raises.
    """
    target = await home(httpx.URL(feed.url).copy_with(fragment=None), feed.private)
    own: Address | None = None
    at_home = permanent = True
    passed = [shown(target.url)]
    for hop in range(MOST_REDIRECTS + 1):
        # A feed's own headers may hold credentials: once a redirect has left their origin, nobody gets them any more.
        at_home = at_home and origin(target.url) == origin(httpx.URL(feed.url))
        headers = (dict(feed.headers) if at_home else {}) | dict(conditions(target))
        async with opened(client, target, headers) as response:
            if hop == 0:
                own = peer(response)
            if not response.has_redirect_location:
                if response.status_code not in (*_READABLE, httpx.codes.NOT_MODIFIED):
                    raise _refused(feed, target, response, at_home)
                yield Answer(response, target, shown(target.url) if hop and permanent else "")
                return
            permanent = permanent and response.status_code in _PERMANENT
            target = await checked(joined(target.url, response.headers["location"]), own)
            passed.append(shown(target.url))
    if len(set(passed)) < len(passed):
        raise FetchFailed(f"{shown(feed.url)} redirects in a circle: {' -> '.join(passed[:4])}", "redirect")
    raise FetchFailed(f"{shown(feed.url)} redirects more than {MOST_REDIRECTS} times, last to {passed[-1]}", "redirect")


def _conditions_of(known: Validators) -> Callable[[Target], Mapping[str, str]]:
    return lambda target: _conditions(known, target)


def _conditions(known: Validators, target: Target) -> dict[str, str]:
    """Request headers that ask for a document only if it has changed; if none is known, for one that no cache kept."""
    if known.url != str(target.url):
        return {"Cache-Control": "no-cache"}
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
    return {name: value for name, value in headers.items() if value}


def named(feed: Feed, address: str) -> str:
    """The feed's address, and the one that answered for it if that is another."""
    asked = shown(httpx.URL(feed.url).copy_with(fragment=None))
    return asked if address == asked else f"{asked} (redirected to {address})"


def _refused(feed: Feed, target: Target, response: httpx.Response, at_home: bool) -> FetchFailed:
    text = f"{named(feed, shown(target.url))} answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in (401, 403) and feed.headers and not at_home:
        text += "; the feed's headers were not sent there, as it is another origin"
    asked = retry_after(response.headers.get("retry-after", ""), response.headers.get("date", ""))
    wait = min(asked, LONGEST_RETRY_AFTER_S) or pause_asked(response.headers)
    if wait:
        more = f"; it asks for {asked:.0f}" if asked > wait else ""
        text += f"; it is not asked again for {wait:.0f} seconds, as it wishes{more}"
    return FetchFailed(text, "http-error", wait, response.status_code)


async def _read(answer: Answer, feed: Feed, max_bytes: int) -> Document:
    response, target = answer.response, answer.target
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise FetchFailed(f"{shown(feed.url)} has more than {max_bytes} bytes (ingest.feed_max_bytes)", "too-large")
    try:
        content, whole = await asyncio.to_thread(
            inflate, b"".join(parts), response.headers.get("content-encoding", ""), max_bytes
        )
    except InputError as error:
        outcome = "too-large" if isinstance(error, TooLarge) else "unreadable"
        raise FetchFailed(f"{named(feed, shown(target.url))}: {error}", outcome) from error
    tags = (response.headers.get("etag", ""), response.headers.get("last-modified", ""))
    # Half a document has no version: the next poll asks for all of it.
    validators = Validators(str(target.url), *tags) if whole and any(tags) else Validators()
    return Document(
        content,
        response.headers.get("content-type", ""),
        validators,
        shown(target.url),
        answer.moved_to,
        pause_asked(response.headers),
    )
