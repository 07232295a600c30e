"""The HTTP push endpoint: `POST /v1/messages` answers 202 once Kafka has the messages, and `GET /healthz`."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import InputError, NewstideError, SettingsError
from core.settings import Settings
from ingest.batches import JSON_LINES, Rejection, read_batch
from ingest.producer import MessageProducer

ACKNOWLEDGE_S = 15.0
RETRY_AFTER_S = 5
MOST_AT_ONCE = 8
_WORDS = {404: "not_found", 405: "method_not_allowed"}


class Refusal(Exception):
    """A request that is answered with an error: HTTP status, a word for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, rejected: list[Rejection] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.rejected = rejected


def push_app(settings: Settings, producer: MessageProducer, *, acknowledge_s: float = ACKNOWLEDGE_S) -> Starlette:
    """The ASGI application. `acknowledge_s`: how long a request waits for Kafka before it answers 503.

    Raises SettingsError if `ingest.push_token` is not set.
    """
    secret = settings.ingest.push_token
    if secret is None or not secret.get_secret_value():
        raise SettingsError(
            "the push endpoint needs a token; set NEWSTIDE_INGEST__PUSH_TOKEN to a long random text of your own"
        )
    token = secret.get_secret_value().encode()
    places = asyncio.Semaphore(MOST_AT_ONCE)

    async def push(request: Request) -> Response:
        _authorise(request, token)
        lines = _is_json_lines(request)
        _refuse_if_full(places)
        body = await _read_body(request, settings.ingest.push_max_bytes)
        _refuse_if_full(places)
        async with places:
            messages, rejected = await run_in_threadpool(_read, body, lines, settings.ingest.push_sources)
            if not messages:
                raise Refusal(422, "no_message_accepted", f"none of {len(rejected)} messages was accepted", rejected)
            try:
                async with asyncio.timeout(acknowledge_s):
                    await asyncio.to_thread(producer.deliver, messages, timeout_s=acknowledge_s)
            except (NewstideError, TimeoutError) as error:
                raise _unavailable("Kafka did not acknowledge the messages in time") from error
        return _answer(202, {"accepted": len(messages), "rejected": rejected})

    async def healthz(request: Request) -> Response:
        return _answer(200, {"status": "ok"})

    return Starlette(
        routes=[Route("/v1/messages", push, methods=["POST"]), Route("/healthz", healthz, methods=["GET"])],
        exception_handlers={Refusal: _on_refusal, HTTPException: _on_http_exception, Exception: _on_fault},
    )


async def serve_push(settings: Settings, producer: MessageProducer, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then finish the requests under way. Raises SettingsError if the port is taken."""
    config = uvicorn.Config(
        push_app(settings, producer),
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=int(ACKNOWLEDGE_S) + 5,
        timeout_keep_alive=15,
        limit_concurrency=64,
    )
    server = _Server(config)
    listener = _listen(settings.ingest.push_host, settings.ingest.push_port)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    watcher = asyncio.create_task(watch())
    try:
        await server.serve(sockets=[listener])
    finally:
        watcher.cancel()
        listener.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # The process stops feeds and endpoint together, so signals are its business, not uvicorn's.
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"the push endpoint can't listen on {host}:{port}: {error.strerror}; "
            "choose another address with ingest.push_host and ingest.push_port"
        ) from error
    return listener


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


async def _read_body(request: Request, limit: int) -> bytes:
    too_large = Refusal(413, "too_large", f"the body has more than {limit} bytes (ingest.push_max_bytes); send less")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large
    except ClientDisconnect as error:
        raise Refusal(400, "incomplete", "the connection ended before the body did") from error
    return b"".join(parts)


def _read(body: bytes, lines: bool, sources: list[str]) -> Any:
    try:
        return read_batch(body, lines=lines, sources=frozenset(sources), received_at=datetime.now(UTC))
    except InputError as error:
        raise Refusal(400, "unreadable", str(error)) from error


def _unavailable(reason: str) -> Refusal:
    return Refusal(503, "unavailable", f"{reason}; send all of them again: duplicates are recognised by id")


def _on_refusal(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    body: dict[str, Any] = {"error": {"code": refusal.code, "message": refusal.message}}
    if refusal.rejected is not None:
        body |= {"accepted": 0, "rejected": refusal.rejected}
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_AFTER_S)}}
    return _answer(refusal.status, body, headers.get(refusal.status))


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _WORDS.get(error.status_code, "error")
    return _answer(error.status_code, {"error": {"code": code, "message": error.detail}}, error.headers)


def _on_fault(request: Request, error: Exception) -> Response:
    return _answer(500, {"error": {"code": "internal", "message": "an unexpected fault; the log of ingest has it"}})


def _answer(status: int, body: Any, headers: Any = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
