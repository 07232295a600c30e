"""What people are told as alerts come, grow, end and are judged again; without a detector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest

from alerting.delivery.outbox import Outbox
from alerting.detection.detector import OUTAGE, Series, Surge
from alerting.incidents.alert_states import FoundSurge
from alerting.incidents.alert_table import AlertTable
from alerting.judging.sql import fetch
from alerting.steps import Steps
from core.settings import load_settings
from core.store.connection import open_engine
from core.store.incidents import list_incidents, measure_false_alarms
from core.store.model_rates import ModelRates
from tests.alerting.surge_streams import ALL, BANK, START, MakeSettings, time_of

Connection = psycopg.Connection[Any]

MILL = Series("entity", "MILL")
_NAMES = UUID("a2b1c0d4-9f3e-4c61-8d5a-3c7e1f2b4d55")


@pytest.fixture
def table(make_settings: MakeSettings) -> AlertTable:
    return AlertTable(Steps(5), Outbox(["webhook"]), ModelRates(load_settings().bundle_directory))


def add_stories(connection: Connection, number: int, series: Iterable[Series], step: int, name: str = "") -> None:
    """`number` bad stories of all these series and of `all` in a step, counted in the trends."""
    moment = time_of(step) + timedelta(minutes=1)
    for each in {*series, ALL}:
        for i in range(number):
            connection.execute(
                "INSERT INTO story_series VALUES (%s, %s, %s, %s, %s, 'negative')",
                (uuid5(_NAMES, f"{name}{step} {i}"), *each, moment + timedelta(seconds=i), uuid5(_NAMES, f"{i}")),
            )
        connection.execute(
            "INSERT INTO trend AS t VALUES (%s, %s, %s, %s, 0, 0, %s, 0, 0, 0, 0, 0) ON CONFLICT (kind, name, minute) "
            "DO UPDATE SET negative_stories = t.negative_stories + excluded.negative_stories",
            (*each, moment, number, number),
        )


def surge(series: Series, step: int, observed: float, expected: float = 2) -> FoundSurge:
    """One that opens in the step, with a window of an hour."""
    opened = Surge(step, step, step, 12, observed, expected, 6.0)
    return FoundSurge(series, opened, opened)


def later(found: FoundSurge, step: int, observed: float | None = None, *, closed: bool = False, grown: bool = False,
          opening: bool = False) -> FoundSurge:  # fmt: skip
    """The same surge some steps on; with `opening` in a judgement that holds its opening too."""
    moved = replace(found.surge, last=step)
    if observed is not None:
        moved = replace(moved, peak=step, observed=observed, score=2 * found.surge.score)
    return FoundSurge(found.series, moved, found.opening if opening else None, step if closed else None, grown)


def judge(table: AlertTable, connection: Connection, found: list[FoundSurge], start: int, end: int) -> None:
    with connection.transaction():
        table.bring_in_line(connection, found, start, end, start)


def changes(connection: Connection) -> list[tuple[str, str, list[str]]]:
    """Change, series and alerts of everything that was delivered."""
    rows = connection.execute("SELECT payload FROM outbox ORDER BY id").fetchall()
    return [(p["change"], p["series"], [alert["series"] for alert in p["alerts"]]) for (p,) in rows]


def test_one_event_is_told_as_it_goes_on(table: AlertTable, connection: Connection) -> None:
    """It opens in `all`, is named after the bank once that opens, grows, and ends with the last alert."""
    add_stories(connection, 20, [BANK], START)
    everything, bank = surge(ALL, START + 1, 20), surge(BANK, START + 2, 20)
    judge(table, connection, [everything], START + 1, START + 2)
    judge(table, connection, [later(everything, START + 2), bank], START + 2, START + 3)
    quiet = [later(everything, START + 3), later(bank, START + 3, 25)]
    judge(table, connection, quiet, START + 3, START + 4)
    grown = [later(everything, START + 4), later(bank, START + 4, 45, grown=True)]
    judge(table, connection, grown, START + 4, START + 5)
    judge(table, connection, grown, START + 4, START + 5)  # judged again
    judge(
        table, connection, [later(everything, START + 5, closed=True), later(grown[1], START + 5)], START + 5, START + 6
    )
    judge(table, connection, [later(grown[1], START + 6, closed=True)], START + 6, START + 7)
    both = ["entity=BANK", "all"]
    assert changes(connection) == [
        ("opened", "all", ["all"]),
        ("updated", "entity=BANK", both),
        ("updated", "entity=BANK", both),
        ("resolved", "entity=BANK", both),
    ]
    rows = connection.execute("SELECT payload FROM outbox ORDER BY id").fetchall()
    assert [p["observed"] for (p,) in rows] == [20, 20, 45, 45]
    assert [p["sentence"].rsplit(" ", 1)[1] for (p,) in rows] == [f"{time_of(START + n):%H:%M}" for n in (2, 3, 3, 3)]
    assert len({p["incident"] for (p,) in rows}) == 1
    assert [p["dedupe"].split(":", 1)[1] for (p,) in rows] == ["opened", "updated", "updated:2", "resolved"]


def test_what_opened_and_ended_in_one_go_is_told_as_it_opened_and_as_it_ended(
    table: AlertTable, connection: Connection
) -> None:
    add_stories(connection, 20, [BANK], START)
    found = [
        later(surge(BANK, START + 1, 20), START + 9, 60, closed=True, opening=True),
        later(surge(ALL, START + 3, 20), START + 9, closed=True, opening=True),
    ]
    judge(table, connection, found, START, START + 20)
    assert changes(connection) == [
        ("opened", "entity=BANK", ["entity=BANK"]),
        ("resolved", "entity=BANK", ["entity=BANK", "all"]),
    ]
    rows = connection.execute("SELECT payload FROM outbox ORDER BY id").fetchall()
    assert [p["observed"] for (p,) in rows] == [20, 60]


def test_stories_that_come_late_part_what_was_one(table: AlertTable, connection: Connection) -> None:
    """`all` joined the bank; then it turns out that the mill has most of its stories."""
    add_stories(connection, 20, [BANK], START)
    bank, everything = surge(BANK, START + 1, 20), surge(ALL, START + 2, 20)
    judge(table, connection, [bank, everything], START, START + 3)
    add_stories(connection, 80, [MILL], START, "mill")
    wide = replace(everything, surge=replace(everything.surge, observed=100), opening=None)
    wide = replace(wide, opening=wide.surge)
    mill = surge(MILL, START + 1, 80)
    judge(table, connection, [bank, mill, wide], START, START + 3)
    held = connection.execute(
        "SELECT i.name, array_agg(a.name ORDER BY a.name) FROM incident i JOIN alert a ON a.incident = i.id "
        "WHERE i.state = 'open' GROUP BY i.name ORDER BY i.name"
    ).fetchall()
    assert held == [("BANK", ["BANK"]), ("MILL", ["MILL", "all"])]
    judge(table, connection, [mill, wide], START, START + 3)
    judge(table, connection, [bank, mill, wide], START, START + 3)
    delivered = [(change, series) for change, series, _ in changes(connection)]
    assert delivered == [
        ("opened", "entity=BANK"),
        ("updated", "entity=BANK"),
        ("opened", "entity=MILL"),
        ("updated", "entity=MILL"),
        ("withdrawn", "entity=BANK"),
        ("opened", "entity=BANK"),
    ]
    dedupes = [row[0] for row in connection.execute("SELECT dedupe FROM outbox ORDER BY id")]
    assert dedupes[-1].endswith(":opened:2")
    assert len(set(dedupes)) == len(dedupes)


def test_an_incident_that_is_over_is_opened_again_by_what_joins_it(table: AlertTable, connection: Connection) -> None:
    add_stories(connection, 20, [BANK], START)
    bank = later(surge(BANK, START + 1, 20), START + 3, closed=True, opening=True)
    judge(table, connection, [bank], START, START + 5)
    everything = surge(ALL, START + 7, 20)
    judge(table, connection, [everything], START + 5, START + 8)
    judge(table, connection, [later(everything, START + 9, closed=True)], START + 8, START + 10)
    assert [change for change, _, _ in changes(connection)] == ["opened", "resolved", "opened", "resolved"]
    assert connection.execute("SELECT count(*), min(state) FROM incident").fetchone() == (1, "closed")


def test_what_is_withdrawn_is_told_and_listed_with_its_ground(
    make_settings: MakeSettings, table: AlertTable, connection: Connection
) -> None:
    add_stories(connection, 20, [BANK], START)
    judge(table, connection, [surge(ALL, START + 1, 20), surge(BANK, START + 2, 20)], START, START + 3)
    judge(table, connection, [], START, START + 3)
    assert changes(connection)[-1] == ("withdrawn", "entity=BANK", ["entity=BANK", "all"])
    engine = open_engine(make_settings())
    try:
        assert list_incidents(engine) == []
        (gone,) = list_incidents(engine, state="withdrawn")
        assert [alert.series for alert in gone.alerts] == ["entity=BANK", "all"]
        measured = measure_false_alarms(engine)
        assert (measured.incidents, measured.per_week, measured.false_share) == (0, 0, None)
    finally:
        engine.dispose()


def test_an_outage_is_told_and_is_no_page_of_the_budget(
    make_settings: MakeSettings, table: AlertTable, connection: Connection
) -> None:
    judge(table, connection, [surge(BANK, START + 1, 20), surge(OUTAGE, START + 2, 0, 40)], START, START + 3)
    assert sorted(series for _, series, _ in changes(connection)) == ["entity=BANK", "outage=ingest"]
    until = time_of(START + 3)
    assert [tuple(row) for row in fetch(connection, "pages", {"until": until})] == [("none", 1)]
    connection.execute(
        "INSERT INTO alerting_progress (since, judged_until, drained, unjudged) VALUES (%s, %s, false, 0)",
        (time_of(START), until),
    )
    engine = open_engine(make_settings())
    try:
        assert measure_false_alarms(engine).incidents == 1
    finally:
        engine.dispose()
