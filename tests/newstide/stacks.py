"""Stacks in processes of their own, as a user starts them, and what runs in their directories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0

ROLES = {
    "bin/postgres -D": "database",
    "tansu broker": "broker",
    "newstide worker": "worker",
    "newstide alerts": "alerts",
    "newstide ingest replay": "replay",
    "newstide ingest": "ingest",
}
"""Part of a command line -> what such a process is in a stack; the first that fits."""


def environment(directory: Path, **settings: str) -> dict[str, str]:
    quiet = {f"NEWSTIDE_METRICS__{name}_PORT": "0" for name in ("WORKER", "INGEST", "ALERTING", "DESK")}
    return {
        **os.environ,
        **quiet,
        "NEWSTIDE_EMBEDDED__DIRECTORY": str(directory / "newstide"),
        "PYTHONPATH": str(REPOSITORY),
        **settings,
    }


def newstide(directory: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "newstide", *arguments],
        env=environment(directory, **settings),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def answer(directory: Path, *arguments: str) -> Any:
    ended = newstide(directory, *arguments)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def processes_in(directory: Path) -> list[str]:
    """Command lines of living processes that name `directory`, in their arguments or environment."""
    return [command for _, command in _processes(directory)]


class RunningStack:
    """A `newstide up`, or another `command`, under way; `said()` is all it has printed."""

    def __init__(self, directory: Path, *arguments: str, command: tuple[str, ...] = ("up",), **settings: str) -> None:
        self.directory = directory
        self._log = directory / "up.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "newstide", *command, *arguments],
                env=environment(directory, **settings),
                cwd=directory,
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self, part: str) -> list[str]:
        """What it said that has `part` in it."""
        return [line for line in self.said().splitlines() if part in line]

    def pids(self, role: str) -> list[int]:
        """Processes that play `role` in it, see ROLES."""
        return [pid for pid, command in _processes(self.directory) if _role(command) == role]

    def kill(self, role: str, how: signal.Signals = signal.SIGKILL) -> bool:
        """Send a signal to the first process of that role; False if there is none at the moment."""
        for pid in self.pids(role)[:1]:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                return False
            return True
        return False

    def wait_for(self, condition: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"after {within_s:g} s still not: {what}\n{self.said()}"
            time.sleep(0.1)

    def end(self, how: signal.Signals = signal.SIGINT, within_s: float = PATIENCE_S) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(within_s)

    def __enter__(self) -> RunningStack:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _role(command: str) -> str | None:
    return next((role for part, role in ROLES.items() if part in command), None)


def _processes(directory: Path) -> list[tuple[int, str]]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            command = (process / "cmdline").read_bytes()
            surroundings = (process / "environ").read_bytes()
            place = os.fsencode((process / "cwd").readlink())
        except OSError:
            continue
        named = os.fsencode(directory)
        if state != "Z" and named in b"\0".join((command, surroundings, place)) and process.name != str(os.getpid()):
            found.append((int(process.name), command.replace(b"\0", b" ").decode(errors="replace").strip()))
    return found
