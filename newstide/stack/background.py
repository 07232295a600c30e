"""Work that may block, kept off the loop that looks after processes.

The loop must start its processes from its own thread (see `newstide.embedded.launch`), so it is the blocking calls that
go elsewhere: each into a thread that nobody waits for, a generator asking once a tick whether it is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

import psycopg
from sqlalchemy import exc

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Steps of a longer task: it yields whenever it has to wait, and returns its result."""

DATABASE_AWAY = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.TimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""What a query raises when the server ends, restarts, or can't be reached."""

_RETRY_AFTER_S = 0.5


class Task(Generic[T]):
    """`function`, running in a thread of its own."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, timeout_s: float | None = None) -> T:
        """What the function returned. Raises what it raised, and TimeoutError if it is not done by then."""
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        if not self._result:
            raise TimeoutError
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:
            self._error = error


def in_background(function: Callable[[], T]) -> Steps[T]:
    """The result of `function`, which may block."""
    task = Task(function)
    while not task.done:
        yield
    return task.result()


def once_database_answers(function: Callable[[], T]) -> Steps[T]:
    """The result of `function`, tried again for as long as the database is away."""
    while True:
        try:
            return (yield from in_background(function))
        except DATABASE_AWAY:
            yield from pause(_RETRY_AFTER_S)


def pause(seconds: float) -> Steps[None]:
    """Let so many seconds pass."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
