"""Serving HTTP to strangers: deadlines, limits and errors in one shape around uvicorn's protocol.

A connection that says nothing, or says it slowly, or does not read what it asked for, is closed when its time is up,
and one that waits gives way to a new one before that where the limits are reached: silent connections never keep
anybody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
import uvicorn
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.addresses import client_key
from core.errors import SettingsError

_KEEP_ALIVE_S = 15
_STALL_S = 30  # a client that reads nothing of its answer for so long is gone, or means harm


@dataclass(frozen=True)
class Limits:
    """`header_timeout_s`: to send request line and headers, for the first request and for each further one.

    `connections_per_peer`: of one address, or of one network of IPv6, as `core.addresses.client_key` has it.

    `body_timeout_s`, `body_bytes`: of a request's whole body; None: the application has limits of its own. `uploads`:
    the bytes for paths that take more.
    """

    header_timeout_s: float
    connections: int
    connections_per_peer: int
    body_timeout_s: float | None = None
    body_bytes: int | None = None
    uploads: Mapping[str, int] = field(default_factory=dict)


class Guard:
    """The open connections of one server, and who may have another."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[GuardedProtocol, None] = {}
        self._peers: Counter[str] = Counter()

    def admit(self, newcomer: GuardedProtocol) -> HTTPStatus | None:
        """Take `newcomer` in, in the place of one that only waits if need be; the status to refuse it with if not."""
        refusal = None
        if self._peers[newcomer.peer] >= self.limits.connections_per_peer:
            refusal = self._make_room(newcomer.peer, HTTPStatus.TOO_MANY_REQUESTS)
        elif len(self._open) >= self.limits.connections:
            refusal = self._make_room(None, HTTPStatus.SERVICE_UNAVAILABLE)
        if refusal is None:
            self._open[newcomer] = None
            self._peers[newcomer.peer] += 1
        return refusal

    def release(self, connection: GuardedProtocol) -> None:
        """Forget `connection`."""
        if connection in self._open:
            del self._open[connection]
            self._peers -= Counter([connection.peer])

    def _make_room(self, peer: str | None, refusal: HTTPStatus) -> HTTPStatus | None:
        waiting = [each for each in self._open if each.is_waiting and peer in (None, each.peer)]
        if not waiting:
            return refusal
        longest = min(waiting, key=lambda each: each.heard_at)
        self.release(longest)
        longest.give_way()
        return None


class GuardedProtocol(H11Protocol):
    """One connection. Subclassed by `guarded` with the guard of its server."""

    guard: Guard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.heard_at = time.monotonic()
        self.peer = client_key(self.client[0]) if self.client else ""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._refused = False
        refusal = self.guard.admit(self)
        if refusal is None:
            self._await_headers()
        elif refusal is HTTPStatus.TOO_MANY_REQUESTS:
            limit = self.guard.limits.connections_per_peer
            self._refuse(refusal, "too_many_connections", f"{limit} connections of your address are open; share them")
        else:
            limit = self.guard.limits.connections
            self._refuse(refusal, "unavailable", f"{limit} connections are open; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.release(self)
        self._stop_waiting()
        super().connection_lost(exc)
        self._read_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def _await_reader(self, unread: int) -> None:
        self._stalled = self.loop.call_later(_STALL_S, self._look_at_reader, unread)

    def _look_at_reader(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._await_reader(unread)
        else:
            self.transport.abort()

    def _read_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.heard_at = time.monotonic()
        super().data_received(data)
        if not self.is_waiting:
            self._stop_waiting()
        elif self._deadline is None:
            self._await_headers()

    @property
    def is_waiting(self) -> bool:
        """Whether the next request has not begun: nothing of ours is under way."""
        return self.cycle is None or self.cycle.response_complete

    def give_way(self) -> None:
        """Close a connection that waits."""
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, "unreadable", "this is no HTTP request")

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.guard.limits.header_timeout_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        limit = self.guard.limits.header_timeout_s
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "timeout", f"no complete request came within {limit:g} s")

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        self._refused = True
        self._stop_waiting()
        if self.transport.is_closing():
            return
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class BoundedBodies:
    """Around an application: no body of a request is longer, or takes longer, than `limits` say.

    Raises starlette's HTTPException 413 or 408 where the application reads the body, for it to answer in its own shape.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = self._limits
        timeout_s = limits.body_timeout_s
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        most = limits.uploads.get(scope["path"], limits.body_bytes)
        size, whole = 0, False

        async def bounded() -> Message:
            nonlocal size, whole
            if whole:  # what comes now is the end of the connection, whenever that is
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise _refusal(HTTPStatus.REQUEST_TIMEOUT, f"no whole body came within {timeout_s:g} s") from error
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if most is not None and size > most:
                raise _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {most} bytes")
            return message

        await self._app(scope, bounded, send)


def _refusal(status: HTTPStatus, detail: str) -> HTTPException:
    return HTTPException(status.value, detail, {"Connection": "close"})


class Server(uvicorn.Server):
    """uvicorn under a guard. Stop it with `should_exit`; signals are the business of the process."""

    def __init__(self, app: Any, limits: Limits, *, graceful_s: int) -> None:
        protocol = type("Guarded", (GuardedProtocol,), {"guard": Guard(limits)})
        super().__init__(
            uvicorn.Config(
                BoundedBodies(app, limits),
                http=protocol,
                ws="none",
                loop="asyncio",
                log_config=None,
                log_level="error",  # what a stranger sends wrong is answered, not logged
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # the peer is who it is, whatever it says: who may be believed is a setting
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=graceful_s,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(host: str, port: int, name: str, setting: str) -> socket.socket:
    """A bound socket. Raises SettingsError naming `setting` where the address is taken or is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Accepted sockets have the protocol of this one, and asyncio sets TCP_NODELAY only where it is named: without that,
    # an answer's body waits for the acknowledgement of its head, which takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{name} can't listen on {host}:{port}: {error.strerror}; choose another address with {setting}"
        ) from error
    return listener
