"""Live judging with real workers and a real broker: no minute is final before it is read."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerting.judging.clock import utc_now
from alerting.judging.partition_ends import PartitionEnds
from alerting.judging.runner import Runner
from core.records import Message, encode
from core.settings import AlertingSettings, Settings
from tests.stream.harness import Workers, ask, committed, embedded_broker, make_settings, produce, wait_until

SURGE = 60
QUIET = "Mill {} opens at nine on weekdays and closes at five"  # no surge by itself, however few have come before
BAD = "Shares of mill {0} plunge as it warns of heavy losses and lays off {0} workers"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Iterator[Settings]:
    with embedded_broker(tmp_path) as servers:
        made = make_settings(servers, database_url, tmp_path)
        alerting = AlertingSettings(
            allowed_lateness_s=0, poll_s=0.2, step_minutes=1, windows_minutes=[5], warmup_days=0
        )
        yield made.model_copy(update={"alerting": alerting})


def news(text: str, numbers: Iterable[int], at: datetime) -> list[tuple[bytes, bytes]]:
    """One message for each number, which takes the place of each field of the text."""
    messages = [
        Message(id=str(number), source="wire", kind="news", published_at=at, received_at=at, text=text.format(number))
        for number in numbers
    ]
    return [(message.id.encode(), encode(message)) for message in messages]


def judged_until(settings: Settings) -> datetime:
    return ask(settings, "SELECT max(judged_until) FROM alerting_progress")[0][0] or datetime.min.replace(tzinfo=UTC)


def test_a_surge_that_comes_while_no_worker_runs_is_found(settings: Settings, tmp_path: Path) -> None:
    running = Workers(settings, tmp_path)
    stop = threading.Event()
    ends = PartitionEnds(settings, settings.alerting.poll_s, stop, utc_now)
    runner = Runner(settings, [], stop, ends=lambda: ends.latest)
    judge = threading.Thread(target=runner.run)
    try:
        produce(settings, news(QUIET, range(4), utc_now()))
        running.start(0)
        wait_until(lambda: committed(settings) == 4, "the worker has read all")
        ends.start()
        judge.start()
        wait_until(lambda: bool(ask(settings, "SELECT FROM alerting_progress")), "judging has begun")
        running.end(0, signal.SIGTERM)

        surge_at = utc_now()
        produce(settings, news(BAD, range(100, 100 + SURGE), surge_at))
        minute = surge_at.replace(second=0, microsecond=0)
        over = minute + timedelta(minutes=1)
        while utc_now() < over + timedelta(seconds=3):
            time.sleep(0.5)
        assert judged_until(settings) <= minute, "nobody has read what came in this minute"
        assert ask(settings, "SELECT count(*) FROM alert") == [(0,)]

        running.start(1)
        wait_until(lambda: judged_until(settings) >= over, "judging goes on")
        wait_until(lambda: bool(ask(settings, "SELECT FROM alert WHERE kind = 'all'")), "the surge is found")
        opened_at, observed = ask(settings, "SELECT opened_at, observed FROM alert WHERE kind = 'all'")[0]
        assert opened_at == over
        assert observed > SURGE / 2
    finally:
        stop.set()
        if judge.ident is not None:
            judge.join(20)
            ends.join(20)
        running.close()
