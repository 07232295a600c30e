"""A real Apache Kafka of one broker, for as long as it is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newstide.embedded.process import free_port, is_taken


@contextmanager
def real_kafka(directory: Path) -> Iterator[tuple[str, int]]:
    """Bootstrap servers and process id of a broker from KAFKA_HOME."""
    script, cluster, port = str(Path(os.environ["KAFKA_HOME"]) / "kafka"), str(directory / "kafka"), free_port()
    while is_taken(port + 1):  # a broker takes two neighbouring ports
        port = free_port()
    command = [sys.executable, script, "start", cluster, "--port", str(port)]
    servers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield servers, int((directory / "kafka" / "broker-0.pid").read_text(encoding="utf-8"))
    finally:
        subprocess.run([sys.executable, script, "stop", cluster], check=True, capture_output=True)
