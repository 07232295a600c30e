"""A real Prometheus of one test module."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.ports import free_port

IS_HERE = shutil.which("prometheus") is not None
RULES = Path(__file__).parents[2] / "alerting" / "prometheus" / "rules.yml"


@dataclass(frozen=True)
class Prometheus:
    """A server that answers; times are seconds since the epoch."""

    address: str

    def ask(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer of its API. Raises AssertionError where that is an error or a warning."""
        response = httpx.post(f"{self.address}/api/v1/{path}", data=parameters, timeout=60)
        answer = response.json()
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        return answer["data"]

    def values(self, expression: str) -> list[dict[str, Any]]:
        """The series that `expression` gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def look(self, path: str) -> Any:
        """The `data` of what is only read, such as `rules`."""
        return httpx.get(f"{self.address}/api/v1/{path}", timeout=60).raise_for_status().json()["data"]


@contextmanager
def prometheus_server(folder: Path, targets: dict[str, Sequence[int]]) -> Iterator[Prometheus]:
    """Scrapes the `targets`, ports on loopback by job, each second, and judges the rules as often."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 60
        while not _is_ready(server.address):
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, "Prometheus is not ready"
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
