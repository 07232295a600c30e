"""Slow, greedy and absent clients of any server, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from core import http
from core.http import Limits, Server, listen

LIMITS = Limits(5, 10, 10, body_timeout_s=0.4, body_bytes=1000, uploads={"/upload": 5000})
LARGE = b"x" * 30_000_000  # more than any buffer of the system takes


async def echo(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def large(request: Request) -> Response:
    return Response(LARGE)


async def peer(request: Request) -> Response:
    return Response(f"{request.client and request.client.host} over {request.url.scheme}")


ROUTES = [
    Route("/", echo, methods=["POST"]),
    Route("/upload", echo, methods=["POST"]),
    Route("/l", large),
    Route("/peer", peer, methods=["POST"]),
]


@asynccontextmanager
async def served(app: ASGIApp | None = None, limits: Limits = LIMITS) -> AsyncIterator[int]:
    """Port of a server of `app`, or of the routes above."""
    server = Server(app or Starlette(routes=ROUTES), limits, graceful_s=1)
    with listen("127.0.0.1", 0, "the server", "no setting") as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def say(port: int, said: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    told = await reader.read()
    writer.close()
    return told


def head(path: str, more: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n\r\n".encode()


CHUNK = b"200\r\n" + b"y" * 512 + b"\r\n"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (head("/", "content-length: 10"), 408),
        (head("/", "content-length: 10") + b"half", 408),
        (head("/", "transfer-encoding: chunked") + CHUNK, 408),
        (head("/", "transfer-encoding: chunked") + CHUNK * 2, 413),
        (head("/", "content-length: 1001") + b"x" * 1001, 413),
        (head("/", "content-length: 1000") + b"x" * 1000, 200),
        (head("/upload", "content-length: 5000") + b"x" * 5000, 200),
        (head("/upload", "content-length: 5001") + b"x" * 5001, 413),
        (head("//upload", "content-length: 1001") + b"x" * 1001, 404),
    ],
)
def test_a_body_has_a_size_and_a_time(said: bytes, status: int) -> None:
    async def scene() -> bytes:
        async with asyncio.timeout(60), served() as port:
            return await say(port, said)

    assert int(asyncio.run(scene()).split(b" ", 2)[1]) == status


def test_a_peer_is_who_it_is_whatever_it_says() -> None:
    async def scene() -> bytes:
        async with asyncio.timeout(60), served() as port:
            more = "content-length: 0\r\nx-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: https"
            return await say(port, head("/peer", more))

    assert asyncio.run(scene()).endswith(b"127.0.0.1 over http")


def test_an_answer_is_not_kept_back_until_its_head_is_acknowledged() -> None:
    async def without_delay() -> bool:
        found = asyncio.get_running_loop().create_future()

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0, "the server", "no setting") as listener:
            async with await asyncio.start_server(take, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                without = bool(await found)
                writer.close()
                return without

    assert asyncio.run(without_delay())


def test_who_does_not_read_the_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_STALL_S", 0.3)

    async def scene() -> tuple[int, int]:
        async with asyncio.timeout(60), served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            writer.write(b"GET /l HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(1.5)
            size = 0
            try:
                while piece := await reader.read(100_000):
                    size += len(piece)
            except ConnectionResetError:
                pass
            writer.close()
            read = len(await say(port, b"GET /l HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
            return size, read

    cut, whole = asyncio.run(scene())
    assert cut < len(LARGE) < whole


class _Wire(asyncio.Transport):
    """A connection from an address that this machine has not."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1), "sockname": ("::", 80)})
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass


def test_connections_of_one_network_are_limited_together() -> None:
    """Whoever has one address of IPv6 has all of its network; the connection that waits longest gives way."""

    async def scene() -> list[bool]:
        server = Server(Starlette(routes=ROUTES), Limits(5, 10, 2), graceful_s=1)
        server.config.load()
        protocol_of: Callable[..., asyncio.Protocol] = server.config.http_protocol_class
        wires = [_Wire(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8::3")]
        protocols = [protocol_of(server.config, server.server_state, {}) for _ in wires]
        for wire, protocol in zip(wires, protocols, strict=True):
            protocol.connection_made(wire)
        given_way = [wire.closed for wire in wires]
        for protocol in protocols:
            protocol.connection_lost(None)
        return given_way

    assert asyncio.run(scene()) == [True, False, False, False]
