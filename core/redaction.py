"""Keeping passwords and tokens out of what people and machines may read: URLs and known secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "***"
_LEAST_SECRET = 4  # characters; a shorter one would be replaced in words that have nothing to do with it

_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/:@]*):(?P<password>[^\s/]*)@", re.IGNORECASE)
_BEARER = re.compile(r"(\bbearer\s+)[^\s&'\"]+", re.IGNORECASE)
_NAME = re.compile(r"(?<![\w.%\[\]-])([\w.%\[\]-]++)=")
_VALUE = re.compile(r"[^\s&'\"]+")
# The words of a name, and what makes it one of a secret, in them joined by underscores. Short words count where a word
# ends with them (`apikey`, `dbpass`, `api_sig`), unless it is one that everybody knows; of doubtful ones none is shown.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_NAME = re.compile(
    r"secret(?!ar[iy])|passw|passphrase|passcode|pwd|credential|jwt|signature|signed_?request|sess(?:ion)?_?id"
    r"|auth(?!or(?!i[sz])|entic(?!at))"
    r"|token(?!s(?![a-z])|i[sz])|(?:access|api|push|refresh|session)_?tokens"
    r"|(?<!mon)(?<!don)(?<!tur)(?<!hoc)(?<!joc)(?<!whis)key(?:s|id)?(?![a-z]|_words?(?![a-z]))"
    r"|(?:access|api|app|auth|private)_?key(?!_?words?(?![a-z]))"
    r"|(?<!com)(?<!by)(?<!over)(?<!under)(?<!sur)(?<!tres)pass(?![a-z])"
    r"|(?<!as)(?<!con)(?<!de)(?<!en)(?<!re)sign?(?![a-z])"
    r"|(?<![a-z])pw(?![a-z])"
)
_HARMLESS_HEADER = re.compile(
    r"accept(-.+)?|cache-control|connection|content-(encoding|language|length|type)|dnt|if-(modified-since|none-match)"
    r"|pragma|prefer|priority|range|sec-(ch|fetch)-.+|te|upgrade-insecure-requests|user-agent|x-requested-with",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without each of `secrets`, without passwords in URLs and in `name=value` pairs named like a secret."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    return _without_values(_BEARER.sub(rf"\g<1>{HIDDEN}", text))


def _without_values(text: str) -> str:
    kept, end = [], 0
    for found in _NAME.finditer(text):
        # A value may hold pairs of its own, as an address does.
        if found.start() >= end and names_secret(found[1]) and (value := _VALUE.match(text, found.end())):
            kept += [text[end : found.end()], HIDDEN]
            end = value.end()
    return "".join([*kept, text[end:]])


def passwords(url: str) -> list[str]:
    """The password, and query values named like a secret, of a URL, as written and decoded."""
    try:
        parts = urlsplit(url)
        found = [parts.password or "", unquote(parts.password or "")]
    except ValueError:
        return []
    return found + [value for name, value in parse_qsl(parts.query) if names_secret(name)]


def names_secret(name: str) -> bool:
    """Whether a parameter or an option of this name, as `api_token` or `appKey`, holds what nobody should read."""
    return _SECRET_NAME.search("_".join(_WORD.findall(unquote(name))).lower()) is not None


def secret_headers(headers: Mapping[str, Any]) -> list[Any]:
    """Values of headers that nobody should read: of all but those well known to hold no secret, such as `Accept`."""
    return [value for name, value in headers.items() if not _HARMLESS_HEADER.fullmatch(name)]


def worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    """Distinct secrets long enough to be replaced in any text, the longest first."""
    return tuple(sorted({secret for secret in secrets if len(secret) >= _LEAST_SECRET}, key=len, reverse=True))
