"""The wall clock, with a guard against its jumps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)

_LARGEST_STEP = timedelta(minutes=1)
_SETTLE_S = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class SteadyClock:
    """`clock`, but a jump ahead of more than a minute is believed only once it has lasted for a minute.

    A jump back is believed at once. `ticks` counts seconds and never jumps.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now, ticks: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ticks = ticks
        self._believed: tuple[datetime, float] | None = None
        self._jumped_at: float | None = None

    def __call__(self) -> datetime:
        now, ticks = self._clock(), self._ticks()
        if self._believed is not None:
            due = self._believed[0] + timedelta(seconds=ticks - self._believed[1])
            if now > due + _LARGEST_STEP:
                if self._jumped_at is None:
                    self._jumped_at = ticks
                    log.warning("the clock jumped from %s to %s; waiting whether it stays", due, now)
                if ticks - self._jumped_at < _SETTLE_S:
                    return due
        self._jumped_at = None
        self._believed = (now, ticks)
        return now
