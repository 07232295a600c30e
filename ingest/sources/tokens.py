"""Access tokens for applications: the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import base64

import httpx
import msgspec

from ingest.feeds import Feed
from ingest.fetching import FetchFailed, explained
from ingest.rate_limits import pause_asked
from ingest.redirects import home, opened, shown

_WITHIN_S = 30.0
_MOST_BYTES = 100_000


class Granted(msgspec.Struct):
    """What the server grants; `expires_in` seconds from now it ends."""

    access_token: str
    expires_in: float = 600.0


async def fetch_token(client: httpx.AsyncClient, request: Feed, client_id: str, client_secret: str) -> Granted:
    """A token from the address of `request`. No redirect is followed: the secret goes there alone.

    Raises FetchFailed.
    """
    where = shown(request.url)
    try:
        async with asyncio.timeout(_WITHIN_S):
            body = await _post(client, request, client_id, client_secret)
        return msgspec.json.decode(body, type=Granted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FetchFailed(f"{where} answered no access token: {error}", "unreadable") from error
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise explained(error, request) from error


async def _post(client: httpx.AsyncClient, request: Feed, client_id: str, client_secret: str) -> bytes:
    where = shown(request.url)
    target = await home(httpx.URL(request.url), request.private)
    basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Accept": "application/json", "Accept-Encoding": "identity"}
    form = {"grant_type": "client_credentials"}
    async with opened(client, target, request.headers | headers, form) as response:
        if response.status_code != httpx.codes.OK:
            raise FetchFailed(
                f"{where} gave no access token but {response.status_code} {response.reason_phrase}; "
                "check the application's id and secret",
                "http-error",
                pause_asked(response.headers),
                response.status_code,
            )
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > _MOST_BYTES:
                raise FetchFailed(f"{where} answered more than an access token", "too-large")
        return body
