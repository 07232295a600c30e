"""What alerting costs a replay, by itself: the whole process that judges, on a store that was filled before.

    python -m benchmarks.detection.replay --store DIRECTORY [--tweets FILE.jsonl.gz] [--per-second 1200] [--times 3]

The first time the whole stack fills the store in DIRECTORY with two years of tweets, as `benchmarks.detection.tweets`
does; that takes minutes and 1.5 GB. Then, so many times, all that alerting wrote is deleted, and `newstide alerts run
--until-drained` judges again beside an embedded broker, while the ledger and the changes of the trends are moved on
every second as workers do that commit `--per-second` messages. Its CPU seconds are those of the whole process: start,
reading, judging, packing the state, writing, delivering. The start is also measured alone, on a store that is judged.

Equal `alerts` are equal to the last bit: it is a digest of all alerts, their evidence, and the incidents.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.detection.machine import PROJECT, setting
from benchmarks.detection.tweets import TWEETS, prepare
from core.kafka import prepare_topics
from core.settings import Settings
from core.store.connection import connect, open_engine
from core.store.migration import migrate
from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.stack.loop import run
from newstide.stack.opening import running
from newstide.stack.plan import addresses, command
from newstide.stack.resources import amended

MOST_US = 40.0

_FORGET = (
    "TRUNCATE alert, alert_history, incident, incident_history, outbox, detector_checkpoint, trend_change, "
    "alerting_progress"
)
_MINUTES = "SELECT minute, (negative + neutral + positive + unread)::int FROM trend WHERE kind = 'all' ORDER BY minute"
_OUTCOME = ("SELECT to_jsonb(alert) FROM alert ORDER BY id", "SELECT to_jsonb(incident) FROM incident ORDER BY id")

Connection = psycopg.Connection[Any]
Minute = tuple[datetime, int]  # and the messages in it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="directory of the filled store")
    parser.add_argument("--tweets", type=Path, default=TWEETS, help="the stocknet file, JSON Lines, gzip")
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--per-second", type=int, default=1200, help="messages that workers commit in a second")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings, plan = prepare(options.store.absolute(), options.tweets, options.bundle, options.workers)
    if not (options.store / "postgres").exists():
        with running(settings, plan, details=False) as stack:
            run(stack, until_drained=True)
    with _store(settings) as (opened, connection):
        replayed = Replayed(connection, options.per_second)
        seconds = [judge(opened, connection, replayed) for _ in range(options.times)]
        start = _spend(subprocess.Popen(command("alerts", "run", "--until-drained"), env=_environment(opened)))
        result = {
            **setting("benchmarks.detection.replay"),
            "messages": replayed.messages,
            "alerting_us_per_message": [round(1e6 * each / replayed.messages, 1) for each in seconds],
            "of_it_to_start": round(1e6 * start / replayed.messages, 1),
            "alerts": _digest(connection),
        }
    print(json.dumps(result, indent=1) if options.json else describe(result))


class Replayed:
    """The ledger as it was when the replay had ended, and the minutes that were read in each second of it."""

    def __init__(self, connection: Connection, per_second: int) -> None:
        minutes: list[Minute] = connection.execute(_MINUTES).fetchall()
        self.messages = sum(number for _, number in minutes)
        self.seconds: list[list[Minute]] = [[]]
        read = 0
        for minute in minutes:
            if read >= per_second * len(self.seconds):
                self.seconds.append([])
            self.seconds[-1].append(minute)
            read += minute[1]
        self._ends = connection.execute("SELECT max_event_time, topic, partition FROM offset_ledger").fetchall()

    def begin(self, connection: Connection) -> None:
        """As if nothing had been judged, and the replay went on."""
        connection.execute(_FORGET)
        connection.execute("UPDATE replay SET finished_at = NULL, seen_at = now()")
        connection.execute("UPDATE offset_ledger SET max_event_time = NULL")

    def read(self, connection: Connection, minutes: list[Minute]) -> None:
        """Workers have committed the messages of these minutes."""
        reached = minutes[-1][0] + timedelta(seconds=59)
        with connection.transaction():
            connection.execute("UPDATE replay SET seen_at = now()")
            connection.execute("UPDATE offset_ledger SET max_event_time = %s", (reached,))
            times, numbers = zip(*minutes, strict=True)
            connection.execute(
                "INSERT INTO trend_change (minutes, messages) VALUES (%s, %s)", (list(times), list(numbers))
            )

    def end(self, connection: Connection) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("UPDATE replay SET finished_at = now()")
            cursor.executemany(
                "UPDATE offset_ledger SET max_event_time = %s WHERE topic = %s AND partition = %s", self._ends
            )


def judge(settings: Settings, connection: Connection, replayed: Replayed) -> float:
    """CPU seconds of a process that judges the replay as it comes."""
    replayed.begin(connection)
    process = subprocess.Popen(command("alerts", "run", "--until-drained"), env=_environment(settings))
    for minutes in replayed.seconds:
        time.sleep(1.0)
        replayed.read(connection, minutes)
    replayed.end(connection)
    return _spend(process)


def describe(result: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in result.items()]
    spent = statistics.median(result["alerting_us_per_message"])
    lines.append(f"{'PASS' if spent <= MOST_US else 'MISS'}  {spent:g} us a message (wanted {MOST_US:g})")
    return "\n".join(lines)


@contextmanager
def _store(settings: Settings) -> Iterator[tuple[Settings, Connection]]:
    directory = settings.embedded.directory
    with EmbeddedPostgres(directory) as server, EmbeddedBroker(directory) as broker:
        opened = amended(settings, database={"url": server.url}, kafka={"bootstrap_servers": broker.bootstrap_servers})
        prepare_topics(opened)
        engine = open_engine(opened)
        migrate(engine)
        engine.dispose()
        with connect(opened, autocommit=True) as connection:
            yield opened, connection


def _environment(settings: Settings) -> dict[str, str]:
    mine = {"NEWSTIDE_ALERTING__CLOCK": "event", "NEWSTIDE_METRICS__ALERTING_PORT": "0"}
    return {**os.environ, **addresses(settings), **mine}


def _spend(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of the process, once it has ended."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"newstide alerts run ended with {process.returncode}; see above")
    return used.ru_utime + used.ru_stime


def _digest(connection: Connection) -> str:
    found = [connection.execute(query).fetchall() for query in _OUTCOME]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
