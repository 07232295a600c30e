"""Rate limits that servers state in headers, and the least time between two requests to one host.

There is no standard yet: `X-RateLimit-Remaining` (or `RateLimit-Remaining`) counts the requests left, and the header
`-Reset` beside it says when there are more, as seconds from now (Reddit), seconds since 1970 (StockTwits, GitHub) or an
ISO time (Mastodon).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from core.retry_after import LONGEST_RETRY_AFTER_S
from ingest.times import parse_time

_PREFIXES = ("x-ratelimit-", "ratelimit-")


def pause_asked(headers: Mapping[str, str]) -> float:
    """Seconds until a server whose limit is used up takes requests again, at most a day; 0 while some are left."""
    for prefix in _PREFIXES:
        left = _number(headers.get(f"{prefix}remaining", ""))
        if left is not None and left < 1:
            return min(max(0.0, _seconds(headers.get(f"{prefix}reset", ""))), LONGEST_RETRY_AFTER_S)
    return 0.0


class Pacer:
    """Keeps requests to one host apart, whatever source they are for."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    async def wait(self, host: str, apart_s: float) -> None:
        """Return when it is this caller's turn; the next one for `host` comes `apart_s` seconds later."""
        now = time.monotonic()
        turn = max(now, self._free_at.get(host, 0.0))
        self._free_at[host] = turn + apart_s
        if turn > now:
            await asyncio.sleep(turn - now)

    def held(self, host: str) -> float:
        """Seconds until `host` takes the next request."""
        return max(0.0, self._free_at.get(host, 0.0) - time.monotonic())

    def hold(self, host: str, seconds: float) -> None:
        """No request to `host` for so many seconds."""
        self._free_at[host] = max(self._free_at.get(host, 0.0), time.monotonic() + seconds)


def _seconds(text: str) -> float:
    moment = parse_time(text)
    if moment is not None:
        return moment.timestamp() - time.time()
    return _number(text) or 0.0


def _number(text: str) -> float | None:
    try:
        number = float(text.strip()[:30])
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None
