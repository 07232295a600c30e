"""How often somebody may ask: a bucket of tokens for each key, in memory. Pure but for its clock."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_KEYS = 10_000


class RateLimit:
    """`burst` requests at once, and `per_second` on the long run, for each key. Thread-safe.

    At most 10,000 keys are remembered, those that asked last.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when

    def take(self, key: str) -> float | None:
        """Take a token of `key`: None if there was one, else the seconds until there is."""
        with self._lock:
            now = self._clock()
            left, since = self._buckets.pop(key, (float(self._burst), now))
            left = min(self._burst, left + (now - since) * self._per_second)
            allowed = left >= 1.0
            self._buckets[key] = (left - 1.0 if allowed else left, now)
            if len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
            return None if allowed else (1.0 - left) / self._per_second
