"""The store itself: partitions, retention, and an audit that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from core.dead_letters import DeadLetter
from core.records import Message, decode, encode
from core.settings import Settings
from core.store.connection import connect
from core.store.partitions import ensure_partitions
from core.store.recount import differences, totals
from core.store.retention import Retention
from core.store.trends import parse_series, read_series, read_trends
from stream.batch import Record
from stream.pipeline import Pipeline
from tests.stream.harness import as_input, ask, make_pipeline, make_settings, scenario_records

COUNT = 400
TOPIC = "newstide.messages"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings("127.0.0.1:1", database_url, tmp_path)


@pytest.fixture
def letters() -> list[DeadLetter]:
    return []


@pytest.fixture
def pipeline(settings: Settings, engine: Engine, letters: list[DeadLetter]) -> Iterator[Pipeline]:
    made = make_pipeline(settings, TOPIC, letters.extend)
    yield made
    made.close()


@pytest.fixture
def records() -> list[Record]:
    return scenario_records(TOPIC, COUNT)


def test_redelivery_changes_nothing(pipeline: Pipeline, engine: Engine, records: list[Record]) -> None:
    pipeline.process(records)
    before = list(read_trends(engine))
    assert sum(row.negative + row.neutral + row.positive for row in before if row.kind == "all") == COUNT
    for start in range(0, COUNT, 70):
        pipeline.process(records[start : start + 150])
    assert list(read_trends(engine)) == before
    assert totals(engine)["messages"] == COUNT
    assert differences(engine) == []


def test_the_audit_sees_one_message_too_many(pipeline: Pipeline, engine: Engine, records: list[Record]) -> None:
    pipeline.process(records)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE trend SET negative = negative + 1 WHERE (kind, name, minute) IN "
                 "(SELECT kind, name, minute FROM trend WHERE kind = 'topic' LIMIT 1)")
        )  # fmt: skip
        connection.execute(text("DELETE FROM trend WHERE kind = 'all' AND minute = (SELECT min(minute) FROM trend)"))
    found = differences(engine)
    assert sorted(difference.kind for difference in found) == ["all", "topic"]
    assert [difference.stored for difference in found if difference.kind == "all"] == [None]


def test_a_gap_is_seen(pipeline: Pipeline, settings: Settings, records: list[Record]) -> None:
    partition = [record for record in records if record.partition == 1]
    pipeline.process(partition[:10])
    pipeline.process(partition[14:20])
    pipeline.process(partition[5:16])
    assert ask(settings, "SELECT next_offset, gaps FROM offset_ledger WHERE partition = 1") == [(20, 4)]


def test_retention_drops_days_and_keeps_trends(
    pipeline: Pipeline, settings: Settings, engine: Engine, records: list[Record]
) -> None:
    pipeline.process(records)
    before = list(read_trends(engine))
    counted = totals(engine)
    now = datetime.now(UTC)
    with connect(settings, autocommit=True) as connection:
        assert Retention(settings, connection).run().days_dropped == 0
        days = timedelta(days=settings.database.retention_days + 1)
        report = Retention(settings, connection, now=lambda: now + days).run()
        assert report.days_dropped == 1
        for table in ("message", "story", "story_text", "story_band", "story_series"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert list(read_trends(engine)) == before
    # An old file that comes again is not counted again, and the worker that made today's partition goes on.
    with connect(settings, autocommit=True) as connection:
        assert ensure_partitions(connection, now.date()) > now.date()
    pipeline.process([Record(TOPIC, 0, 1000 + n, record.key, record.value) for n, record in enumerate(records[:5])])
    assert list(read_trends(engine)) == before
    assert totals(engine) == counted
    with connect(settings, autocommit=True) as connection:
        days = timedelta(days=settings.retention.key_days + 1)
        assert Retention(settings, connection, now=lambda: now + days).run().rows["message_key"] == counted["messages"]


def test_partitions_can_be_made_by_many_at_once(settings: Settings, engine: Engine) -> None:
    with connect(settings, autocommit=True) as one, connect(settings, autocommit=True) as other:
        for connection in (one, other, one):
            assert ensure_partitions(connection, date(2031, 5, 1)) == date(2031, 5, 3)
    tables = ask(
        settings, "SELECT relname FROM pg_class WHERE relname LIKE 'message\\_2%' AND relkind = 'r' ORDER BY 1"
    )
    assert tables == [("message_20310501",), ("message_20310502",)]


def test_what_postgres_refuses_is_set_aside(
    pipeline: Pipeline, engine: Engine, letters: list[DeadLetter], records: list[Record]
) -> None:
    """A check of the operator's own, say; the others of the batch are stored."""
    victim = records[123]
    with engine.begin() as connection:
        connection.execute(
            text("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 f"IF NEW.id = '{victim.key.decode() if victim.key else ''}' THEN RAISE data_exception; END IF; "
                 "RETURN NEW; END $$")
        )  # fmt: skip
        connection.execute(
            text("CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()")
        )
    pipeline.process(records)
    assert [letter.value for letter in letters] == [victim.value]
    assert "can't be stored" in letters[0].reason
    assert totals(engine)["messages"] == COUNT - 1
    assert differences(engine) == []


