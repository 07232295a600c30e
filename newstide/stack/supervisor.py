"""Runs child processes: starts them, restarts those that crash, and leaves none behind.

A plain loop over `poll()`, in the main thread: a child dies with the thread that started it (see
`newstide.embedded.launch`). Children have sessions of their own, so Ctrl-C in the terminal reaches the supervisor only,
which ends them in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Literal, Self

from core.errors import NewstideError
from newstide.embedded.launch import bind_to_parent
from newstide.embedded.process import prepare_log, read_tail

State = Literal["new", "running", "waiting", "finished", "stopped"]

TICK_S = 0.1


class ChildFailed(NewstideError):
    """A process crashed again and again; its log says why, and the message quotes the end of it."""


@dataclass(frozen=True)
class Child:
    """One process to run. `environment` is added to ours; `log` takes both its outputs.

    A `one_shot` child is done once it exits with 0; any other exit, and any exit of another child, is a crash.
    Children of a lower `stop_order` are ended first, those of equal order together.
    """

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    one_shot: bool = False
    stop_order: int = 0
    grace_s: float = 10.0


@dataclass(frozen=True)
class ChildStatus:
    """What a display shows of a child. `pid` is None unless it runs; `exit_status` is that of its latest end."""

    name: str
    state: State
    pid: int | None
    restarts: int
    exit_status: int | None


@dataclass
class _Run:
    child: Child
    state: State = "new"
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    restarts: int = 0
    crashes_in_a_row: int = 0
    crashed_at: deque[float] = field(default_factory=deque)
    exit_status: int | None = None


class Supervisor:
    """Keeps its children running. Leaving the `with` block, however that comes about, ends them all.

    A crashed child is started again after `backoff_s`, doubled for each crash in a row up to `max_backoff_s`; one that
    lived `within_s` seconds counts as healthy again. `max_crashes` within `within_s` raise ChildFailed out of `poll()`.
    """

    def __init__(
        self,
        *,
        max_crashes: int = 5,
        within_s: float = 60.0,
        backoff_s: float = 0.5,
        max_backoff_s: float = 15.0,
    ) -> None:
        self._runs: dict[str, _Run] = {}
        self._max_crashes = max_crashes
        self._within_s = within_s
        self._backoff_s = backoff_s
        self._max_backoff_s = max_backoff_s

    def start(self, child: Child) -> None:
        """Start `child` and keep it running. Its name must be new, or that of a child that has finished or stopped."""
        known = self._runs.get(child.name)
        if known is not None and known.state in ("running", "waiting"):
            raise ValueError(f"a child named {child.name!r} runs already")
        self._runs[child.name] = run = _Run(child)
        self._launch(run)

    def poll(self) -> None:
        """Look once after every child: note ends, start again what is due. Call it several times a second."""
        for run in self._runs.values():
            if run.state == "running" and run.process is not None and run.process.poll() is not None:
                self._note_end(run, int(run.process.returncode))
            if run.state == "waiting" and time.monotonic() >= run.due_at:
                run.restarts += 1
                self._launch(run)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Poll until `until()` is true, SIGINT, SIGTERM or SIGHUP comes, or all children have finished."""
        with catch_stop_signals() as stopping:
            while not stopping() and not until():
                self.poll()
                if all(run.state in ("finished", "stopped") for run in self._runs.values()):
                    return
                time.sleep(TICK_S)

    def status(self) -> list[ChildStatus]:
        """State of every child, in the order they were started."""
        return [
            ChildStatus(
                name=name,
                state=run.state,
                pid=run.process.pid if run.process is not None and run.state == "running" else None,
                restarts=run.restarts,
                exit_status=run.exit_status,
            )
            for name, run in self._runs.items()
        ]

    def stop(self, *names: str) -> None:
        """End the named children, or all: SIGTERM, and SIGKILL after their grace. Interrupted, it kills at once."""
        chosen = [run for name, run in self._runs.items() if not names or name in names]
        try:
            for order in sorted({run.child.stop_order for run in chosen}):
                _end_together([run for run in chosen if run.child.stop_order == order])
        finally:
            for run in chosen:
                _kill(run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, run: _Run) -> None:
        try:
            with prepare_log(run.child.log).open("ab") as log:
                run.process = subprocess.Popen(
                    bind_to_parent(run.child.argv),
                    env={**os.environ, **run.child.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            run.state = "stopped"
            raise ChildFailed(
                f"{run.child.name} can't be started: {error.strerror} ({error.filename}); "
                f"its log is {run.child.log}, which must be writable"
            ) from error
        run.state = "running"
        run.started_at = time.monotonic()

    def _note_end(self, run: _Run, status: int) -> None:
        now = time.monotonic()
        run.exit_status = status
        _sweep(run)
        if status == 0 and run.child.one_shot:
            run.state = "finished"
            return
        run.crashed_at.append(now)
        while run.crashed_at[0] < now - self._within_s:
            run.crashed_at.popleft()
        if len(run.crashed_at) >= self._max_crashes:
            run.state = "stopped"
            raise ChildFailed(
                f"{run.child.name} ended {len(run.crashed_at)} times within {self._within_s:.0f} s "
                f"(last: {describe_exit(status)}); its log, {run.child.log}, ends with:\n"
                f"{read_tail(run.child.log) or '(nothing)'}"
            )
        run.crashes_in_a_row = 1 if now - run.started_at > self._within_s else run.crashes_in_a_row + 1
        run.due_at = now + min(self._max_backoff_s, self._backoff_s * 2 ** (run.crashes_in_a_row - 1))
        run.state = "waiting"


def describe_exit(status: int) -> str:
    """`exit status 1`, or `killed by SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


@contextmanager
def catch_stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields a function that is true once SIGINT, SIGTERM or SIGHUP has come; a second signal interrupts as usual.

    The former handlers are back after the block. Main thread only.
    """
    caught = [False]

    def note(number: int, frame: FrameType | None) -> None:
        if caught[0]:
            raise KeyboardInterrupt
        caught[0] = True

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield lambda: caught[0]
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_together(runs: list[_Run]) -> None:
    alive = [run for run in runs if run.process is not None and run.process.poll() is None]
    for run in alive:
        if run.process is not None:
            run.process.terminate()
    deadline = time.monotonic() + max((run.child.grace_s for run in alive), default=0.0)
    while any(run.process is not None and run.process.poll() is None for run in alive) and time.monotonic() < deadline:
        time.sleep(0.02)
    for run in runs:
        _kill(run)


def _kill(run: _Run) -> None:
    if run.process is not None:
        if run.process.poll() is None:
            run.process.kill()
        run.exit_status = run.process.wait()
        _sweep(run)
    if run.state != "finished":
        run.state = "stopped"


def _sweep(run: _Run) -> None:
    """Kill what a child that has ended left behind in its process group."""
    if run.process is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(run.process.pid, signal.SIGKILL)
