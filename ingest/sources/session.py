"""What a source may do on the network: requests and streams with deadlines, bounds and guarded redirects."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp
import httpx
import msgspec

from core.errors import InputError
from core.redaction import redact
from core.retry_after import LONGEST_RETRY_AFTER_S, retry_after
from ingest.feeds import Feed
from ingest.fetching import (
    AGENT,
    Document,
    FetchFailed,
    Validators,
    explained,
    fetch,
    followed,
    new_client,
)
from ingest.rate_limits import Pacer, pause_asked
from ingest.redirects import CheckedResolver, RedirectRefused, Target, shown
from ingest.sources.events import Event, read_events
from ingest.sources.gathering import gathered
from ingest.sources.interface import Fields, Unreadable
from ingest.sources.tokens import fetch_token

MOST_FRAME_BYTES = 1_000_000
SILENCE_S = 90.0  # of server-sent events: servers send a comment every quarter of a minute or so
QUIET_S = 900.0  # of a websocket, which answers pings meanwhile
_PING_EVERY_S = 45.0
_OPEN_WITHIN_S = 30.0
_TOKEN_MARGIN_S = 60.0
_LONGEST_HOLD_S = 30.0  # a longer wait ends the round: the source then counts as down, with the reason

Parameters = Mapping[str, str | int] | Sequence[tuple[str, str | int]]


class Network:
    """The clients and the pace that all sources of a process share."""

    def __init__(self, max_bytes: int, *, silence_s: float = SILENCE_S, quiet_s: float = QUIET_S) -> None:
        self.max_bytes = max_bytes
        self.silence_s = silence_s
        self.quiet_s = quiet_s
        self.pacer = Pacer()
        self.http = new_client()
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_refuse_redirect)
        self._sockets = {
            private: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=CheckedResolver(private)),
                trace_configs=[trace],
                trust_env=True,
                headers={"User-Agent": AGENT},
            )
            for private in (False, True)
        }

    def sockets(self, private: bool) -> aiohttp.ClientSession:
        """The client for websockets; `private`: of those whose hosts may have a private address."""
        return self._sockets[private]

    async def __aenter__(self) -> Network:
        await self.http.__aenter__()
        for sockets in self._sockets.values():
            await sockets.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for sockets in self._sockets.values():
            await sockets.__aexit__(*error)
        await self.http.__aexit__(*error)


class Session:
    """The network as one source sees it. Everything that goes wrong is a FetchFailed that says what and where.

    `headers` go with every request, to the origin that it names and no other. Requests to one host begin at least
    `apart_s` seconds after each other. `private`: hosts may have private addresses whatever their names say.
    """

    def __init__(
        self,
        network: Network,
        headers: Mapping[str, str],
        *,
        apart_s: float = 0.1,
        private: bool = False,
        known: Callable[[Fields | Unreadable | bytes], bool] = lambda _item: False,
    ) -> None:
        self.known = known
        """Whether this item was sent not long ago, or what these bytes stand for was passed over."""
        self._network = network
        self._headers = dict(headers)
        self._apart_s = apart_s
        self._private = private
        self._versions: dict[str, Validators] = {}
        self._tokens: dict[str, tuple[str, float]] = {}  # by the address that gave them, with their ends

    async def get(
        self,
        url: str,
        parameters: Parameters = (),
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        if_changed: bool = False,
        max_bytes: int | None = None,
    ) -> Document | None:
        """The document at `url`; None if the server says that it is the one of the last such call (`if_changed`).

        Validators of an answer count from the next call on: a source that fails on a document is given it again only
        without `if_changed`, or after `forget`.
        """
        request = self._request(url, parameters, headers)
        known = self._versions.get(request.url, Validators()) if if_changed else Validators()
        await self._turn(request.url)
        document = await fetch(self._network.http, request, known, max_bytes=max_bytes or self._network.max_bytes)
        if document is not None:
            if document.pause_s:
                self._network.pacer.hold(_host(request.url), document.pause_s)
            if if_changed:
                self._versions = {request.url: document.validators}
        return document

    def forget(self) -> None:
        """What was fetched is asked for again, changed or not, and so are access tokens."""
        self._versions = {}
        self._tokens = {}

    async def json(
        self, url: str, parameters: Parameters = (), *, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Any:
        """The JSON value at `url`."""
        document = await self.get(url, parameters, headers=headers)
        return decoded(document, url) if document is not None else None

    async def access_token(self, url: str, client_id: str, client_secret: str) -> str:
        """An access token for an application itself (RFC 6749, client credentials), kept until shortly before its end.

        No redirect is followed: the secret goes to `url` alone.
        """
        token, ends_at = self._tokens.get(url, ("", 0.0))
        if time.monotonic() < ends_at:
            return token
        await self._turn(url)
        granted = await fetch_token(self._network.http, self._request(url, ()), client_id, client_secret)
        self._tokens[url] = granted.access_token, time.monotonic() + max(0.0, granted.expires_in - _TOKEN_MARGIN_S)
        return granted.access_token

    @contextlib.asynccontextmanager
    async def events(self, url: str, parameters: Parameters = ()) -> AsyncIterator[AsyncIterator[list[Event]]]:
        """The server-sent events of `url`, in lists, while it is open. A stream that is silent too long has failed."""
        request = self._request(url, parameters)
        await self._turn(request.url)
        network = self._network
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}

        def wanted(_target: Target) -> Mapping[str, str]:
            return headers

        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(_OPEN_WITHIN_S):
                    answer = await stack.enter_async_context(followed(network.http, request, wanted))
                kind = answer.response.headers.get("content-type", "")
                if not kind.lower().startswith("text/event-stream"):
                    raise FetchFailed(f"{shown(url)} answered {kind[:100]!r} and no text/event-stream", "unreadable")
                found = read_events(_spoken(answer.response.aiter_raw(), network.silence_s), MOST_FRAME_BYTES)
                yield await stack.enter_async_context(contextlib.aclosing(gathered(found)))
                raise FetchFailed(f"{shown(url)} closed the stream", "closed")
        except InputError as error:
            raise FetchFailed(f"{shown(url)}: {error}", "too-large") from error
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, RedirectRefused, ValueError, OSError) as error:
            raise explained(error, request) from error

    @contextlib.asynccontextmanager
    async def websocket(
        self, url: str, parameters: Parameters = (), *, say: Sequence[str] = ()
    ) -> AsyncIterator[AsyncIterator[list[bytes]]]:
        """The frames that `url` sends after `say` was sent, in lists, while it is open. No redirect is followed."""
        address = _with(url, parameters)
        await self._turn(address)
        where = shown(url)
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(_OPEN_WITHIN_S):
                    socket = await stack.enter_async_context(
                        self._network.sockets(self._private).ws_connect(
                            address, headers=self._headers, heartbeat=_PING_EVERY_S, max_msg_size=MOST_FRAME_BYTES
                        )
                    )
                    for text in say:
                        await socket.send_str(text)
                found = _frames(socket, where, self._network.quiet_s)
                yield await stack.enter_async_context(contextlib.aclosing(gathered(found)))
        except TimeoutError as error:
            raise FetchFailed(f"{where} did not answer in time", "timeout") from error
        except RedirectRefused as error:
            raise FetchFailed(f"{where}: {error}", "redirect") from error
        except aiohttp.WSServerHandshakeError as error:
            answered = {name.lower(): value for name, value in (error.headers or {}).items()}
            wait = min(retry_after(answered.get("retry-after", "")), LONGEST_RETRY_AFTER_S) or pause_asked(answered)
            raise FetchFailed(f"{where} answered {error.status} and no websocket", "http-error", wait) from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            text = str(error).replace(address, where)
            raise FetchFailed(f"{where} can't be reached: {type(error).__name__}: {text}", "connection") from error

    def _request(self, url: str, parameters: Parameters, headers: Mapping[str, str] = MappingProxyType({})) -> Feed:
        return Feed(source="", url=_with(url, parameters), headers=self._headers | dict(headers), private=self._private)

    async def _turn(self, url: str) -> None:
        host = _host(url)
        held = self._network.pacer.held(host)
        if held > _LONGEST_HOLD_S:
            raise FetchFailed(
                f"the limit of {host} is used up; it is not asked again for {held:.0f} seconds", "http-error", held
            )
        await self._network.pacer.wait(host, self._apart_s)


def decoded(document: Document, url: str) -> Any:
    """The JSON value that `document`, fetched from `url`, holds. Raises FetchFailed if it is none."""
    try:
        return msgspec.json.decode(document.content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind = document.content_type[:60]
        head = document.content[:60].decode(errors="replace")
        raise FetchFailed(
            f"{shown(url)} answered no JSON ({error}) but {kind!r}, which begins {head!r}", "unreadable"
        ) from error


async def _spoken(chunks: AsyncIterator[bytes], silence_s: float) -> AsyncIterator[bytes]:
    """`chunks`, as long as no pause between two is longer than `silence_s`. Raises TimeoutError."""
    while True:
        async with asyncio.timeout(silence_s):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk


async def _frames(socket: aiohttp.ClientWebSocketResponse, where: str, quiet_s: float) -> AsyncIterator[bytes]:
    while True:
        message = await socket.receive(timeout=quiet_s)
        if message.type is aiohttp.WSMsgType.TEXT:
            yield message.data.encode(errors="replace")
        elif message.type is aiohttp.WSMsgType.BINARY:
            yield bytes(message.data)
        else:
            break
    if message.type is aiohttp.WSMsgType.ERROR:
        raise FetchFailed(f"{where} broke off: {message.data}", "connection")
    reason = f" ({message.extra[:100]!r})" if isinstance(message.extra, str) and message.extra else ""
    raise FetchFailed(f"{where} closed the stream with code {socket.close_code}{reason}", "closed")


async def _refuse_redirect(_session: Any, _context: Any, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    location = redact(redirect.response.headers.get("Location", "")[:200])
    raise RedirectRefused(
        f"it redirects to {location!r}, which streams do not follow; put that address into feeds.toml"
    )


def _with(url: str, parameters: Parameters) -> str:
    """`url` with more query parameters, without fragment."""
    bare = httpx.URL(url).copy_with(fragment=None)
    pairs = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
    return str(bare.copy_with(params=[*bare.params.multi_items(), *pairs]) if pairs else bare)


def _host(url: str) -> str:
    return httpx.URL(url).host