def test_reading_trends(pipeline: Pipeline, engine: Engine, records: list[Record]) -> None:
    pipeline.process(records)
    totals_by_series = {(row.kind, row.name): row.messages for row in read_series(engine)}
    assert totals_by_series["all", "all"] == COUNT
    for (kind, name), messages in totals_by_series.items():
        rows = list(read_trends(engine, (kind, name), bucket="day"))
        assert sum(row.negative + row.neutral + row.positive for row in rows) == messages
    first = min(row.at for row in read_trends(engine))
    later = list(read_trends(engine, parse_series("all"), since=first + timedelta(hours=1)))
    assert all(row.at >= first + timedelta(hours=1) for row in later)
    earlier = list(read_trends(engine, parse_series("all"), until=first + timedelta(hours=1)))
    assert sum(sum((r.negative, r.neutral, r.positive)) for r in earlier + later) == COUNT


def test_spellings_of_a_source_are_one_series_and_it_is_shown_as_written(pipeline: Pipeline, engine: Engine) -> None:
    now = datetime.now(UTC)
    spelt = ["S&P  Börse", "s&p-börse", "财经日报", "wire"]
    messages = [
        decode(
            encode(Message(id=str(n), source=name, kind="news", published_at=now, received_at=now, text=f"Text {n}"))
        )
        for n, name in enumerate(spelt)
    ]
    for start in range(2):
        pipeline.process([Record(TOPIC, start, n, key, value) for n, (key, value) in enumerate(as_input(messages))])
    shown = {row.name: row.messages for row in read_series(engine) if row.kind == "source"}
    assert shown == {"S&P Börse": 2, "财经日报": 1, "wire": 1}
    for asked in ("S&P Börse", "s&p börse"):
        rows = list(read_trends(engine, parse_series(f"source={asked}"), bucket="day"))
        assert [(row.name, row.as_json()["series"], row.as_json()["messages"]) for row in rows] == [
            ("S&P Börse", "source=S&P Börse", 2)
        ]
    assert differences(engine) == []


def test_the_audit_compares_merged_hours(
    pipeline: Pipeline, settings: Settings, engine: Engine, records: list[Record]
) -> None:
    pipeline.process(records[:300])
    with connect(settings, autocommit=True) as connection:
        connection.execute("INSERT INTO alerting_progress (since, judged_until, drained) VALUES (now(), now(), true)")
        connection.execute("INSERT INTO judged_day VALUES (current_date - 100, now() - interval '100 days')")
        assert Retention(settings, connection).run().rows["trend"] > 0
    assert differences(engine) == []
    pipeline.process(records[300:])  # late: into hours that are merged
    assert differences(engine) == []
    assert ask(settings, "SELECT count(*) > 0 FROM trend") == [(True,)]
    with connect(settings, autocommit=True) as connection:
        Retention(settings, connection).run()
        assert differences(engine) == []
        connection.execute(
            "UPDATE trend_hour SET negative = negative + 1 "
            "WHERE kind = 'all' AND hour = (SELECT min(hour) FROM trend_hour WHERE kind = 'all')"
        )
    (found,) = differences(engine)
    assert (found.kind, found.minute.minute) == ("all", 0)
