"""The runner on a real database: what it writes, and that nothing is lost or doubled however it is stopped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from alerting.judging.clock import utc_now
from alerting.judging.runner import Runner
from alerting.judging.watermark import Ends
from core import metrics
from core.settings import Settings
from tests.alerting.delivery_desk import Clock
from tests.alerting.surge_streams import (
    BANK,
    MONDAY,
    MakeSettings,
    declare_replay,
    fill_stories,
    fill_trends,
    fortnight,
)

REPOSITORY = Path(__file__).resolve().parents[2]
END = MONDAY + timedelta(days=14)

Connection = psycopg.Connection[Any]

_DYING_RUNNER = """
import os, signal, sys, threading
import psycopg
from alerting.judging.runner import Runner
from core.settings import load_settings

execute = psycopg.Cursor.execute
left = 0

def execute_or_die(*arguments, **options):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(*arguments, **options)

psycopg.Cursor.execute = execute_or_die
kills = 0
for statements in range(3, 1000, 2):
    child = os.fork()
    if child == 0:
        left = statements
        Runner(load_settings(), ["webhook"], threading.Event()).run(until_drained=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        break
    if status != -signal.SIGKILL:
        sys.exit(f"the runner ended with {status}")
    kills += 1
print(kills)
"""


def run(settings: Settings, channels: tuple[str, ...] = ("webhook",)) -> Runner:
    runner = Runner(settings, list(channels), threading.Event())
    assert runner.run(until_drained=True)
    return runner


def alerts(connection: Connection) -> list[Any]:
    return connection.execute(
        "SELECT id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, "
        "score, incident, evidence FROM alert ORDER BY opened_at, kind, name"
    ).fetchall()


def outbox(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    return connection.execute("SELECT dedupe, payload FROM outbox ORDER BY id").fetchall()


def test_a_surge_becomes_an_alert_with_its_evidence(make_settings: MakeSettings, connection: Connection) -> None:
    counts = fortnight()
    fill_trends(connection, counts)
    declare_replay(connection, END)
    trouble = MONDAY + timedelta(days=6.5, minutes=10)
    fill_stories(connection, BANK, trouble - timedelta(hours=12), ["Bank opens a branch", "Bank sponsors a race"])
    fill_stories(connection, BANK, trouble, ["Bank fraud probe widens", "Regulator: fraud probe at the bank"])
    connection.execute("INSERT INTO source (key, name) VALUES ('wire-0', 'A Wire')")
    runner = run(make_settings())
    assert runner.alerts == len(alerts(connection)) >= 1

    (first,) = connection.execute(
        "SELECT payload FROM outbox WHERE key = 'entity=BANK' AND dedupe LIKE '%:opened'"
    ).fetchall()
    payload = first[0]
    assert payload["series"] == "entity=BANK"
    assert payload["state"] == "open"
    assert payload["dedupe"] == f"{payload['incident']}:opened"
    assert payload["observed"] - payload["expected"] >= 6
    assert payload["score"] >= 3
    opened_at = datetime.fromisoformat(payload["opened_at"])
    assert trouble < opened_at < trouble + timedelta(hours=2)
    stories = payload["evidence"]["stories"]
    assert [story["headline"] for story in stories] == [
        "Bank fraud probe widens",
        "Regulator: fraud probe at the bank",
    ]
    assert stories[0] | {"first_at": ""} == {
        "headline": "Bank fraud probe widens",
        "url": "https://x.test/0",
        "kind": "news",
        "first_at": "",
        "sources": ["A Wire", "wire-1"],
        "messages": 2,
        "sentiment": None,
        "entities": {"BANK": "negative"},
    }
    assert set(payload["evidence"]["words"][:2]) == {"fraud", "probe"}

    history = connection.execute(
        "SELECT h.state, h.at FROM alert_history AS h JOIN alert AS a ON a.id = h.alert "
        "WHERE a.name = 'BANK' ORDER BY at"
    ).fetchall()
    assert [state for state, _ in history] == ["open", "closed"]
    assert history[0][1] == opened_at
    assert metrics.SERIES_SCORE.labels("entity", "BANK")._value.get() < 5
    assert metrics.WATERMARK_SECONDS.labels("event")._value.get() == (END + timedelta(minutes=5)).timestamp()
    assert connection.execute("SELECT drained, judged_until FROM alerting_progress").fetchone() == (
        True,
        END + timedelta(minutes=5),
    )


def test_each_channel_gets_each_change_once(make_settings: MakeSettings, connection: Connection) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    run(make_settings(), ("webhook", "kafka"))
    rows = connection.execute("SELECT channel, dedupe FROM outbox").fetchall()
    changes = connection.execute("SELECT incident || ':' || change FROM incident_history").fetchall()
    assert sorted(rows) == sorted((c, d) for (d,) in changes for c in ("webhook", "kafka"))
    before = alerts(connection), outbox(connection)
    assert run(make_settings()).alerts == 0, "judged already"
    assert (alerts(connection), outbox(connection)) == before


def test_pages_of_the_last_week_are_shown_by_what_was_said_of_them(
    make_settings: MakeSettings, connection: Connection
) -> None:
    fill_trends(connection, fortnight(surge_day=10.5))
    declare_replay(connection, END)
    run(make_settings())
    week = "state <> 'withdrawn' AND opened_at > (SELECT judged_until FROM alerting_progress) - interval '7 days'"
    found = [
        row[0] for row in connection.execute(f"SELECT id FROM incident WHERE {week} ORDER BY opened_at").fetchall()
    ]
    pages = metrics.PAGES.labels
    assert found
    assert (pages("none")._value.get(), pages("useful")._value.get()) == (len(found), 0)
    say = "INSERT INTO feedback (incident, verdict, analyst, note) VALUES (%s, %s, 'ann', '')"
    connection.execute(say, (found[0], "false"))
    connection.execute(say, (found[0], "useful"))
    run(make_settings())
    assert (pages("none")._value.get(), pages("useful")._value.get(), pages("false")._value.get()) == (
        len(found) - 1,
        1,
        0,
    )


def test_live_watermark_steps_end_with_the_same_alerts(make_settings: MakeSettings, connection: Connection) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    run(make_settings())
    whole = [row[:-1] for row in alerts(connection)]
    wipe(connection)
    for reached in sorted(random.Random(1).uniform(0, 14) for _ in range(25)):
        ledger(connection, MONDAY + timedelta(days=reached))
        Runner(make_settings(), ["webhook"], threading.Event()).run_once()
    declare_replay(connection, END)
    run(make_settings())
    assert [row[:-1] for row in alerts(connection)] == whole


def test_kill_at_any_moment_loses_and_doubles_nothing(
    make_settings: MakeSettings, connection: Connection, tmp_path: Path
) -> None:
    """The runner kills itself (-9) before its 3rd, 5th, 7th ... statement; begun again, until one run ends."""
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    run(make_settings())
    whole = alerts(connection), outbox(connection)
    assert whole[0]
    wipe(connection)
    declare_replay(connection, END)
    script = tmp_path / "dying.py"
    script.write_text(_DYING_RUNNER)
    environment = os.environ | {
        "NEWSTIDE_DATABASE__URL": make_settings().database.url or "",
        "NEWSTIDE_ALERTING__CLOCK": "event",
        "NEWSTIDE_ALERTING__ALLOWED_LATENESS_S": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15, "killed that often"
    found = alerts(connection), outbox(connection)
    assert found[0] == whole[0]
    assert sorted(dedupe for dedupe, _ in found[1]) == sorted(dedupe for dedupe, _ in whole[1])


def test_a_failing_transaction_changes_nothing_and_is_tried_again(
    make_settings: MakeSettings, connection: Connection
) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    run(make_settings())
    whole = alerts(connection)
    wipe(connection)
    declare_replay(connection, END)
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    cut = threading.Thread(target=cut_connections, args=(connection,))
    cut.start()
    assert runner.run(until_drained=True)
    cut.join()
    assert alerts(connection) == whole
    assert runner.alerts == len(whole)


def test_a_server_that_is_read_only_is_waited_for(
    make_settings: MakeSettings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """As a standby before it takes over: it gives the lock away, and yet nobody leads."""
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    name = connection.info.dbname
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    runner.leading = leading = Counted()
    judging = threading.Thread(target=runner.run, args=(True,), daemon=True)
    connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    judging.start()
    deadline = time.monotonic() + 60
    while "the database failed: cannot execute" not in caplog.text:
        assert judging.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert alerts(connection) == []
    assert leading.times == 0
    connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")  # type: ignore[arg-type]
    judging.join(120)
    assert not judging.is_alive()
    assert alerts(connection)
    assert leading.is_set()


def test_a_second_runner_stands_by_and_takes_over(make_settings: MakeSettings, connection: Connection) -> None:
    ledger(connection, MONDAY)
    stops = [threading.Event(), threading.Event()]
    runners = [Runner(make_settings(), [], stop) for stop in stops]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    threads[0].start()
    assert runners[0].leading.wait(20)
    threads[1].start()
    assert not runners[1].leading.wait(0.5)
    stops[0].set()
    threads[0].join()
    assert runners[1].leading.wait(20)
    stops[1].set()
    threads[1].join()


def test_changed_settings_learn_again_without_telling_twice(
    make_settings: MakeSettings, connection: Connection
) -> None:
    fill_trends(connection, fortnight(surge_day=13.8))
    declare_replay(connection, END)
    run(make_settings())
    told = outbox(connection)
    assert [row[3] for row in alerts(connection) if row[2] == "BANK"] == ["open"]
    run(make_settings(windows_minutes=[60, 360]))
    assert outbox(connection)[: len(told)] == told
    late = [dedupe for dedupe, _ in outbox(connection)[len(told) :]]
    assert all(dedupe.endswith(":resolved") for dedupe in late), late
    assert connection.execute("SELECT count(*) FROM alert").fetchone() == (
        len([d for d, _ in told if d.endswith("opened")]),
    )


def test_damaged_state_is_learnt_again(make_settings: MakeSettings, connection: Connection) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    run(make_settings())
    before = alerts(connection), outbox(connection)
    connection.execute("UPDATE detector_checkpoint SET body = '\\x00'")
    run(make_settings())
    assert (alerts(connection), outbox(connection)) == before


def test_live_feeds_are_judged_from_the_first_start_on(make_settings: MakeSettings, connection: Connection) -> None:
    """The thinned-out past that feeds still list must not make the present look like a surge."""
    counts = fortnight()
    fill_trends(connection, counts)
    now = MONDAY + timedelta(days=5)
    ledger(connection, now)
    for hours in (0, 1):
        clock = now + timedelta(hours=hours)
        runner = Runner(make_settings(clock="wall"), [], threading.Event(), clock=lambda clock=clock: clock)
        assert not runner.run_once()
        row = connection.execute("SELECT since, judged_until FROM alerting_progress").fetchone()
        assert row == (now, clock)


def test_a_watermark_that_never_began_to_move_is_seen_to_stand_still(make_settings: MakeSettings) -> None:
    metrics.WATERMARK_SECONDS.clear()
    runner = Runner(make_settings(clock="wall"), [], threading.Event(), clock=lambda: MONDAY, ends=lambda: None)
    assert not runner.run_once()
    assert metrics.WATERMARK_SECONDS.labels("wall")._value.get() == MONDAY.timestamp()


def test_a_host_whose_clock_is_ahead_has_read_no_more_for_that(
    make_settings: MakeSettings, connection: Connection
) -> None:
    """The brokers are asked by the host's clock, the database says what the time is."""
    clock = Clock(utc_now() + timedelta(minutes=10))
    told = Ends(clock(), {0: 9})
    settings = make_settings(clock="wall")
    runner = Runner(settings, [], threading.Event(), clock=clock, ends=lambda: told)
    ledger(connection, MONDAY)
    begun = utc_now()
    runner.run_once()
    clock.move(minutes=5)
    told = Ends(clock(), {0: 20})  # what came since is not read
    now = begun + timedelta(minutes=5)
    watermark = runner._find_watermark(connection, now)
    assert watermark.at is not None
    assert watermark.at <= begun + timedelta(seconds=30)


class Counted(threading.Event):
    """`times`: how often it was set."""

    times = 0

    def set(self) -> None:
        self.times += 1
        super().set()


def wipe(connection: Connection) -> None:
    connection.execute(
        "TRUNCATE alert, alert_history, incident, incident_history, outbox, detector_checkpoint, trend_change, "
        "alerting_progress, offset_ledger, replay"
    )


def ledger(connection: Connection, reached: datetime) -> None:
    connection.execute(
        "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time) "
        "VALUES ('newstide.messages', 0, 9, 9, %s) "
        "ON CONFLICT (topic, partition) DO UPDATE SET max_event_time = excluded.max_event_time",
        (reached,),
    )


def cut_connections(connection: Connection) -> None:
    """End the runner's connection a few times while it works."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as own:
        for _ in range(3):
            time.sleep(0.15)
            own.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid NOT IN (pg_backend_pid(), %s)",
                (connection.info.backend_pid,),
            )
