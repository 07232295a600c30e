"""Keeps the embedded database running: whoever uses it finds it again after a crash, on the same port.

The keeper is a thread, because every command that brings its own database needs it, whatever its main thread does. It
lives as long as the process: Linux counts the death of the thread that started a server as its parent's death.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from core.errors import EmbeddedPartError
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.embedded.process import LogLimit, describe_exit, is_taken

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 15.0
_STEADY_AFTER_S = 30.0  # a server that ran for so long is started again without a pause
_MOVE_AFTER_S = 10.0
_END_WITHIN_S = 30.0


class DatabaseKeeper:
    """Starts `server` on entering a `with` block, starts it again whenever it ends, and stops it on leaving.

    `say` takes one line for each end and each return. With `may_move` a port that stays taken by somebody else is given
    up for another free one: only for callers that tell their processes the new `server.url`.
    """

    def __init__(
        self, server: EmbeddedPostgres, say: Callable[[str], None] = log.warning, *, may_move: bool = False
    ) -> None:
        self.server = server
        self.restarts = 0
        self.exit_status: int | None = None
        self.failure: EmbeddedPartError | None = None
        self._say = say
        self._may_move = may_move
        self._failing_since = 0.0
        self._started_at = 0.0
        self._restarts_in_a_row = 0
        self._up = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="database keeper", daemon=True)

    @property
    def is_up(self) -> bool:
        """False from the moment an end is noticed until the server answers again."""
        return self._up.is_set()

    @property
    def failing_for_s(self) -> float:
        """How long every start has failed, in seconds; 0 unless the latest one did."""
        return time.monotonic() - self._failing_since if self.failure is not None else 0.0

    def __enter__(self) -> Self:
        self.server.start()
        self._started_at = time.monotonic()
        self._up.set()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.server.abandon()
        self._thread.join(_END_WITHIN_S)
        self.server.stop()

    def _keep(self) -> None:
        log_limit = LogLimit()
        while not self._closing.wait(_LOOK_EVERY_S):
            if not self.server.is_running():
                self._restart()
            if self.server.pid is not None:  # the log of a server that is only attached to is its owner's
                log_limit.look([self.server.log])

    def _restart(self) -> None:
        self._up.clear()
        ended = time.monotonic()
        self.exit_status = self.server.exit_status
        steady = ended - self._started_at > _STEADY_AFTER_S
        self._restarts_in_a_row = 0 if steady else self._restarts_in_a_row + 1
        how = "" if self.exit_status is None else f" ({describe_exit(self.exit_status)})"
        self._say(f"the embedded database ended{how}; starting it again")
        pause = 0.0 if steady else min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._restarts_in_a_row - 1))
        while not self._closing.wait(pause):
            try:
                self.server.start()
            except (EmbeddedPartError, psycopg.Error, OSError) as error:
                pause = min(_LONGEST_PAUSE_S, max(2 * pause, _FIRST_PAUSE_S))
                self._note_failure(error)
                continue
            self.failure = None
            self.restarts += 1
            self._started_at = time.monotonic()
            self._up.set()
            self._say(f"the embedded database is back after {self._started_at - ended:.1f} s")
            return

    def _note_failure(self, error: Exception) -> None:
        if self._closing.is_set():
            return
        failure = error if isinstance(error, EmbeddedPartError) else EmbeddedPartError(str(error).strip())
        if self.failure is None:
            self._failing_since = time.monotonic()
        if self.failure is None or _one_line(self.failure) != _one_line(failure):
            self._say(f"{_one_line(failure)}; trying again until it starts")
        self.failure = failure
        if self._may_move and self.failing_for_s > _MOVE_AFTER_S and is_taken(self.server.port):
            self.server.move()


def _one_line(error: EmbeddedPartError) -> str:
    """The message with, of the log it quotes, only what the last fault says, or the last line where none says FATAL."""
    first, *quoted = str(error).splitlines()
    faults = [match[0] for line in quoted if (match := re.search(r"(FATAL|PANIC|ERROR): .*", line))]
    return " ".join([first, *(faults or quoted)[-1:]])
