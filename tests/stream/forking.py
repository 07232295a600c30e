"""Processes of `newstide` that are forked off one which has imported what a worker needs.

Most of the two or three seconds of processor time that a worker's start takes are imports, and tests of faults start
workers by the dozen. What comes after is the command itself. Stacks, which `newstide up` starts, import for themselves.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from newstide.embedded.launch import die_with

REPOSITORY = Path(__file__).resolve().parents[2]

# All that a worker imports but for ONNX Runtime, which starts a thread at once.
_NEEDED = (
    "newstide.commands.worker",
    "core.epochs",
    "core.health",
    "core.serving",
    "faust.transport.drivers.aiokafka",
    "stream.archive",
    "stream.faust_app",
    "stream.ledger",
    "stream.progress",
    "stream.sending",
)


class Forked:
    """A process of the server's, with what of `subprocess.Popen` tests use."""

    def __init__(self, server: Server, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            self._status = self._server.ask({"poll": self.pid})
        return self._status

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() >= end:
                raise subprocess.TimeoutExpired(f"newstide, process {self.pid}", timeout)
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Server:
    """The process that forks; its children end with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stream.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._one_at_a_time = threading.Lock()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """`newstide` with these arguments, its output added to `log`."""
        return Forked(self, self.ask({"start": [*arguments], "environment": {**environment}, "log": str(log)}))

    def ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@cache
def server() -> Server:
    """The one of this test process."""
    made = Server()
    atexit.register(made.close)
    return made


def _threads() -> int:
    """Those of this process, also those that Python knows nothing of; 1 where nobody tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def _serve() -> None:
    """Answer requests until nobody is there to ask; a child returns from here as a program begins."""
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            parent = os.getpid()
            answer = os.fork()
            if answer == 0:
                _become(request, parent)
                return
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become(request: dict[str, Any], parent: int) -> None:
    """Take on the environment and the output that a process of its own would have, and end with the `parent`."""
    if sys.platform == "linux" and not die_with(parent):
        os._exit(1)
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    sys.argv = ["newstide", *request["start"]]


if __name__ == "__main__":
    for needed in _NEEDED:
        importlib.import_module(needed)
    from newstide.cli import main

    assert _threads() == 1, "a thread is not there in a process that is forked, which may end badly for want of it"
    gc.freeze()
    _serve()
    main()
