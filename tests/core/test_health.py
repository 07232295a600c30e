"""The probes of a process, over real sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

from core import metrics
from core.health import Beat, Health, serve_health
from core.settings import MetricsSettings
from tests.ports import free_port


def served(health: Health) -> str:
    port = free_port()
    serve_health(MetricsSettings(), port, health, metrics.WORKER.registry)
    return f"http://127.0.0.1:{port}"


def ask(address: str, path: str) -> tuple[int, dict[str, Any]]:
    response = httpx.get(address + path, timeout=20)
    return response.status_code, response.json()


def test_alive_and_not_ready_says_why() -> None:
    health = Health("worker-2")
    health.alive("event loop", lambda: None)
    health.ready("commits", lambda: "40 records behind")
    address = served(health)
    assert ask(address, "/healthz") == (
        200,
        {"status": "ok", "component": "worker-2", "checks": {"event loop": "ok"}},
    )
    status, body = ask(address, "/readyz")
    assert (status, body["status"], body["checks"]["commits"]) == (503, "failing", "40 records behind")
    health.ready("commits", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    assert ask(address, "/readyz")[1]["checks"]["commits"] == "the check failed: ZeroDivisionError: division by zero"
    assert "newstide_lag_messages" in httpx.get(address + "/metrics").text


def test_a_thread_that_ended_is_noticed() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="courier-x")
    health = Health("alerts")
    health.essential(["courier-x", "never-begun"])
    thread.start()
    address = served(health)
    assert ask(address, "/healthz")[0] == 200
    stop.set()
    thread.join()
    status, body = ask(address, "/healthz")
    assert (status, body["checks"]["thread courier-x"]) == (503, "it has ended")
    health.close()
    assert ask(address, "/healthz")[0] == 200


def test_a_process_ends_with_its_essential_thread() -> None:
    program = (
        "import threading, time\n"
        "from core.health import Health\n"
        "thread = threading.Thread(target=time.sleep, args=(1.5,), name='courier-x', daemon=True)\n"
        "health = Health('alerts'); health.essential(['courier-x']); health.watch(); thread.start()\n"
        "time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 70
    assert "courier-x" in ended.stderr


@pytest.mark.parametrize("said", [b"", b"GET /heal", b"GET / HTTP/1.1\r\nx: "])
def test_silent_connections_never_block_the_probes(said: bytes) -> None:
    address = served(Health("ingest"))
    port = int(address.rpartition(":")[2])
    assert ask(address, "/healthz")[0] == 200
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for connection in silent:
            if said:
                try:
                    connection.sendall(said)
                except OSError:
                    continue  # it had to give way already
        assert ask(address, "/healthz")[0] == 200
        assert ask(address, "/readyz")[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_a_port_that_is_taken_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        serve_health(MetricsSettings(), taken.getsockname()[1], Health("up"), metrics.WORKER.registry)
    assert "metrics.*" in caplog.text


def test_signs_of_life() -> None:
    beat = Beat(limit_s=0.05, waiting_for="not begun")
    assert beat() == "not begun"
    beat.good()
    assert beat() is None
    time.sleep(0.1)
    assert "no sign of life" in str(beat())
    beat.good()
    beat.bad("the database fails")
    assert beat() == "the database fails"
