"""The probes of real processes whose database and brokers are away, come, and go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.postgres import EmbeddedPostgres
from tests.ports import free_port
from tests.stream.harness import as_input, committed, make_settings, produce, scenario_messages, wait_until

WATCHDOG_S = 5.1  # the least that the setting takes is 5


@contextmanager
def process(*arguments: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    settings = {f"NEWSTIDE_{name}": value for name, value in environment.items()}
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "newstide", *arguments], env={**os.environ, **settings}, stderr=log, cwd=folder
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def wait_for(port: int, path: str, status: int) -> dict[str, Any]:
    """The body once the probe answers `status`."""
    deadline = time.monotonic() + 90
    seen = None
    while time.monotonic() < deadline:
        try:
            response = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10)
        except httpx.TransportError as error:
            seen = repr(error)
        else:
            seen = response.text
            if response.status_code == status:
                body: dict[str, Any] = response.json()
                return body
        time.sleep(0.2)
    raise AssertionError(f"{path} never answered {status}; at last: {seen}")


@pytest.mark.parametrize(
    ("arguments", "setting", "check"),
    [
        (("alerts", "run"), "METRICS__ALERTING_PORT", "judging"),
        (("worker", "--index", "0"), "METRICS__WORKER_PORT", "commits"),
        (("ingest", "serve"), "METRICS__INGEST_PORT", "kafka"),
    ],
)
def test_a_process_that_waits_is_alive_and_not_ready(
    arguments: tuple[str, ...], setting: str, check: str, tmp_path: Path
) -> None:
    port, nobody = free_port(), free_port()
    away = {
        "DATABASE__URL": f"postgresql://u:p@127.0.0.1:{nobody}/n",
        "KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}",
        "INGEST__PUSH_TOKEN": "a-long-token",
        "INGEST__PUSH_PORT": str(free_port()),
    }
    with process(*arguments, folder=tmp_path, **away, **{setting: str(port)}):
        assert wait_for(port, "/healthz", 200)["status"] == "ok"
        assert wait_for(port, "/readyz", 503)["checks"][check] != "ok"


def test_a_worker_is_ready_once_it_has_nothing_left_to_commit(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedBroker(tmp_path) as broker:
        here = {"DATABASE__URL": database_url, "KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        with process("worker", "--index", "0", folder=tmp_path, METRICS__WORKER_PORT=str(port), **here):
            checks = wait_for(port, "/readyz", 200)["checks"]
            assert {"thread watchdog", "thread models", "event loop", "commits"} <= set(checks)


def test_alerting_follows_its_database(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    here = {"DATABASE__URL": database_url, "METRICS__ALERTING_PORT": str(port)}
    with process("alerts", "run", folder=tmp_path, **here):
        assert wait_for(port, "/readyz", 200)["component"] == "alerts"


def test_alerting_is_not_ready_while_the_brokers_do_not_say_how_far_they_are(database_url: str, tmp_path: Path) -> None:
    port, broker_port = free_port(), free_port()
    here = {"DATABASE__URL": database_url, "KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{broker_port}"}
    with process("alerts", "run", folder=tmp_path, METRICS__ALERTING_PORT=str(port), **here):
        wait_until(lambda: wait_for(port, "/readyz", 503)["checks"].get("judging") == "ok", "it judges")
        checks = wait_for(port, "/readyz", 503)["checks"]
        assert checks["kafka"] != "ok"
        assert wait_for(port, "/healthz", 200)["checks"]["thread partition-ends"] == "ok"


def test_a_database_that_is_away_restarts_nobody(postgres: EmbeddedPostgres, database_url: str, tmp_path: Path) -> None:
    name = database_url.rsplit("/", 1)[1]
    ports = {kind: free_port() for kind in ("worker", "alerting", "desk")}
    commands = {"worker": ("worker", "--index", "0"), "alerting": ("alerts", "run"), "desk": ("desk", "--port", "0")}
    with EmbeddedBroker(tmp_path) as broker, ExitStack() as running:
        here = {"DATABASE__URL": database_url, "KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        settings = make_settings(broker.bootstrap_servers, database_url, tmp_path)
        here |= {"STREAM__RETRY_MAX_S": "1", "STREAM__WATCHDOG_S": str(WATCHDOG_S)} | {
            f"METRICS__{kind.upper()}_PORT": str(ports[kind]) for kind in ports
        }
        processes = {}
        for kind, command in commands.items():
            (tmp_path / kind).mkdir()
            processes[kind] = running.enter_context(process(*command, folder=tmp_path / kind, **here))
        for port in ports.values():
            wait_for(port, "/readyz", 200)
        with psycopg.connect(postgres.url, autocommit=True) as server:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            # Longer than a worker may stand still that has something to read and could commit it.
            produce(settings, as_input(scenario_messages(20)))
            over = time.monotonic() + 2 * WATCHDOG_S + 2
            wait_for(ports["worker"], "/readyz", 503)
            while time.monotonic() < over:
                time.sleep(1)
                for port in ports.values():
                    assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        for kind, port in ports.items():
            wait_for(port, "/readyz", 200)
            assert processes[kind].poll() is None
        wait_until(lambda: committed(settings) == 20, "what waited is committed")
