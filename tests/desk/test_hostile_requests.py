"""The desk as an attacker meets it: over a socket, without an account."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
from sqlalchemy import Engine

from core.http import Server, listen
from core.settings import Settings
from desk.app import create_app
from desk.server import _LIMITS
from tests.core.test_http import say

LIMITS = dataclasses.replace(_LIMITS, header_timeout_s=1, body_timeout_s=0.5)
DEEP = b'{"name":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def post(body: bytes, path: str = "/api/v1/session", length: int | None = None, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + more + b"\r\n"


ATTACKS = {
    "a slow body": (post(b"{", length=100), {408}),
    "a large body": (post(b" " * 1_000_001), {413}),
    "a large body for an upload": (post(b" " * 2_000_000, "/api/v1/labels/import"), {401}),
    "deep JSON": (post(DEEP), {400, 422}),
    "no UTF-8": (post(b'{"name": "\xff\xfe", "password": "x"}'), {400, 422}),
    "half a surrogate": (post(b'{"name": "\\ud800", "password": "\\udfff"}'), {401, 422}),
    "NUL": (post(b'{"name": "a\\u0000", "password": "b\\u0000"}'), {401, 422}),
    "a number without end": (post(b'{"name": ' + b"9" * 100_000 + b"}"), {400, 422}),
    "a thousand headers": (get(b"/", b"a: b\r\n" * 50_000), {400, 431}),
    "a long header": (get(b"/", b"cookie: " + b"a" * 200_000 + b"\r\n"), {400, 431}),
    "a long path": (get(b"/" + b"a" * 200_000), {400, 414}),
    "a broken path": (get(b"/%ff%fe/%00"), {200, 400, 404}),
    "NUL for a file": (get(b"/static/%00"), {400, 404}),
    "another file": (get(b"/static/..%2f..%2fapp.py"), {404}),
    "another file, twice encoded": (get(b"/static/%252e%252e/app.py"), {404}),
    "an absolute file": (get(b"/static//etc/passwd"), {404}),
    "a file by another root": (get(b"/static/%5c..%5capp.py"), {404}),
    "a cookie that is no token": (get(b"/api/v1/session", b"cookie: newstide_session=\xff\x00\r\n"), {400, 401}),
    "a query that is no text": (get(b"/?series=\xff", b"cookie: newstide_session=a\r\n"), {200, 400}),
    "a link in a query": (get(b"/?a=>;rel=stylesheet,<//evil.test>", b"cookie: newstide_session=a\r\n"), {200, 400}),
    "a token that is no text": (get(b"/api/v1/session", b"authorization: Bearer \xff\xfe\r\n"), {401}),
    "two lengths": (post(b"{}", more="content-length: 5\r\n"), {400}),
    "a length and chunks": (post(b"0\r\n\r\n", more="transfer-encoding: chunked\r\n"), {400, 422}),
    "an injected header": (get(b"/api/v1/session/oidc/callback?state=%0d%0aset-cookie:%20a=b"), {404}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
}


@pytest.mark.filterwarnings("error")
def test_each_attack_is_refused_and_the_next_request_answered(settings: Settings, engine: Engine) -> None:
    async def scene() -> dict[str, bytes]:
        server = Server(create_app(settings, engine), LIMITS, graceful_s=1)
        with listen("127.0.0.1", 0, "the desk", "no setting") as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            port = listener.getsockname()[1]
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                async with asyncio.timeout(120):
                    told = {}
                    for name, (said, _) in ATTACKS.items():
                        try:
                            told[name] = await say(port, said)
                        except ConnectionResetError:  # it was answered, and closed with bytes unread
                            told[name] = b""
                    told["next"] = await say(port, get(b"/api/v1/session"))
                    return told
            finally:
                server.should_exit = True
                await serving

    told = asyncio.run(scene())
    statuses = {name: int(answer.split(b" ", 2)[1]) for name, answer in told.items() if answer}
    wrong = {name: statuses.get(name) for name, (_, good) in ATTACKS.items() if statuses.get(name, 0) not in {0, *good}}
    assert wrong == {}
    assert statuses["next"] == 401
    body = json.loads(told["next"].partition(b"\r\n\r\n")[2])
    assert body["status"] == 401
    assert not any(b"\nset-cookie" in answer.lower() or b"root:" in answer for answer in told.values())
    assert b"rel=preload" in told["a link in a query"], "the document names what is asked for first"
    assert b"evil.test" not in told["a link in a query"]
