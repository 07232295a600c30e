"""One request for one feed: conditional, bounded in size, time and redirects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import version

import httpx

from core.errors import NewstideError
from ingest.feeds import Feed

MOST_REDIRECTS = 5
FETCH_TIMEOUT_S = 60.0
_TIMEOUTS = httpx.Timeout(15.0, connect=10.0)
_AGENT = f"newstide/{version('newstide')} (RSS and Atom reader)"
_ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"


class FetchFailed(NewstideError):
    """A feed could not be fetched; `outcome` is the metric's word for it, `retry_after_s` the server's wish."""

    def __init__(self, message: str, outcome: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Validators:
    """What a server said identifies the version of its document."""

    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Document:
    """A feed's document, and the validators that go with it."""

    content: bytes
    content_type: str
    validators: Validators


def new_client() -> httpx.AsyncClient:
    """The HTTP client that all feeds share."""
    return httpx.AsyncClient(timeout=_TIMEOUTS, headers={"User-Agent": _AGENT, "Accept": _ACCEPT})


async def fetch(
    client: httpx.AsyncClient, feed: Feed, known: Validators, *, max_bytes: int, timeout_s: float = FETCH_TIMEOUT_S
) -> Document | None:
    """The feed's document; None if the server says that it has not changed since `known`.

    At most `max_bytes` are read, after decompression. Raises FetchFailed for everything that goes wrong.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _follow(client, feed, known, max_bytes)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise FetchFailed(f"{feed.url} did not answer in time", "timeout") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise FetchFailed(f"{feed.url} can't be reached: {type(error).__name__}: {error}", "connection") from error


async def _follow(client: httpx.AsyncClient, feed: Feed, known: Validators, max_bytes: int) -> Document | None:
    url = httpx.URL(feed.url)
    for _ in range(MOST_REDIRECTS + 1):
        # A feed's own headers may hold credentials: they go to its own host and to no other.
        headers = dict(feed.headers) if _same_origin(url, httpx.URL(feed.url)) else {}
        if known.etag:
            headers["If-None-Match"] = known.etag
        if known.modified:
            headers["If-Modified-Since"] = known.modified
        async with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.next_request is not None:
                url = response.next_request.url
                if url.scheme not in ("http", "https"):
                    raise FetchFailed(f"{feed.url} redirects to {url.scheme}:, which is not followed", "redirect")
                continue
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if response.status_code != httpx.codes.OK:
                raise FetchFailed(
                    f"{feed.url} answered {response.status_code} {response.reason_phrase}",
                    "http-error",
                    _retry_after(response.headers.get("retry-after", "")),
                )
            return await _read(response, feed, max_bytes)
    raise FetchFailed(f"{feed.url} redirects more than {MOST_REDIRECTS} times", "redirect")


async def _read(response: httpx.Response, feed: Feed, max_bytes: int) -> Document:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise FetchFailed(f"{feed.url} has more than {max_bytes} bytes (ingest.feed_max_bytes)", "too-large")
    return Document(
        b"".join(parts),
        response.headers.get("content-type", ""),
        Validators(response.headers.get("etag", ""), response.headers.get("last-modified", "")),
    )


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _retry_after(text: str) -> float:
    return float(text[:6]) if text.isascii() and text[:6].isdigit() else 0.0
