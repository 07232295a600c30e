"""Local servers that speak what sources speak, and ways to read a source without Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from ingest.fetching import FetchFailed
from ingest.sources.interface import Batch, Source, Unreadable
from ingest.sources.session import Network, Session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A server on a free port of loopback; `asked` holds every request as its path, query and headers."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def queries(self) -> list[dict[str, str]]:
        return [query for _, query, _ in self.asked]


@contextlib.asynccontextmanager
async def serving(routes: Mapping[str, Handler]) -> AsyncIterator[Server]:
    server = Server()

    @web.middleware
    async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
        server.asked.append((request.path, dict(request.query), {k.lower(): v for k, v in request.headers.items()}))
        return await handler(request)

    application = web.Application(middlewares=[noted])
    for path, handler in routes.items():
        application.router.add_route("*", path, handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.address = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def answering(*values: Any, **headers: str) -> Handler:
    """JSON values one after the other, the last for ever; underscores in names of headers are hyphens."""
    rest = list(values)

    async def answer(request: web.Request) -> web.StreamResponse:
        value = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(value, web.Response):
            return web.Response(status=value.status, body=value.body, headers=value.headers)
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return web.json_response(value(request.query) if callable(value) else value, headers=named)

    return answer


def sending(*connections: list[str | bytes]) -> Handler:
    """A websocket that sends the frames of one list to each connection, then closes it; the last list for ever."""
    rest = list(connections)

    async def stream(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for frame in rest.pop(0) if len(rest) > 1 else rest[0]:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        await socket.close(code=1001, message=b"restarting")
        return socket

    return stream


def events(text: str | list[str], pause_s: float = 0.0) -> Handler:
    """A stream of server-sent events that ends after `text`, whose parts come one by one."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for part in [text] if isinstance(text, str) else text:
            await response.write(part.encode())
            await asyncio.sleep(pause_s)
        return response

    return stream


class Round:
    """What one call of `Source.batches` gave."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.failure: FetchFailed | None = None

    @property
    def items(self) -> list[Mapping[str, Any]]:
        return [item for batch in self.batches for item in batch.items if not isinstance(item, Unreadable)]

    @property
    def ids(self) -> list[str]:
        return [str(item["id"]) for item in self.items]

    @property
    def unreadable(self) -> list[Unreadable]:
        return [item for batch in self.batches for item in batch.items if isinstance(item, Unreadable)]

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What a run would have stored; through JSON, as it is stored."""
        cursors = [batch.cursor for batch in self.batches if batch.cursor is not None]
        return json.loads(json.dumps(cursors[-1])) if cursors else {}


async def read_round(
    source: Source, cursor: Mapping[str, Any] | None = None, *, known: set[str] | None = None, silence_s: float = 30.0
) -> Round:
    """One round of `source` from `cursor`, to its end or its failure."""
    found = Round()
    async with Network(10_000_000, silence_s=silence_s, quiet_s=silence_s) as network:
        seen = known or set()
        session = Session(
            network,
            source.request_headers,
            apart_s=0,
            private=source.private,
            known=lambda item: isinstance(item, Mapping) and str(item["id"]) in seen,
        )
        try:
            async with contextlib.aclosing(source.batches(session, cursor or {})) as batches:
                async for batch in batches:
                    found.batches.append(batch)
        except FetchFailed as error:
            found.failure = error
    return found


def socket_address(server: Server, path: str) -> str:
    return server.address.replace("http://", "ws://") + path
