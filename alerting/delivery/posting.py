"""JSON over HTTP: what the answer means for the next try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from alerting.delivery.channel import DeliveryFailed
from alerting.rules.secret import Secret
from core.logs import hide
from core.redaction import secret_headers
from core.retry_after import LONGEST_RETRY_AFTER_S, retry_after

_PASSING = (408, 425, 429)
"""Refusals that a later try may escape: timeout, too early, too many requests (RFC 9110, 8470 and 6585)."""


def is_final(status: int) -> bool:
    """Whether the same request would be refused again."""
    return 400 <= status < 500 and status not in _PASSING


class Post:
    """Posts to one address, which is never shown: it may be a secret. Redirects are not followed."""

    def __init__(self, url: str, timeout_s: float, what: str, headers: Mapping[str, Secret] | None = None) -> None:
        self._url = url
        self._what = what
        always = {name: secret.reveal() for name, secret in (headers or {}).items()}
        hide(secret_headers(always))
        import httpx  # a good part of the time that a start takes, for those who post

        self._failures = (httpx.HTTPError, httpx.InvalidURL, ValueError)
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False, headers=always)

    def send(self, document: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send `document`; any 2xx answer means it arrived. Raises DeliveryFailed otherwise."""
        content = orjson.dumps(document)
        try:
            answer = self._client.post(
                self._url, content=content, headers={"Content-Type": "application/json", **(headers or {})}
            )
        except self._failures as error:
            # the exception's text repeats the URL
            reason = f"{self._what} could not be reached ({type(error).__name__})"
            raise DeliveryFailed(reason, unreachable=True) from error
        if not answer.is_success:
            asked = retry_after(answer.headers.get("retry-after", ""), answer.headers.get("date", ""))
            raise DeliveryFailed(
                f"{self._what} answered with status {answer.status_code}",
                final=is_final(answer.status_code),
                retry_after_s=min(asked, LONGEST_RETRY_AFTER_S),
            )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
