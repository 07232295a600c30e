"""Retention on a real database, beside writers, killed half-way and run twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row
from sqlalchemy import Engine

from core.settings import RetentionSettings, Settings, load_settings
from core.store import retention
from core.store.connection import connect
from core.store.partitions import ensure_partitions
from core.store.retention import NOT_GROWING, Retention, run_retention
from core.store.trends import read_trends

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
COLUMNS = (
    "negative, neutral, positive, negative_stories, neutral_stories, positive_stories, "
    "p_negative, p_neutral, p_positive, unread, unread_stories"
)


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    return load_settings(retention={"batch_rows": 50, "pause_s": 0, "lock_timeout_s": 0.2})


@pytest.fixture
def store(settings: Settings, engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    with connect(settings, autocommit=True) as connection:
        yield connection


def retain(settings: Settings, now: datetime = NOW, **kwargs: Any) -> Any:
    with connect(settings, autocommit=True) as connection:
        return Retention(settings, connection, now=lambda: now, **kwargs).run()


def one(connection: psycopg.Connection[Any], query: str) -> Any:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query).fetchone()


def add_day(connection: psycopg.Connection[Any], day: date, messages: int = 120) -> None:
    """Messages of one day of storage, each a story of its own, with their keys."""
    ensure_partitions(connection, day)
    connection.execute(
        """
        WITH made AS (
            INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author,
                                 language, entities, marks, extra, story, sentiment, sentiment_scores, topic,
                                 topic_scores, model)
            SELECT gen_random_uuid(), %(day)s, 's', n::text, 'news', %(day)s + n * interval '1 minute',
                   %(day)s + n * interval '1 minute', 't', '', '', '', 'en', '{}', '{}', '{}', gen_random_uuid(),
                   'negative', '{1,0,0}', 'Markets', '{1}', 'm'
            FROM generate_series(1, %(messages)s) AS n
            RETURNING *
        ),
        keys AS (INSERT INTO message_key (uid, stored_on) SELECT uid, stored_on FROM made),
        stories AS (
            INSERT INTO story (id, headline, first_at, first_uid, last_at, messages, stored_on)
            SELECT story, 'h', published_at, uid, published_at, 1, stored_on FROM made
        ),
        series AS (
            INSERT INTO story_series (story, kind, name, first_at, uid, sentiment)
            SELECT story, 'all', 'all', published_at, uid, 'negative' FROM made
        )
        INSERT INTO story_text (text, story, form, first_at, first_uid, last_at, messages, signature, bands, stored_on)
        SELECT story, story, story, published_at, uid, published_at, 1, '', '{}', stored_on FROM made
        """,
        {"day": day, "messages": messages},
    )


def add_trends(connection: psycopg.Connection[Any], begin: datetime, minutes: int, every: int = 1) -> None:
    connection.execute(
        f"""
        INSERT INTO trend AS t (kind, name, minute, {COLUMNS})
        SELECT kind, kind, %(begin)s + n * interval '1 minute', 1, n %% 3, 2, 1, 0, 1, 10 * n, 7, 5, n %% 4, n %% 2
        FROM generate_series(0, %(minutes)s - 1, %(every)s) AS n, unnest(ARRAY['all', 'topic', 'entity']) AS kind
        ON CONFLICT (kind, name, minute) DO UPDATE SET negative = t.negative + excluded.negative,
            p_negative = t.p_negative + excluded.p_negative
        """,
        {"begin": begin, "minutes": minutes, "every": every},
    )


def judged(connection: psycopg.Connection[Any], until: datetime, days_ago: int | None = None) -> None:
    """Trends are judged up to `until`; with `days_ago`, they had been judged up to so many days less, so long ago."""
    if days_ago is not None:
        ago = timedelta(days=days_ago)
        connection.execute("INSERT INTO judged_day VALUES (%s, %s)", ((until - ago).date(), until - ago))
    connection.execute(
        "INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%s, %s, false) "
        "ON CONFLICT (one) DO UPDATE SET judged_until = excluded.judged_until",
        (until - timedelta(days=900), until),
    )


def test_every_table_has_a_rule_or_a_reason(store: psycopg.Connection[Any], settings: Settings) -> None:
    names = {
        row[0]
        for row in store.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^message_[0-9]{8}$'"
        )
    }
    ruled = set(retain(settings).rows) | {"story_series", "story_text", "alert_history", "incident_history", "trend"}
    assert names - ruled - set(NOT_GROWING) == set()
    assert set(NOT_GROWING) - names <= {"series_state", "detector_checkpoint", "offset_history"}


def test_days_are_dropped_with_their_stories_and_the_keys_stay(
    store: psycopg.Connection[Any], settings: Settings
) -> None:
    old, kept = NOW.date() - timedelta(days=401), NOW.date() - timedelta(days=399)
    add_day(store, old)
    add_day(store, kept, 30)
    report = retain(settings)
    assert report.days_dropped == 1
    assert report.rows["story"] == 120
    assert not report.unfinished
    for table in ("message", "story", "story_text", "story_series"):
        assert one(store, f"SELECT count(*) FROM {table}") == 30, table
    assert one(store, "SELECT count(*) FROM message_key") == 150
    midnight = datetime(old.year, old.month, old.day, tzinfo=UTC)
    dropped = store.execute("SELECT stored_on, messages, earliest, latest FROM dropped_day").fetchall()
    assert dropped == [(old, 120, midnight + timedelta(minutes=1), midnight + timedelta(hours=2))]
    later = NOW + timedelta(days=settings.retention.key_days - 400)
    assert retain(settings, later).rows["message_key"] == 120
    assert retain(settings, later).rows["message_key"] == 0


@pytest.mark.parametrize("ahead", [timedelta(days=300), timedelta(days=-300)])
def test_of_two_clocks_the_one_behind_counts(
    store: psycopg.Connection[Any],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ahead: timedelta,
) -> None:
    today = datetime.now(UTC).date()
    for days in (201, 401, 701):
        add_day(store, today - timedelta(days=days))

    class Host(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + ahead

    monkeypatch.setattr(retention, "datetime", Host)
    run_retention(settings)
    assert "retention goes by the earlier one" in caplog.text
    kept = {row[0] for row in store.execute("SELECT DISTINCT stored_on FROM message")}
    expected = {201} if ahead > timedelta() else {201, 401}
    assert kept == {today - timedelta(days=days) for days in expected}


def test_keys_never_go_before_their_messages(store: psycopg.Connection[Any], settings: Settings) -> None:
    short = settings.model_copy(update={"retention": settings.retention.model_copy(update={"key_days": 1})})
    add_day(store, NOW.date() - timedelta(days=300))
    retain(short)
    assert one(store, "SELECT count(*) FROM message_key") == 120


def test_minutes_become_hours_and_no_sum_changes(
    store: psycopg.Connection[Any], settings: Settings, engine: Engine
) -> None:
    begin = NOW.replace(minute=0) - timedelta(days=120)
    add_trends(store, begin, minutes=26 * 60, every=7)
    add_trends(store, NOW - timedelta(days=1), minutes=60)
    judged(store, NOW, days_ago=100)
    hours, days, minutes = (list(read_trends(engine, bucket=bucket)) for bucket in ("hour", "day", "minute"))  # type: ignore[arg-type]
    report = retain(settings)
    assert report.rows["trend"] == 3 * len(range(0, 26 * 60, 7))
    assert one(store, "SELECT count(*) FROM trend_hour") == 3 * 26
    assert list(read_trends(engine, bucket="hour")) == hours
    assert list(read_trends(engine, bucket="day")) == days
    since = NOW - timedelta(days=2)
    assert list(read_trends(engine, None, since)) == [row for row in minutes if row.at >= since]
    # What comes late into such an hour is counted at once, and merged by the next run.
    add_trends(store, begin + timedelta(minutes=3), minutes=60, every=7)
    late = list(read_trends(engine, bucket="hour"))
    assert sum(row.negative for row in late) == sum(row.negative for row in hours) + 3 * 9
    assert retain(settings).rows["trend"] == 3 * 9
    assert list(read_trends(engine, bucket="hour")) == late


def test_what_alerting_may_still_judge_stays_by_the_minute(store: psycopg.Connection[Any], settings: Settings) -> None:
    """A replay of an old file is old by the clock, and its minutes are needed all the same."""
    begin = datetime(2014, 2, 1, tzinfo=UTC)
    add_trends(store, begin, minutes=120)
    assert retain(settings).rows.get("trend", 0) == 0
    judged(store, datetime(2014, 8, 1, tzinfo=UTC))
    assert retain(settings).rows.get("trend", 0) == 0, "they were judged today only"
    assert retain(settings, NOW + timedelta(days=89)).rows.get("trend", 0) == 0
    assert retain(settings, NOW + timedelta(days=90)).rows["trend"] == 360
    history = settings.alerting.model_copy(update={"history_days": 400})
    add_trends(store, begin, minutes=120)
    late = retain(settings.model_copy(update={"alerting": history}), NOW + timedelta(days=91))
    assert late.rows["trend"] == 360  # merged already, they stay so
    retain(settings, NOW + timedelta(days=200))
    assert one(store, "SELECT count(*) FROM judged_day") == 2, "days that are asked for no more are forgotten"


def test_what_alerting_may_learn_from_again_stays_by_the_minute(
    store: psycopg.Connection[Any], settings: Settings
) -> None:
    begin = datetime(2014, 2, 1, tzinfo=UTC)
    add_trends(store, begin, minutes=120)
    judged(store, begin + timedelta(days=30))
    retain(settings)
    assert retain(settings, NOW + timedelta(days=90)).rows["trend"] == 0


def test_letters_deliveries_and_alerts(store: psycopg.Connection[Any], settings: Settings) -> None:
    store.execute(
        "INSERT INTO dead_letter (id, origin, stage, topic, value, reason, failed_at) "
        "SELECT gen_random_uuid(), n::text, 'ingest', 't', '', 'r', %s - n * interval '1 day' "
        "FROM generate_series(0, 199) AS n",
        (NOW,),
    )
    store.execute(
        """
        INSERT INTO outbox (channel, dedupe, incident, key, payload, delivered_at, given_up_at)
        SELECT 'kafka', n::text, gen_random_uuid(), 'k', '{}',
               CASE n %% 3 WHEN 0 THEN %(now)s - n * interval '1 day' END,
               CASE n %% 3 WHEN 1 THEN %(now)s - n * interval '1 day' END
        FROM generate_series(1, 90) AS n
        """,
        {"now": NOW},
    )
    store.execute(
        """
        WITH made AS (
            INSERT INTO alert (id, kind, name, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
                               expected, score, evidence)
            SELECT gen_random_uuid(), 'entity', n::text, CASE WHEN n %% 10 = 0 THEN 'open' ELSE 'closed' END,
                   '2014-01-01', '2014-01-01', '2014-01-01', '2014-01-01', 30, 1, 1, 1, '{}'
            FROM generate_series(1, 100) AS n
            RETURNING *
        ),
        incidents AS (
            INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, peak_at, window_minutes,
                                  observed, expected, score)
            SELECT id, id, kind, name, signal, state, opened_at, last_at, peak_at, 30, 1, 1, 1 FROM made
        ),
        told AS (
            INSERT INTO incident_history (incident, change, times, at, recorded_at)
            SELECT id, CASE state WHEN 'open' THEN 'opened' ELSE 'resolved' END, 1, '2014-01-01',
                   %(now)s - name::integer * interval '30 days'
            FROM made
        )
        INSERT INTO alert_history (alert, state, at, observed, expected, score, recorded_at)
        SELECT id, state, '2014-01-01', 1, 1, 1, %(now)s - name::integer * interval '30 days' FROM made
        """,
        {"now": NOW},
    )
    store.execute("UPDATE alert SET incident = id")
    report = retain(settings)
    assert report.rows["dead_letter"] == 199 - 90
    assert report.rows["outbox"] == 40
    assert one(store, "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL") == 30
    ended = [n for n in range(1, 101) if n % 10 and n * 30 > settings.retention.alert_days]
    assert report.rows["alert"] == len(ended)
    assert report.rows["incident"] == len(ended)
    for table in ("alert_history", "incident_history"):
        assert one(store, f"SELECT count(*) FROM {table}") == 100 - len(ended)


@contextmanager
def reading(settings: Settings, query: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has read and is still open."""
    with connect(settings) as connection:
        connection.execute(query).fetchall()
        yield connection


