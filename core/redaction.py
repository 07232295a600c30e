"""Keeping passwords and tokens out of what people and machines may read: URLs and known secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "***"
_LEAST_SECRET = 4  # characters; a shorter one would be replaced in words that have nothing to do with it

_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/:@]*):(?P<password>[^\s/]*)@", re.IGNORECASE)
# Of a parameter: `api_token`, `appKey`, `client_secret`, `X-Amz-Signature`; no `keywords`, no `author`.
_SECRET_NAME = "pass|pwd|token|key(?!word)|secret|sig|auth(?!ors?(?![a-z]))|credential|jwt"
_SECRET_PARAMETER = re.compile(_SECRET_NAME, re.IGNORECASE)
_NAME_PART = r"[\w.%\[\]-]{0,60}"
_PARAMETER = re.compile(
    rf"(?P<name>(?<![\w.%\[\]-]){_NAME_PART}?(?:{_SECRET_NAME}){_NAME_PART}=|\bbearer\s+)[^\s&'\"]+", re.IGNORECASE
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without each of `secrets`, without passwords in URLs and in `name=value` pairs named like a secret."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", text)


def passwords(url: str) -> list[str]:
    """The password, and query values named like a secret, of a URL, as written and decoded."""
    try:
        parts = urlsplit(url)
        found = [parts.password or "", unquote(parts.password or "")]
    except ValueError:
        return []
    return found + [value for name, value in parse_qsl(parts.query) if names_secret(name)]


def names_secret(name: str) -> bool:
    """Whether a parameter or an option of this name holds what nobody should read."""
    return _SECRET_PARAMETER.search(name) is not None


def worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    """Distinct secrets long enough to be replaced in any text, the longest first."""
    return tuple(sorted({secret for secret in secrets if len(secret) >= _LEAST_SECRET}, key=len, reverse=True))
