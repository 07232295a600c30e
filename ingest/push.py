"""The HTTP push endpoint: `POST /v1/messages` answers 202 once Kafka has the messages, and `GET /healthz`.

Beside a broker that may lose what it acknowledged it answers only once Postgres has them, too: `ingest.push_confirms`.
"""

from __future__ import annotations

import asyncio
import hmac
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core import metrics
from core.errors import InputError, NewstideError, SettingsError
from core.http import Limits, Server, listen
from core.settings import IngestSettings, Settings
from ingest.batches import JSON_LINES, Rejection, TooManyItems, read_batch
from ingest.confirmation import Confirmation, NotCommitted
from ingest.producer import MessageProducer

ACKNOWLEDGE_S = 15.0
RETRY_AFTER_S = 5
MOST_AT_ONCE = 8
MOST_BODIES = 4  # of full size, held in memory at once
_WORDS = {404: "not_found", 405: "method_not_allowed"}


class Refusal(Exception):
    """A request that is answered with an error: HTTP status, a word for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, rejected: list[Rejection] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.rejected = rejected


def push_app(
    settings: Settings,
    producer: MessageProducer,
    confirmation: Confirmation | None = None,
    *,
    acknowledge_s: float = ACKNOWLEDGE_S,
) -> Starlette:
    """The ASGI application. `acknowledge_s`: how long a request waits for Kafka before it answers 503.

    With a `confirmation` it waits as long for the commit, too.

    Raises SettingsError if `ingest.push_token` is not set.
    """
    secret = settings.ingest.push_token
    if secret is None or not secret.get_secret_value():
        raise SettingsError(
            "the push endpoint needs a token; set NEWSTIDE_INGEST__PUSH_TOKEN to a long random text of your own"
        )
    token = secret.get_secret_value().encode()
    limits = settings.ingest
    places = asyncio.Semaphore(MOST_AT_ONCE)
    reading = asyncio.Semaphore(1)
    memory = _Memory(MOST_BODIES * limits.push_max_bytes)

    async def push(request: Request) -> Response:
        _authorise(request, token)
        lines = _is_json_lines(request)
        _refuse_if_full(places)
        body = await _read_body(request, limits, memory)
        size = len(body)
        try:
            _refuse_if_full(places)
            async with places:
                return await take_in(body, lines)
        finally:
            memory.release(size)

    async def take_in(body: bytes, lines: bool) -> Response:
        # One at a time: a body that unfolds to many times its size does so once.
        async with reading:
            messages, rejected = await run_in_threadpool(_read, body, lines, limits.push_sources, limits.push_max_items)
        if not messages:
            raise Refusal(422, "no_message_accepted", f"none of {len(rejected)} messages was accepted", rejected)
        try:
            async with asyncio.timeout(acknowledge_s):
                ends = await asyncio.to_thread(producer.deliver, messages, timeout_s=acknowledge_s)
            if confirmation is not None:
                await asyncio.to_thread(confirmation.wait, ends, acknowledge_s)
        except NotCommitted as error:
            raise _unavailable("Kafka has the messages, but the workers did not commit them in time") from error
        except (NewstideError, TimeoutError) as error:
            raise _unavailable("Kafka did not acknowledge the messages in time") from error
        return _answer(202, {"accepted": len(messages), "rejected": rejected})

    async def healthz(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    return Starlette(
        routes=[Route("/v1/messages", push, methods=["POST"]), Route("/healthz", healthz, methods=["GET"])],
        exception_handlers={Refusal: _on_refusal, HTTPException: _on_http_exception, Exception: _on_fault},
    )


async def serve_push(settings: Settings, producer: MessageProducer, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then finish the requests under way. Raises SettingsError if the port is taken."""
    ingest = settings.ingest
    limits = Limits(ingest.push_header_timeout_s, ingest.push_max_connections, ingest.push_max_connections_per_peer)
    confirmation = Confirmation(settings) if ingest.push_confirms == "commit" else None
    server = Server(push_app(settings, producer, confirmation), limits, graceful_s=2 * int(ACKNOWLEDGE_S) + 5)
    address = "ingest.push_host and ingest.push_port"
    listener = listen(ingest.push_host, ingest.push_port, "the push endpoint", address)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    watcher = asyncio.create_task(watch())
    try:
        await server.serve(sockets=[listener])
    finally:
        watcher.cancel()
        listener.close()
        if confirmation is not None:
            confirmation.close()


