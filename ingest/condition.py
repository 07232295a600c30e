"""Whether one feed or source is up: counted, logged once a reason, and asked less often while it fails."""

from __future__ import annotations

import asyncio
import logging
import random
import re

from core import metrics

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 3_600.0
JITTER = 0.1
_REASON = "down: "
_MOST_REASONS = 100
_LONG_NUMBER = re.compile(r"\d{4,}|0x[0-9a-f]+|(?<=for )\d+")


class Condition:
    """The condition of the feed or source called `name`, of the kind `what` ("feed", "source")."""

    def __init__(self, name: str, what: str, interval_s: float) -> None:
        self.failures = 0
        self._name = name
        self._what = what
        self._interval_s = interval_s
        self._up: bool | None = None
        self._logged: set[str] = set()  # what was logged already: reasons since it was last up, and remarks
        self._retry_after_s = 0.0

    def next_pause(self) -> float:
        """Seconds to the next try: the interval, doubled for each failure in a row, give or take a tenth.

        A server that asks for patience is not asked again before its time.
        """
        pause = self._interval_s
        if self.failures:
            pause = min(pause * 2.0 ** min(self.failures, 20), max(LONGEST_BACKOFF_S, self._interval_s))
        return max(pause * random.uniform(1 - JITTER, 1 + JITTER), self._retry_after_s)

    def remark(self, text: str) -> None:
        """Log `text`, once in the life of the process."""
        if text not in self._logged and len(self._logged) < _MOST_REASONS:
            self._logged.add(text)
            log.warning("%s %s %s", self._what, self._name, text)

    def up(self, where: str, outcome: str = "ok") -> None:
        """It answered from `where`."""
        metrics.FEED_FETCHES.labels(metrics.source_label(self._name), outcome).inc()
        metrics.FEED_UP.labels(metrics.source_label(self._name)).set(1)
        if self._up is not True:
            after = f" again after {self.failures} failed tries" if self.failures else ""
            log.info("%s %s is up%s: %s", self._what, self._name, after, where)
            self._logged = {text for text in self._logged if not text.startswith(_REASON)}
        self.failures = 0
        self._retry_after_s = 0.0
        self._up = True

    def down(self, reason: str, outcome: str, retry_after_s: float = 0.0) -> None:
        """It failed; `outcome` is the metric's word for it, `retry_after_s` the server's wish."""
        self.failures += 1
        self._retry_after_s = retry_after_s
        metrics.FEED_FETCHES.labels(metrics.source_label(self._name), outcome).inc()
        metrics.FEED_UP.labels(metrics.source_label(self._name)).set(0)
        self._up = False
        # Numbers of some length are times, ports and counts: they make no new reason.
        kind = _REASON + _LONG_NUMBER.sub("#", f"{outcome} {reason}")
        if kind not in self._logged and len(self._logged) < _MOST_REASONS:
            self._logged.add(kind)
            log.warning(
                "%s %s is down: %s; trying again, the other feeds go on",
                self._what,
                self._name,
                reason,
            )


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait `seconds`, or until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
