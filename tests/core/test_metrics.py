"""Metrics are written where they are shown, documented, and there before their first event."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from core import metrics
from core.metrics import Process
from newstide.commands.administration import metrics as metrics_command
from newstide.commands.administration import metrics_document

ROOT = Path(metrics.__file__).parent.parent
ROOMS = {"ingest": "ingest", "worker": "stream", "alerting": "alerting"}


@pytest.mark.parametrize("process", metrics.PROCESSES, ids=lambda process: process.name)
def test_each_process_writes_all_that_it_shows(process: Process) -> None:
    """A metric that nobody writes is a panel that stays empty."""
    room = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / ROOMS[process.name]).rglob("*.py"))
    shown = set(process.registry._names_to_collectors.values())
    declared = [
        name for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase) and value in shown
    ]
    assert len(declared) == len(process.described) - 1  # the kind of process writes itself
    assert [name for name in declared if f"metrics.{name}." not in room] == []


def test_no_room_writes_what_another_process_shows() -> None:
    rooms: Counter[str] = Counter()
    for room in ("core", *ROOMS.values(), "trainer", "newstide"):
        written = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / room).rglob("*.py"))
        rooms.update({name for name in vars(metrics) if name.isupper() and f"metrics.{name}." in written})
    assert {name: count for name, count in rooms.items() if count > 1} == {}


def test_the_page_is_up_to_date() -> None:
    page = ROOT / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_document(), "run `newstide metrics --markdown > docs/metrics.md`"


def test_the_command_lists_them_all() -> None:
    listed = CliRunner().invoke(metrics_command).output
    assert all(metric.name in listed for process in metrics.PROCESSES for metric in process.described)


def test_every_metric_says_what_it_is_and_is_named_once() -> None:
    described = [metric for process in metrics.PROCESSES for metric in process.described]
    assert [metric.name for metric in described if not metric.meaning] == []
    named = Counter(metric.name for metric in described if metric.name != "newstide_process_info")
    assert {name for name, count in named.items() if count > 1} == set()


def test_a_process_shows_its_own_metrics_alone() -> None:
    shown = generate_latest(metrics.INGEST.registry).decode()
    assert 'newstide_process_info{process="ingest"} 1.0' in shown
    assert "newstide_bridge_tombstones_total" in shown
    assert "process_resident_memory_bytes" in shown
    assert "newstide_outbox_pending" not in shown