def test_a_long_reader_delays_one_day_and_nobody_else(store: psycopg.Connection[Any], settings: Settings) -> None:
    day = NOW.date() - timedelta(days=500)
    add_day(store, day)
    with reading(settings, "SELECT count(*) FROM message"):
        report = retain(settings)
        assert report.unfinished == [f"message_{day:%Y%m%d}"]
        assert report.rows["story"] == 120
        # Workers go on: rows of today, and a new day's partition.
        add_day(store, NOW.date(), 5)
    assert one(store, "SELECT count(*) FROM message") == 5
    again = retain(settings)
    assert (again.days_dropped, again.unfinished) == (2, [])  # the empty day after it too
    assert one(store, f"SELECT to_regclass('message_{day:%Y%m%d}') IS NULL")
    assert one(store, "SELECT messages FROM dropped_day") == 120


def test_workers_are_never_held_up(store: psycopg.Connection[Any], settings: Settings) -> None:
    for days in range(401, 406):
        add_day(store, NOW.date() - timedelta(days=days))
    stop, longest, written = threading.Event(), [0.0], [0]

    def write() -> None:
        with connect(settings, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '5s'")
            while not stop.is_set():
                began = time.monotonic()
                add_day(connection, NOW.date(), 3)
                longest[0] = max(longest[0], time.monotonic() - began)
                written[0] += 3

    writer = threading.Thread(target=write)
    writer.start()
    try:
        patient = settings.model_copy(update={"retention": RetentionSettings(batch_rows=50, pause_s=0)})
        reports = [retain(patient) for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    assert sum(report.days_dropped for report in reports) == 5
    assert one(store, "SELECT count(*) FROM message") == written[0] > 0


def test_two_processes_take_turns(store: psycopg.Connection[Any], settings: Settings) -> None:
    add_day(store, NOW.date() - timedelta(days=401))
    with connect(settings, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x72657465,))
        assert retain(settings).at_work
        assert one(store, "SELECT count(*) FROM message") == 120
    assert retain(settings).days_dropped == 1


@pytest.mark.parametrize("after_s", [0.6, 0.8, 1.0, 1.3])
def test_killed_at_any_moment_it_goes_on(
    store: psycopg.Connection[Any], settings: Settings, engine: Engine, after_s: float
) -> None:
    today = datetime.now(UTC).date()
    for days in range(401, 404):
        add_day(store, today - timedelta(days=days), 400)
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=200)
    add_trends(store, begin, minutes=48 * 60)
    judged(store, datetime.now(UTC), days_ago=100)
    hours = list(read_trends(engine, bucket="hour"))
    program = (
        "from core.settings import load_settings\nfrom core.store.retention import run_retention\n"
        "run_retention(load_settings(retention={'batch_rows': 20, 'pause_s': 0.002}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(read_trends(engine, bucket="hour")) == hours
    report = retain(settings, datetime.now(UTC))
    for _ in range(20):  # the server may still end the session of the process that was killed
        if not report.at_work and not report.unfinished:
            break
        time.sleep(0.2)
        report = retain(settings, datetime.now(UTC))
    assert list(read_trends(engine, bucket="hour")) == hours
    assert one(store, "SELECT count(*) FROM trend") == 0
    assert one(store, "SELECT count(*) FROM story") == 0
    assert one(store, "SELECT sum(messages) FROM dropped_day") == 1200
    assert one(store, "SELECT count(*) FROM pg_class WHERE relname ~ '^message_[0-9]{8}$' AND relkind = 'r'") == 1