class _Memory:
    """Bytes of request bodies held at the moment, all requests together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Raises a Refusal where the limit is reached: the sender comes again."""
        if self._held + size > self._limit:
            raise _unavailable("too much is being pushed at the moment")
        self._held += size

    def release(self, size: int) -> None:
        self._held -= size


def _refuse_if_full(places: asyncio.Semaphore) -> None:
    if places.locked():
        raise _unavailable(f"{MOST_AT_ONCE} pushes are waiting for Kafka already")


def _authorise(request: Request, token: bytes) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Compared in full whatever the scheme, so that the time taken tells nothing about the token.
    matches = hmac.compare_digest(given.strip().encode("latin-1", errors="replace"), token)
    if scheme.lower() != "bearer" or not matches:
        raise Refusal(401, "unauthorized", "the request needs the header `Authorization: Bearer TOKEN`")


def _is_json_lines(request: Request) -> bool:
    coding = request.headers.get("content-encoding", "identity").lower()
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if coding != "identity" or media not in ("application/json", *JSON_LINES):
        raise Refusal(
            415,
            "unsupported_media_type",
            f"the body is {media} ({coding}); send application/json or {JSON_LINES[0]}, not compressed",
        )
    return media in JSON_LINES


async def _read_body(request: Request, limits: IngestSettings, memory: _Memory) -> bytes:
    """The whole body, which is then the caller's to release from `memory`."""
    try:
        async with asyncio.timeout(limits.push_body_timeout_s):
            return await _read_parts(request, limits.push_max_bytes, memory)
    except TimeoutError as error:
        message = f"the body did not come within {limits.push_body_timeout_s:g} s (ingest.push_body_timeout_s)"
        raise Refusal(408, "timeout", f"{message}; send it again") from error


async def _read_parts(request: Request, limit: int, memory: _Memory) -> bytes:
    too_large = Refusal(413, "too_large", f"the body has more than {limit} bytes (ingest.push_max_bytes); send less")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise too_large
    body = bytearray()
    try:
        async for part in request.stream():
            memory.take(len(part))
            body += part
            if len(body) > limit:
                raise too_large
    except BaseException as error:
        memory.release(len(body))
        if isinstance(error, ClientDisconnect):
            raise Refusal(400, "incomplete", "the connection ended before the body did") from error
        raise
    return bytes(body)


def _read(body: bytes, lines: bool, sources: list[str], max_items: int) -> Any:
    try:
        return read_batch(
            body, lines=lines, sources=frozenset(sources), received_at=datetime.now(UTC), max_items=max_items
        )
    except TooManyItems as error:
        raise Refusal(413, "too_many_items", str(error)) from error
    except InputError as error:
        raise Refusal(400, "unreadable", str(error)) from error


def _unavailable(reason: str) -> Refusal:
    return Refusal(503, "unavailable", f"{reason}; send all of them again: duplicates are recognised by id")


def _on_refusal(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    body: dict[str, Any] = {"error": {"code": refusal.code, "message": refusal.message}}
    if refusal.rejected is not None:
        body |= {"accepted": 0, "rejected": refusal.rejected}
    headers = {
        401: {"WWW-Authenticate": "Bearer"},
        408: {"Connection": "close"},
        503: {"Retry-After": str(RETRY_AFTER_S)},
    }
    return _answer(refusal.status, body, headers.get(refusal.status))


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _WORDS.get(error.status_code, "error")
    return _answer(error.status_code, {"error": {"code": code, "message": error.detail}}, error.headers)


def _on_fault(request: Request, error: Exception) -> Response:
    return _answer(500, {"error": {"code": "internal", "message": "an unexpected fault; the log of ingest has it"}})


def _answer(status: int, body: Any, headers: Any = None) -> Response:
    metrics.PUSHES.labels(str(status)).inc()
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
