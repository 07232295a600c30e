"""Same trends, same alerts: whatever the order in which they come, however often the judge dies."""

from __future__ import annotations

import itertools
import random
import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from alerting.detection.detector import Series
from alerting.judging.judge import Judge
from alerting.judging.runner import Runner
from core import metrics
from core.settings import Settings
from core.store.connection import connect
from newstide.commands.alerts import alerts as alerts_command
from tests.alerting.surge_streams import (
    ALL,
    BANK,
    MONDAY,
    PER_DAY,
    START,
    Cell,
    MakeSettings,
    arrive,
    cells_of,
    declare_replay,
    fortnight,
    time_of,
)

Connection = psycopg.Connection[Any]

END = MONDAY + timedelta(days=14)
TROUBLE = START + int(6.5 * PER_DAY)


def alerts(connection: Connection) -> list[Any]:
    """All that must not depend on how it came about."""
    return connection.execute(
        "SELECT id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, "
        "score, evidence, incident FROM alert WHERE state <> 'withdrawn' ORDER BY opened_at, kind, name"
    ).fetchall()


def wipe(connection: Connection) -> None:
    connection.execute(
        "TRUNCATE alert, alert_history, incident, incident_history, outbox, detector_checkpoint, trend, trend_change, "
        "alerting_progress, offset_ledger, replay"
    )


def reach(connection: Connection, moment: datetime) -> None:
    """The ledger of one partition, all committed, with that highest event time."""
    connection.execute(
        "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time) "
        "VALUES ('newstide.messages', 0, 9, 9, %s) "
        "ON CONFLICT (topic, partition) DO UPDATE "
        "SET max_event_time = greatest(offset_ledger.max_event_time, excluded.max_event_time)",
        (moment,),
    )


def judge(settings: Settings, now: datetime | None = None) -> Runner:
    """A runner that has just started judges what is final, and ends."""
    clock = {} if now is None else {"clock": lambda: now}
    runner = Runner(settings, ["webhook"], threading.Event(), **clock)
    runner.run_once()
    return runner


def finish(settings: Settings, connection: Connection) -> list[Any]:
    """Declare the replay over, judge to the end; the alerts."""
    declare_replay(connection, END)
    assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
    return alerts(connection)


@pytest.fixture
def sorted_alerts(make_settings: MakeSettings, connection: Connection) -> list[Any]:
    """Those of the fortnight, had it come in order, and all at once."""
    arrive(connection, cells_of(fortnight()))
    found = finish(make_settings(), connection)
    assert BANK.name in {row[2] for row in found}
    wipe(connection)
    return found


