"""The thread that asks the brokers outlives whatever asking raises."""

from __future__ import annotations

import threading
from pathlib import Path

from alerting.judging.clock import utc_now
from alerting.judging.partition_ends import PartitionEnds
from core.health import Beat
from core.settings import KafkaSettings, Settings
from tests.ports import free_port
from tests.stream.harness import wait_until


def test_a_certificate_that_is_missing_for_a_while_stops_nothing(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{free_port()}", security_protocol="SSL", ssl_cafile=tmp_path / "ca.pem"
    )
    stop, knowing = threading.Event(), Beat(60)
    ends = PartitionEnds(Settings(kafka=kafka), 0.05, stop, utc_now, knowing)
    ends.start()
    try:
        wait_until(lambda: "SettingsError" in (knowing() or ""), "the missing file is told", 20)
        missing = knowing()
        (tmp_path / "ca.pem").write_text("no certificate")
        wait_until(lambda: knowing() != missing, "the file is read again", 20)
        assert ends.is_alive()
        assert ends.latest is None
    finally:
        stop.set()
        ends.join(20)
