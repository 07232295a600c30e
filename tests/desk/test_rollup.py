"""Hours that were added up beforehand: what is read of them is at any moment what the minutes say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from core.settings import Settings
from core.store.connection import connect
from desk.rollup import Rollup
from desk.store.rollup import QUERIES
from tests.desk.newsroom import FIRST, PRESENT

KINDS = ("all", "topic", "entity", "source")
HOUR = timedelta(hours=1)
MIDNIGHT = PRESENT.replace(hour=0)
SPANS = (
    (FIRST - timedelta(days=1), PRESENT + timedelta(days=1)),
    (MIDNIGHT - timedelta(days=12), MIDNIGHT),
    (MIDNIGHT - timedelta(days=9, hours=5), MIDNIGHT - timedelta(days=2, hours=3)),
    (PRESENT - timedelta(hours=6), PRESENT),
)


@pytest.fixture
def writer(newsroom: None, settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A worker's connection; each use is a transaction that is committed by hand."""
    with connect(settings) as connection:
        yield connection


def change(connection: psycopg.Connection[Any], minute: datetime, amount: int = 1) -> None:
    """What a worker does in a transaction: change trends, and note that it did."""
    connection.execute(
        "INSERT INTO trend AS t VALUES ('entity', 'AAPL', %(minute)s, %(n)s, 0, 0, %(n)s, 0, 0, 0, 0, 0, %(n)s, 1) "
        "ON CONFLICT (kind, name, minute) DO UPDATE SET negative = t.negative + excluded.negative, "
        "negative_stories = t.negative_stories + excluded.negative_stories, unread = t.unread + excluded.unread, "
        "unread_stories = t.unread_stories + excluded.unread_stories",
        {"minute": minute, "n": amount},
    )
    connection.execute("INSERT INTO trend_change (minutes, messages) VALUES (%s, '{1}')", ([minute],))


def differences(engine: Engine) -> list[Any]:
    """Hours of which `trend_hours` tells something else than the minutes and merged hours do, and sums over spans of
    which `trend_totals` does."""
    columns = "negative, neutral, positive, negative_stories, neutral_stories, positive_stories, unread, "
    columns += "unread_stories"
    sums = ", ".join(f"sum({column})::bigint AS {column}" for column in columns.split(", "))
    true = f"""
        SELECT name, date_trunc('hour', minute, 'UTC') AS hour, {sums} FROM trend_history
        WHERE kind = :kind AND minute >= :since AND minute < :until GROUP BY 1, 2
    """
    hours = f"SELECT name, hour, {sums} FROM trend_hours(:kind, NULL, :since, :until) GROUP BY 1, 2"
    totals = f"SELECT name, {columns} FROM trend_totals(:kind, NULL, :since, :until)"
    of_some = f"SELECT name, {columns} FROM trend_totals(:kind, ARRAY['all', 'AAPL'], :since, :until)"
    pairs = [
        (hours, true),
        (totals, f"SELECT name, {sums} FROM ({true}) AS hours GROUP BY 1"),
        (of_some, f"SELECT name, {sums} FROM ({true}) AS hours WHERE name IN ('all', 'AAPL') GROUP BY 1"),
    ]
    with engine.connect() as connection:
        return [
            (kind, since, until, *row)
            for told, is_so in pairs
            for kind in KINDS
            for since, until in SPANS
            for row in connection.execute(
                text(f"(({told}) EXCEPT ({is_so})) UNION ALL (({is_so}) EXCEPT ({told}))"),
                {"kind": kind, "since": since, "until": until},
            )
        ]


def count(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_hours_are_what_their_minutes_say(newsroom: None, engine: Engine) -> None:
    assert differences(engine) == []
    assert Rollup(engine).roll()
    assert count(engine, "SELECT count(*) FROM trend_rolled") > 1000
    assert count(engine, "SELECT count(*) FROM trend_rolled_day") > 100
    assert differences(engine) == []


def test_what_comes_late_is_told_before_and_after_it_is_rolled(writer: psycopg.Connection[Any], engine: Engine) -> None:
    rollup = Rollup(engine)
    rollup.roll()
    for minute in (PRESENT - timedelta(days=3), FIRST - timedelta(hours=5), PRESENT + timedelta(minutes=3)):
        change(writer, minute, 7)
    writer.commit()
    assert count(engine, "SELECT count(*) FROM trend_unrolled") == 2  # the newest hour is not rolled yet
    assert differences(engine) == []
    rollup.roll()
    assert count(engine, "SELECT count(*) FROM trend_unrolled") == 0
    assert differences(engine) == []


def test_a_transaction_that_is_under_way_holds_the_roll_up_back(
    writer: psycopg.Connection[Any], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desk.rollup._PATIENCE_S", 0.1)
    rollup = Rollup(engine)
    change(writer, PRESENT - timedelta(days=3))  # it has not heard that this hour is to be marked
    assert count(engine, "SELECT count(*) FROM trend_unrolled") == 0
    rollup.roll()
    assert count(engine, "SELECT count(*) FROM trend_rolled") == 0
    writer.commit()
    assert differences(engine) == []
    rollup.roll()
    assert count(engine, "SELECT count(*) FROM trend_rolled") > 1000
    assert differences(engine) == []


def test_a_change_that_rolling_does_not_see_keeps_its_mark(writer: psycopg.Connection[Any], engine: Engine) -> None:
    rollup = Rollup(engine)
    rollup.roll()
    minute = PRESENT - timedelta(days=3)
    change(writer, minute)
    writer.commit()
    change(writer, minute)  # of the same hour, and committed while that is rolled
    with rollup._snapshot() as work, work.begin():
        work.execute(text("SELECT 1"))
        writer.commit()
        work.execute(QUERIES["unmark"], {"hour": minute})
    assert count(engine, "SELECT count(*) FROM trend_unrolled") == 1
    rollup.roll()
    assert differences(engine) == []


def test_hours_that_retention_merged_are_read_where_it_put_them(
    writer: psycopg.Connection[Any], engine: Engine
) -> None:
    rollup = Rollup(engine)
    rollup.roll()
    until = PRESENT.replace(minute=0) - timedelta(days=10)
    writer.execute("INSERT INTO trend_rollup (merged_until) VALUES (%s)", (until,))
    writer.commit()
    assert differences(engine) == []
    writer.execute(
        "WITH gone AS (DELETE FROM trend WHERE minute < %s RETURNING *) INSERT INTO trend_hour "
        "SELECT kind, name, date_trunc('hour', minute, 'UTC'), sum(negative), sum(neutral), sum(positive), "
        "sum(negative_stories), sum(neutral_stories), sum(positive_stories), 0, 0, 0, sum(unread), "
        "sum(unread_stories) FROM gone GROUP BY 1, 2, 3",
        (until - HOUR,),
    )
    change(writer, until - timedelta(days=2), 5)
    writer.commit()
    assert differences(engine) == []
    rollup.roll()
    assert count(engine, "SELECT count(*) FROM trend_rolled, trend_rollup WHERE hour < merged_until") == 0
    days = "SELECT count(*) FROM trend_rolled_day, trend_rollup WHERE day < date_trunc('day', merged_until, 'UTC')"
    assert count(engine, days) == 0
    assert differences(engine) == []


def test_one_desk_rolls_at_a_time(newsroom: None, engine: Engine, writer: psycopg.Connection[Any]) -> None:
    writer.execute("SELECT pg_advisory_lock(%s)", (0x726F6C6C,))
    assert not Rollup(engine).roll()
    writer.execute("SELECT pg_advisory_unlock(%s)", (0x726F6C6C,))
    assert Rollup(engine).roll()