def chunks(cells: list[Cell], number: int) -> list[list[Cell]]:
    size = -(-len(cells) // number)
    return [cells[first : first + size] for first in range(0, len(cells), size)]


def interleaved(cells: list[Cell], seed: int) -> list[Cell]:
    """As two workers bring them, one of them up to two days behind the other."""
    rng = random.Random(seed)
    behind = {series: rng.choice((0, PER_DAY // 3, 2 * PER_DAY)) for series in {cell[0] for cell in cells}}
    return sorted(cells, key=lambda cell: (cell[1] + behind[cell[0]], cell[0]))


@pytest.mark.parametrize("order", ["sorted", "shuffled", "backwards", "interleaved", "interleaved otherwise"])
def test_the_order_of_arrival_changes_nothing(
    make_settings: MakeSettings, connection: Connection, sorted_alerts: list[Any], order: str
) -> None:
    cells = cells_of(fortnight())
    if order == "shuffled":
        random.Random(1).shuffle(cells)
    elif order == "backwards":
        cells.reverse()
    elif order.startswith("interleaved"):
        cells = interleaved(cells, seed=len(order))
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    for number, chunk in enumerate(chunks(cells, 12)):
        arrive(connection, chunk)
        reach(connection, max(time_of(cell[1]) for cell in chunk))
        if number % 3 == 0:
            runner = Runner(make_settings(), ["webhook"], threading.Event())
        runner.run_once()
    assert finish(make_settings(), connection) == sorted_alerts
    notified = connection.execute("SELECT dedupe FROM outbox").fetchall()
    assert len(notified) == len(set(notified))
    for row in sorted_alerts:
        assert (f"{row[-1]}:opened",) in notified
        assert (f"{row[-1]}:resolved",) in notified


def test_a_judge_that_dies_at_any_moment_changes_nothing(
    make_settings: MakeSettings, connection: Connection, sorted_alerts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies before, in and after its transactions, while the trends come in disorder."""
    rng = random.Random(5)
    step, show = Judge.step, Runner._show

    class Died(Exception):
        pass

    def dying_step(self: Judge, *arguments: Any) -> Any:
        outcome = step(self, *arguments)
        if rng.random() < 0.4:
            raise Died
        return outcome

    def dying_show(self: Runner, outcome: Any) -> None:
        show(self, outcome)
        if rng.random() < 0.4:
            raise Died

    monkeypatch.setattr(Judge, "step", dying_step)
    monkeypatch.setattr(Runner, "_show", dying_show)
    deaths = 0
    for chunk in chunks(interleaved(cells_of(fortnight()), seed=3), 40):
        arrive(connection, chunk)
        reach(connection, max(time_of(cell[1]) for cell in chunk))
        try:
            judge(make_settings())
        except Died:
            deaths += 1
    assert deaths > 5
    monkeypatch.undo()
    assert finish(make_settings(), connection) == sorted_alerts


def on_time_and_late(late_by: timedelta) -> tuple[list[Cell], list[Cell], datetime]:
    """The fortnight without the hours of trouble of the bank, those hours, and when they come."""
    cells = cells_of(fortnight())
    troubled = range(TROUBLE, TROUBLE + 130)
    late = [cell for cell in cells if cell[0] == BANK and cell[1] in troubled]
    for _, step, messages, negative in list(late):
        late.append((ALL, step, messages, negative))
    bank = {step: (messages, negative) for series, step, messages, negative in cells if series == BANK}
    early = []
    for series, step, messages, negative in cells:
        if step in troubled and series == BANK:
            continue
        if step in troubled and series == ALL and step in bank:
            messages, negative = messages - bank[step][0], negative - bank[step][1]
        if messages:
            early.append((series, step, messages, negative))
    return early, late, time_of(troubled.stop) + late_by


def live_days(
    settings: Settings, connection: Connection, cells: list[Cell], late: list[Cell], late_at: datetime
) -> None:
    """Days of live feeds, looked at every eight hours, and at the moment when the late ones have come."""
    reach(connection, MONDAY)
    judge(settings, MONDAY)
    moments = sorted({MONDAY + timedelta(hours=hour) for hour in range(8, 11 * 24 + 1, 8)} | {late_at})
    arrived, came = START, False
    for now in moments:
        reached = START + (now - MONDAY) // timedelta(minutes=5)
        arrive(connection, [cell for cell in cells if arrived <= cell[1] < reached])
        arrived = reached
        if not came and now >= late_at:
            arrive(connection, late)
            came = True
        judge(settings, now)


@pytest.mark.parametrize("late_by", [timedelta(minutes=5), timedelta(hours=9), timedelta(days=1, hours=20)])
def test_a_surge_whose_rows_come_late_is_found(
    make_settings: MakeSettings, connection: Connection, late_by: timedelta
) -> None:
    settings = make_settings(clock="wall")
    early, late, late_at = on_time_and_late(late_by)
    live_days(settings, connection, cells_of(fortnight()), [], late_at)
    in_time = [row for row in alerts(connection) if row[2] == BANK.name]
    assert in_time
    wipe(connection)
    counted = metrics.LATE._value.get()
    live_days(settings, connection, early, late, late_at)
    assert [row for row in alerts(connection) if row[2] == BANK.name] == in_time
    messages = sum(cell[2] for cell in late if cell[0] == ALL)
    found_late = metrics.LATE._value.get() - counted
    assert 0 < found_late <= messages, "those of steps that were judged"
    assert found_late == messages or late_by < timedelta(hours=8)
    (payload,) = connection.execute(
        "SELECT payload FROM outbox WHERE dedupe = %s", (f"{in_time[0][-1]}:opened",)
    ).fetchone()
    assert payload["opened_at"] == in_time[0][4].isoformat()


def test_evidence_counts_what_came_late_though_the_surge_is_as_it_was(
    make_settings: MakeSettings, connection: Connection
) -> None:
    settings = make_settings(clock="wall")
    cells, late_at = cells_of(fortnight()), time_of(TROUBLE + PER_DAY)
    late = [(series, TROUBLE + step, 1, 0) for series in (ALL, BANK) for step in range(120)]
    live_days(settings, connection, sorted([*cells, *late], key=lambda cell: cell[1]), [], late_at)
    in_time = alerts(connection)
    assert BANK.name in {row[2] for row in in_time}
    wipe(connection)
    live_days(settings, connection, cells, late, late_at)
    assert alerts(connection) == in_time


def test_what_comes_too_late_to_be_judged_is_said(
    make_settings: MakeSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(clock="wall")
    early, late, late_at = on_time_and_late(timedelta(days=3, hours=20))
    live_days(settings, connection, early, late, late_at)
    assert BANK.name not in {row[2] for row in alerts(connection)}
    messages = sum(cell[2] for cell in late if cell[0] == ALL)
    assert connection.execute("SELECT unjudged, stale_from FROM alerting_progress").fetchone() == (messages, None)
    assert metrics.UNJUDGED._value.get() == messages
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")
    shown = CliRunner().invoke(alerts_command, ["list"])
    assert f"{messages} messages came days late" in shown.stderr


def test_an_alert_without_ground_is_withdrawn_and_may_come_back(
    make_settings: MakeSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when earlier copies come late and take their stories to another hour, and others bring them again."""
    settings = make_settings(clock="wall")
    early, late, _ = on_time_and_late(timedelta(0))
    now = time_of(TROUBLE + 130)
    begin = MONDAY + timedelta(days=6)
    reach(connection, MONDAY)
    judge(settings, MONDAY)
    arrive(connection, [cell for cell in early if time_of(cell[1]) < now])
    judge(settings, begin)
    arrive(connection, late)
    judge(settings, now)
    (first,) = [row for row in alerts(connection) if row[2] == BANK.name]
    assert first[3] == "open"
    minus = [(series, step, 0, -negative) for series, step, _, negative in late]
    plus = [(series, step, 0, negative) for series, step, _, negative in late]
    for expected, change in [("withdrawn", minus), ("open", plus), ("withdrawn", minus), ("open", plus)]:
        arrive(connection, change)
        judge(settings, now)
        assert connection.execute("SELECT state FROM alert WHERE id = %s", (first[0],)).fetchone() == (expected,)
        assert (first[0] in {row[0] for row in alerts(connection)}) == (expected == "open")
    assert [row for row in alerts(connection) if row[2] == BANK.name] == [first]
    notified = connection.execute(
        "SELECT dedupe, payload FROM outbox WHERE key = %s AND dedupe NOT LIKE '%%:updated%%' ORDER BY id", (str(BANK),)
    ).fetchall()
    assert [dedupe.removeprefix(f"{first[-1]}:") for dedupe, _ in notified] == [
        "opened",
        "withdrawn",
        "opened:2",
        "withdrawn:2",
        "opened:3",
    ]
    assert [payload["state"] for _, payload in notified] == ["open", "withdrawn", "open", "withdrawn", "open"]
    arrive(connection, minus)
    judge(settings, now)
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")
    for options, listed in [([], False), (["--state", "withdrawn"], True)]:
        shown = CliRunner().invoke(alerts_command, ["list", "--json", *options])
        assert (str(first[0]) in shown.stdout) == listed


def test_an_older_second_replay_is_judged_too(
    make_settings: MakeSettings, connection: Connection, sorted_alerts: list[Any]
) -> None:
    later = timedelta(days=100)
    days = later // timedelta(minutes=5)
    cells = cells_of(fortnight())
    arrive(connection, [(series, step + days, messages, negative) for series, step, messages, negative in cells])
    declare_replay(connection, END + later)
    settings = make_settings()
    assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
    newer = alerts(connection)
    assert {row[4] - later for row in newer} >= {row[4] for row in sorted_alerts if row[2] == BANK.name}
    connection.execute("DELETE FROM replay")
    for chunk in chunks(cells, 5):
        arrive(connection, chunk)
        judge(settings)
    declare_replay(connection, END + later)
    assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
    both = alerts(connection)
    assert both[: len(sorted_alerts)] == sorted_alerts
    assert connection.execute("SELECT since, drained FROM alerting_progress").fetchone() == (MONDAY, True)
    wipe(connection)
    arrive(connection, cells)
    arrive(connection, [(series, step + days, messages, negative) for series, step, messages, negative in cells])
    declare_replay(connection, END + later)
    assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
    assert alerts(connection) == both


def test_alerts_outlive_the_minutes_they_were_found_in(
    make_settings: MakeSettings, connection: Connection, sorted_alerts: list[Any]
) -> None:
    """Trends of long ago are kept by the hour: what comes late for them is counted and said, and judged no more."""
    settings = make_settings(history_days=4)
    cells = cells_of(fortnight())
    arrive(connection, cells)
    found = finish(settings, connection)
    merged = MONDAY + timedelta(days=8)
    connection.execute("DELETE FROM trend WHERE minute < %s", (merged,))
    connection.execute("INSERT INTO trend_rollup (merged_until) VALUES (%s)", (merged,))
    arrive(connection, [(ALL, START + 3 * PER_DAY, 7, 7)])
    judge(settings)
    assert alerts(connection) == found
    assert connection.execute("SELECT unjudged, stale_from FROM alerting_progress").fetchone() == (7, None)
    last = START + 13 * PER_DAY
    arrive(connection, [(BANK, last + step, 9, 9) for step in range(12)])
    arrive(connection, [(ALL, last + step, 9, 9) for step in range(12)])
    judge(settings)
    more = alerts(connection)
    assert more[: len(found)] == found
    assert {row[2] for row in more[len(found) :]} >= {BANK.name}


def test_a_clock_that_was_years_ahead_does_not_stop_judging(
    make_settings: MakeSettings, connection: Connection
) -> None:
    settings = make_settings(clock="wall")
    cells = cells_of(fortnight())
    reach(connection, MONDAY)
    judge(settings, MONDAY)
    arrive(connection, [cell for cell in cells if cell[1] < START + 5 * PER_DAY])
    judge(settings, MONDAY + timedelta(days=5))
    judge(settings, MONDAY + timedelta(days=150))  # a battery is empty
    judge(settings, MONDAY + timedelta(days=5, hours=1))
    assert connection.execute("SELECT judged_until FROM alerting_progress").fetchone() == (
        MONDAY + timedelta(days=5, hours=1),
    )
    arrive(connection, [cell for cell in cells if cell[1] >= START + 5 * PER_DAY])
    judge(settings, END)
    assert connection.execute("SELECT judged_until FROM alerting_progress").fetchone() == (END,)
    assert BANK.name in {row[2] for row in alerts(connection)}


def test_a_process_that_ends_while_it_learns_judges_nothing_by_what_it_learnt_so_far(
    make_settings: MakeSettings, connection: Connection
) -> None:
    settings = make_settings(clock="wall", history_days=4)
    now, merged = MONDAY + timedelta(days=8), MONDAY + timedelta(days=6)
    reach(connection, MONDAY)
    judge(settings, MONDAY)
    arrive(connection, [cell for cell in cells_of(fortnight()) if time_of(cell[1]) < now])
    judge(settings, now)
    judge(settings, MONDAY + timedelta(days=150))
    found = alerts(connection)
    assert BANK.name in {row[2] for row in found}
    connection.execute("DELETE FROM trend WHERE minute < %s", (merged,))
    connection.execute("INSERT INTO trend_rollup (merged_until) VALUES (%s)", (merged,))
    stop = threading.Event()

    def stopping() -> bool:
        stop.set()
        return True

    runner = Runner(settings, ["webhook"], stop, clock=lambda: now)
    runner._judge._stopping = stopping
    assert not runner.run()
    assert stop.is_set()
    assert alerts(connection) == found
    judge(settings, now)
    assert alerts(connection) == [row for row in found if row[1] != "outage"], "that of the wrong clock"
    assert connection.execute("SELECT judged_until FROM alerting_progress").fetchone() == (now,)


def test_a_first_start_with_a_clock_ahead_is_forgotten(make_settings: MakeSettings, connection: Connection) -> None:
    settings = make_settings(clock="wall")
    reach(connection, MONDAY)
    judge(settings, MONDAY + timedelta(days=200))
    judge(settings, MONDAY)
    assert connection.execute("SELECT since, judged_until FROM alerting_progress").fetchone() == (MONDAY, MONDAY)


def test_a_replay_of_no_order_is_not_judged_from_its_beginning_at_each_look(
    make_settings: MakeSettings, connection: Connection, sorted_alerts: list[Any]
) -> None:
    cells = cells_of(fortnight())
    random.Random(2).shuffle(cells)
    hands = 0.0
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    runner._judge._ticks = lambda: hands
    runner._judge._rest_until = 100.0
    reach(connection, END)
    with runner._lead() as leading:
        for chunk in chunks(cells, 20):
            arrive(connection, chunk)
            runner.advance(leading)
        assert runner._judge.judgement is not None
        stale = runner._judge.judgement.progress.stale_from
        assert stale is not None
        assert stale < MONDAY + timedelta(hours=1), "remembered, to be judged later"
        hands = 101.0
        runner.advance(leading)
        assert runner._judge.judgement.progress.stale_from is None
    assert finish(make_settings(), connection) == sorted_alerts


@pytest.fixture
def half_way(make_settings: MakeSettings, connection: Connection) -> Runner:
    """One that has judged twelve days of a replay in moments, a day at a look, and had no time for checkpoints."""
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    cells = cells_of(fortnight())
    with runner._lead() as leading:
        for day in range(12):
            arrive(connection, [cell for cell in cells if 0 <= cell[1] - START - day * PER_DAY < PER_DAY])
            reach(connection, MONDAY + timedelta(days=day, hours=23))
            runner.advance(leading)
    assert checkpoints(connection)[-1] <= MONDAY + timedelta(days=2)
    return runner


def checkpoints(connection: Connection) -> list[datetime]:
    return [at for (at,) in connection.execute("SELECT at FROM detector_checkpoint ORDER BY at")]


def test_a_replay_killed_long_after_its_last_checkpoint_changes_nothing(
    half_way: Runner, make_settings: MakeSettings, connection: Connection
) -> None:
    before = alerts(connection)
    notified = connection.execute("SELECT dedupe FROM outbox ORDER BY id").fetchall()
    assert len(before) > 1
    judge(make_settings())
    assert alerts(connection) == before
    assert connection.execute("SELECT dedupe FROM outbox ORDER BY id").fetchall() == notified
    arrive(connection, [cell for cell in cells_of(fortnight()) if cell[1] - START >= 12 * PER_DAY])
    found = finish(make_settings(), connection)
    assert len(checkpoints(connection)) == 3
    assert checkpoints(connection)[0] == MONDAY + timedelta(days=12), "of the last days every one is kept"
    wipe(connection)
    arrive(connection, cells_of(fortnight()))
    assert finish(make_settings(), connection) == found


def test_a_surge_that_is_open_where_a_second_judging_pauses_grows_once(
    make_settings: MakeSettings, connection: Connection
) -> None:
    runner = Runner(make_settings(), ["webhook"], threading.Event())
    made = fortnight(surge_day=7.9, per_hour=20)
    for counts in (made.messages, made.negative):
        for series in (BANK, ALL):
            counts[series][8 * PER_DAY + 6 : 8 * PER_DAY + 36] += 30
    cells = cells_of(made)
    # Seven days after the only checkpoint the surge is open, and not at its peak.
    looks = [*range(8), 7 + 22 / 24, 8 + 4 / 24]
    with runner._lead() as leading:
        for since, until in itertools.pairwise([-1, *looks]):
            arrive(connection, [cell for cell in cells if since * PER_DAY <= cell[1] - START < until * PER_DAY])
            reach(connection, MONDAY + timedelta(days=until))
            runner.advance(leading)
    assert checkpoints(connection) == [MONDAY, MONDAY + timedelta(days=1)]
    before = alerts(connection)
    notified = connection.execute("SELECT dedupe FROM outbox ORDER BY id").fetchall()
    assert ("open",) in connection.execute(
        "SELECT state FROM alert WHERE opened_at < %s", (MONDAY + timedelta(days=8),)
    )
    judge(make_settings())
    assert alerts(connection) == before
    assert connection.execute("SELECT dedupe FROM outbox ORDER BY id").fetchall() == notified


def test_a_replay_left_half_way_keeps_a_checkpoint_of_where_it_is(
    half_way: Runner, make_settings: MakeSettings, connection: Connection
) -> None:
    assert half_way._judge.judgement is not None
    half_way._judge.judgement.projection._next_at = 0.0
    with connect(make_settings(), autocommit=True) as leading:
        half_way.advance(leading)
    (judged,) = connection.execute("SELECT judged_until FROM alerting_progress").fetchone() or (None,)
    assert checkpoints(connection)[-1] == judged


def test_a_checkpoint_whose_next_minutes_were_merged_is_not_gone_back_to(
    half_way: Runner, make_settings: MakeSettings, connection: Connection
) -> None:
    before = alerts(connection)
    merged = MONDAY + timedelta(days=4)
    connection.execute("DELETE FROM trend WHERE minute < %s", (merged,))
    connection.execute("INSERT INTO trend_rollup (merged_until) VALUES (%s)", (merged,))
    judge(make_settings())
    assert alerts(connection) == before


def test_a_replay_that_died_holds_nothing_up(make_settings: MakeSettings, connection: Connection) -> None:
    arrive(connection, cells_of(fortnight()))
    declare_replay(connection, END)
    connection.execute(
        "INSERT INTO replay (id, name, seen_at) VALUES (gen_random_uuid(), 'dead', now() - interval '1 hour')"
    )
    assert Runner(make_settings(), [], threading.Event()).run(until_drained=True)


def test_a_replay_of_which_every_time_is_assumed_is_judged(make_settings: MakeSettings, connection: Connection) -> None:
    arrive(connection, cells_of(fortnight()))
    declare_replay(connection, END)
    connection.execute("UPDATE offset_ledger SET max_event_time = NULL")
    assert Runner(make_settings(), [], threading.Event()).run(until_drained=True)
    assert BANK.name in {row[2] for row in alerts(connection)}
    assert connection.execute("SELECT judged_until FROM alerting_progress").fetchone() == (END,)


def test_assumed_times_beyond_a_replay_are_not_judged_and_said(
    make_settings: MakeSettings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    arrive(connection, [*cells_of(fortnight()), (ALL, START + 400 * PER_DAY, 9, 9)])
    declare_replay(connection, END)
    assert Runner(make_settings(), [], threading.Event()).run(until_drained=True)
    (judged,) = connection.execute("SELECT judged_until FROM alerting_progress").fetchone() or (None,)
    assert judged == END + timedelta(minutes=5)
    (said,) = [record.getMessage() for record in caplog.records if "assumed" in record.getMessage()]
    assert f"{MONDAY + timedelta(days=400):%Y-%m-%d}" in said


def test_other_series_are_left_alone(make_settings: MakeSettings, connection: Connection) -> None:
    """A look every day, and names that come once and go: what is kept in memory does not mix them up."""
    settings = make_settings()
    rng = random.Random(7)
    cells = cells_of(fortnight())
    cells += [
        (Series("entity", f"ONCE{i}"), START + rng.randrange(14 * PER_DAY), 1, rng.randrange(2)) for i in range(3000)
    ]
    cells.sort(key=lambda cell: (cell[1], cell[0]))
    runner = Runner(settings, [], threading.Event())
    for chunk in chunks(cells, 14):
        arrive(connection, chunk)
        reach(connection, time_of(chunk[-1][1]))
        runner.run_once()
    live = finish(settings, connection)
    wipe(connection)
    arrive(connection, cells)
    assert finish(settings, connection) == live
