"""What the ends of a process mean: a pause before its next start, or that starting it has no point. Pure."""

from __future__ import annotations

import os
import signal

STEADY_AFTER_S = 30.0
"""A process that lived for so long was able to start, and what ended it came later."""

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
_FROM_OUTSIDE = {
    0,
    os.EX_TEMPFAIL,
    *(-number for number in _SIGNALS),
    *(128 + number for number in _SIGNALS),  # as a shell says it, and a program that ended in order on a signal
}


class Crashes:
    """The ends of one process so far.

    An end from outside (a signal that a process does not send itself, status 0, or EX_TEMPFAIL: "start me again") and
    one during an outage of what the process depends on say nothing against it. It is given up after `most` ends of its
    own in a row if it never lived for STEADY_AFTER_S, and after four times as many if it did.
    """

    def __init__(self, most: int, first_pause_s: float, longest_pause_s: float) -> None:
        self.own_in_a_row = 0
        self._most = most
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._in_a_row = 0
        self._was_steady = False

    def note(self, status: int, lived_s: float, outage: bool) -> float | None:
        """Note an end; the seconds to wait before the next start, doubled for each end in a row, or None: give up."""
        if lived_s > STEADY_AFTER_S:
            self._was_steady = True
            self._in_a_row = self.own_in_a_row = 0
        self._in_a_row += 1
        if status not in _FROM_OUTSIDE and not outage:
            self.own_in_a_row += 1
        if self.own_in_a_row >= self._most * (4 if self._was_steady else 1):
            return None
        return min(self._longest_pause_s, self._first_pause_s * 2.0 ** (self._in_a_row - 1))
