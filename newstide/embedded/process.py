"""What the embedded broker and database share: free ports, log files and an orderly end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MAX_LOG_BYTES = 20_000_000
_LOOK_AT_LOGS_EVERY_S = 60.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """True if somebody already holds `port` on the loopback interface."""
    with socket.socket() as probe:
        # without it a port whose last connections linger in TIME_WAIT would count as taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listens(pid: int, port: int) -> bool:
    """True if the process itself listens on TCP `port`: who answers there may be another that was faster."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False  # it has ended, or is about to
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)


def prepare_log(path: Path) -> Path:
    """Make room for a log at `path`: its directory, and the previous log moved aside once it is large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(_aside(path))
    return path


def empty_log(path: Path) -> None:
    """Copy a log that is large aside and empty it, while the process that appends to it goes on."""
    with suppress(OSError):  # it is tried again, and a log ends nobody
        if path.stat().st_size > MAX_LOG_BYTES:
            shutil.copyfile(path, _aside(path))
            os.truncate(path, 0)


class LogLimit:
    """Keeps the logs of processes that run for months from growing without bound."""

    def __init__(self) -> None:
        self._next_look = time.monotonic() + _LOOK_AT_LOGS_EVERY_S

    def look(self, logs: Iterable[Path]) -> None:
        """Empty those of `logs` that are large, once a minute: call it as often as you like."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_AT_LOGS_EVERY_S
            for log in logs:
                empty_log(log)


def _aside(log: Path) -> Path:
    return log.with_suffix(log.suffix + ".old")


def read_tail(path: Path, lines: int = 15) -> str:
    """Last `lines` lines of a log; an empty string if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - 20_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """True until the process is gone altogether: one that is just dying, or dead and not waited for, still counts."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child, killed and not yet waited for, would count for ever
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def read_command_line(pid: int) -> str:
    """Command line of a running process; empty if there is none, or if it has ended or is about to.

    File names in it are as `str(path)` has them, whatever their bytes.
    """
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            return ""
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)
    return os.fsdecode(listed.stdout).strip()


def describe_exit(status: int) -> str:
    """`exit status 1`, or `killed by SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def working_in(directory: Path) -> list[int]:
    """Processes whose working directory is `directory`, as far as Linux shows them to us; none elsewhere."""
    found = []
    directory = directory.resolve()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
    return found


def end(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> int:
    """Send each signal in turn until the process has ended, waiting so many seconds after each; then SIGKILL.

    Returns the exit status. Interrupted while waiting, it kills first and then lets the interruption through.
    """
    try:
        for wish, seconds in steps:
            if process.poll() is None:
                process.send_signal(wish)
                try:
                    return process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return int(process.returncode)
