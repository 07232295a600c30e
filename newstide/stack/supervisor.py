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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Literal, Self

from core.errors import NewstideError, describe_fault
from newstide.embedded.launch import bind_to_parent
from newstide.embedded.process import LogLimit, describe_exit, prepare_log, read_tail
from newstide.stack.crashes import Crashes

State = Literal["new", "running", "waiting", "suspended", "finished", "stopped"]

TICK_S = 0.1
_RELAUNCH_AFTER_S = 5.0


class ChildFailed(NewstideError):
    """A process can't be started, or ends again and again; its log says why, and the message quotes the end of it."""


@dataclass(frozen=True)
class Child:
    """One process to run. `environment` is added to ours; `log` takes both its outputs.

    A `one_shot` child is done once it exits with 0; after any other exit, and any exit of another child, it is started
    again, as `argv_again` where that is given. Children of a lower `stop_order` are ended first, those of equal order
    together. One that is not `essential` is given up quietly where others raise ChildFailed.
    """

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    argv_again: Sequence[str] = ()
    one_shot: bool = False
    essential: bool = True
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
class _Supervised:
    child: Child
    crashes: Crashes
    state: State = "new"
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    restarts: int = 0
    exit_status: int | None = None


class Supervisor:
    """Keeps its children running. Leaving the `with` block, however that comes about, ends them all.

    A child that ended is started again after `backoff_s`, doubled for each end in a row up to `max_backoff_s`. One that
    ends by itself `max_crashes` times in a row and never got going raises ChildFailed out of `poll()`; see `Crashes`.
    `outage` says whether something that the children depend on is away; what they do meanwhile is not held against
    them. `say` takes a line for each end that is worth one.
    """

    def __init__(
        self,
        *,
        max_crashes: int = 5,
        backoff_s: float = 0.5,
        max_backoff_s: float = 15.0,
        outage: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._runs: dict[str, _Supervised] = {}
        self._new_crashes = partial(Crashes, max_crashes, backoff_s, max_backoff_s)
        self._outage = outage
        self._say = say
        self._log_limit = LogLimit()

    def start(self, child: Child) -> None:
        """Start `child` and keep it running. Its name must be new, or that of one that does not run and won't.

        For one that was suspended it counts as a restart. Raises ChildFailed where an essential child can't be started
        the first time; any other is tried again.
        """
        known = self._runs.get(child.name)
        if known is not None and known.state in ("running", "waiting"):
            raise ValueError(f"a child named {child.name!r} runs already")
        run = _Supervised(child, self._new_crashes())
        if known is not None and known.state == "suspended":
            run.restarts = known.restarts + 1
        self._runs[child.name] = run
        try:
            self._launch(run, child.argv)
        except OSError as error:
            if known is None and child.essential:
                run.state = "stopped"
                raise ChildFailed(_describe_failed_launch(child, error)) from error
            self._postpone(run, error)

    def suspend(self) -> None:
        """Kill every child that runs or waits to; each stays down until it is started again."""
        for run in self._runs.values():
            if run.state in ("running", "waiting"):
                _kill(run)
                run.state = "suspended"

    def poll(self) -> None:
        """Look once after every child: note ends, start again what is due. Call it several times a second.

        Once a minute large logs are emptied, but for those of one-shots, whose end somebody may wait to read.
        """
        for run in self._runs.values():
            if run.state == "running" and run.process is not None and run.process.poll() is not None:
                self._note_end(run, int(run.process.returncode))
            if run.state == "waiting" and time.monotonic() >= run.due_at:
                self._restart(run)
        runs = self._runs.values()
        self._log_limit.look(run.child.log for run in runs if run.state == "running" and not run.child.one_shot)

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

    def _restart(self, run: _Supervised) -> None:
        begun = run.process is not None  # else its first launch failed, and there is nothing to go on with
        run.restarts += begun
        try:
            self._launch(run, run.child.argv_again if begun and run.child.argv_again else run.child.argv)
        except OSError as error:
            self._postpone(run, error)

    def _postpone(self, run: _Supervised, error: OSError) -> None:
        self._say(f"{_describe_failed_launch(run.child, error)}; trying again")
        run.state, run.due_at = "waiting", time.monotonic() + _RELAUNCH_AFTER_S

    def _launch(self, run: _Supervised, argv: Sequence[str]) -> None:
        with prepare_log(run.child.log).open("ab") as log:
            run.process = subprocess.Popen(
                bind_to_parent(argv),
                env={**os.environ, **run.child.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        run.state = "running"
        run.started_at = time.monotonic()

    def _note_end(self, run: _Supervised, status: int) -> None:
        now = time.monotonic()
        run.exit_status = status
        _sweep(run)
        if status == 0 and run.child.one_shot:
            run.state = "finished"
            return
        pause = run.crashes.note(status, now - run.started_at, self._outage())
        if pause is not None:
            run.state, run.due_at = "waiting", now + pause
            self._say(f"{run.child.name} ended ({describe_exit(status)}); starting it again")
            return
        run.state = "stopped"
        failure = (
            f"{run.child.name} ended {run.crashes.own_in_a_row} times in a row by itself "
            f"(last: {describe_exit(status)}); its log, {run.child.log}, ends with:\n"
            f"{read_tail(run.child.log) or '(nothing)'}"
        )
        if run.child.essential:
            raise ChildFailed(failure)
        self._say(failure.splitlines()[0])


def _describe_failed_launch(child: Child, error: OSError) -> str:
    return f"{child.name} can't be started: {describe_fault(error)}; its log is {child.log}, which must be writable"


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


def _end_together(runs: list[_Supervised]) -> None:
    alive = [run for run in runs if run.process is not None and run.process.poll() is None]
    for run in alive:
        if run.process is not None:
            run.process.terminate()
    deadline = time.monotonic() + max((run.child.grace_s for run in alive), default=0.0)
    while any(run.process is not None and run.process.poll() is None for run in alive) and time.monotonic() < deadline:
        time.sleep(0.02)
    for run in runs:
        _kill(run)


def _kill(run: _Supervised) -> None:
    if run.process is not None:
        if run.process.poll() is None:
            run.process.kill()
        run.exit_status = run.process.wait()
        _sweep(run)
    if run.state != "finished":
        run.state = "stopped"


def _sweep(run: _Supervised) -> None:
    """Kill what a child that has ended left behind in its process group."""
    if run.process is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(run.process.pid, signal.SIGKILL)
