"""Ending a worker that has work and does none: it looks alive to its group, so nothing else would.

Faust is known to stop consuming after a broker outage without an error; a restart is the cure, and losing nothing is
the transaction's business.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

EXIT_FAILED = 70  # EX_SOFTWARE: the supervisor starts the worker again and Kafka redelivers
EXIT_STALLED = 75  # EX_TEMPFAIL: start me again


class Stall:
    """How long there has been lag without progress. Pure: the caller brings the time."""

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._position = -1
        self._since = now

    def exceeded(self, now: float, lag: int | None, position: int, excused: bool) -> bool:
        """True once `lag` stood for longer than the limit while `position` did not move.

        `lag` None (the brokers did not say) and `excused` (waiting for a database that is known to be away) are no
        stall: the time starts anew.
        """
        if not lag or excused or position != self._position:
            self._position = position
            self._since = now
        return now - self._since > self._limit_s


def watch(
    stalls: Mapping[str, Stall],
    lag: Callable[[], Mapping[str, int] | None],
    position: Callable[[str], int],
    excused: Callable[[], bool],
    stopping: threading.Event,
    every_s: float = 5.0,
) -> None:
    """Look every `every_s` seconds until `stopping`; end the process when a topic stalls. Runs in a thread of its own.

    `lag` gives records behind by topic, `position` how many of a topic were acknowledged.
    """
    while not stopping.wait(every_s):
        behind = lag()
        for topic, stall in stalls.items():
            records = None if behind is None else behind.get(topic, 0)
            if stall.exceeded(time.monotonic(), records, position(topic), excused()):
                end_process(
                    EXIT_STALLED,
                    f"this worker is {records} records behind in {topic} and commits nothing; ending it, so that it is "
                    "started anew",
                )


def end_process(status: int, reason: str) -> None:
    """End the process at once: nothing of it may be acknowledged any more."""
    log.critical("%s", reason)
    logging.shutdown()
    os._exit(status)
