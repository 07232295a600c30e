"""What the worker notes of its changes, so that they are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.records import TIME_ASSUMED, TIME_CLAMPED, Message, encode
from core.settings import Settings
from core.store.connection import connect
from core.store.trend_changes import compact_trend_changes
from stream.batch import Record
from stream.pipeline import Pipeline
from tests.stream.harness import as_input, ask, make_pipeline, make_settings, scenario_messages

TOPIC = "newstide.messages"
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings("127.0.0.1:1", database_url, tmp_path)


@pytest.fixture
def pipeline(settings: Settings, engine: Engine) -> Iterator[Pipeline]:
    made = make_pipeline(settings, TOPIC)
    yield made
    made.close()


def record(offset: int, at: datetime, text: str, marks: tuple[str, ...] = ()) -> Record:
    message = Message(
        id=str(offset), source="wire", kind="news", published_at=at, received_at=AT, text=text, marks=list(marks)
    )
    return Record(TOPIC, 0, offset, None, encode(message))


def changed(settings: Settings) -> Counter[datetime]:
    rows = ask(settings, "SELECT minute, n FROM trend_change, LATERAL unnest(minutes, messages) AS t (minute, n)")
    minutes: Counter[datetime] = Counter()
    for minute, messages in rows:
        minutes[minute] += messages
    return minutes


def test_every_changed_minute_is_noted_with_its_messages(pipeline: Pipeline, settings: Settings) -> None:
    records = [
        Record(TOPIC, 0, number, key, value) for number, (key, value) in enumerate(as_input(scenario_messages(300)))
    ]
    for start in range(0, 300, 80):
        pipeline.process(records[start : start + 120])
    counted = Counter(dict(ask(settings, "SELECT minute, negative + neutral + positive FROM trend WHERE kind = 'all'")))
    assert changed(settings) == counted
    with connect(settings, autocommit=True) as connection:
        compact_trend_changes(connection)
    assert changed(settings) == counted
    days = {minute.date() for minute in counted}
    assert ask(settings, "SELECT count(*) FROM trend_change") == [(len(days),)]


def test_what_is_compact_is_not_written_again(pipeline: Pipeline, settings: Settings) -> None:
    """Else the desk would add up all hours anew each day, where nobody judges."""

    def compact() -> set[datetime]:
        """Hours that are noted as changed by it."""
        with connect(settings, autocommit=True) as connection:
            connection.execute("DELETE FROM trend_unrolled")
            compact_trend_changes(connection)
            return {hour for (hour,) in connection.execute("SELECT DISTINCT hour FROM trend_unrolled")}

    with connect(settings, autocommit=True) as connection:
        connection.execute("UPDATE trend_rolling SET marked_until = %s", (AT + timedelta(days=1),))
    days = [AT - timedelta(days=number) for number in range(4)]
    pipeline.process([record(number, day, f"Copper rises by {number}") for number, day in enumerate(days)])
    counted = changed(settings)
    assert compact() == set(days), "one row of four days became four"
    assert compact() == set()
    late = days[2] - timedelta(hours=3)
    pipeline.process([record(9, late, "Zinc falls")])
    assert compact() == {days[2], late}
    assert compact() == set()
    assert changed(settings) == counted + Counter([late])
    assert ask(settings, "SELECT count(*) FROM trend_change") == [(4,)]


def test_a_moved_story_changes_both_minutes(pipeline: Pipeline, settings: Settings) -> None:
    text = "Bank shares tumble as regulators open a probe into its loans"
    pipeline.process([record(0, AT - timedelta(minutes=5), text)])
    pipeline.process([record(1, AT - timedelta(minutes=50), text)])
    assert sorted(changed(settings).items()) == [
        (AT - timedelta(minutes=50), 1),
        (AT - timedelta(minutes=5), 1),
    ]
    assert len(ask(settings, "SELECT FROM trend_change WHERE cardinality(minutes) = 2")) == 1


def test_a_redelivery_notes_nothing(pipeline: Pipeline, settings: Settings) -> None:
    records = [record(0, AT, "Shares fall")]
    pipeline.process(records)
    pipeline.process(records)
    assert ask(settings, "SELECT count(*) FROM trend_change") == [(1,)]


@pytest.mark.parametrize("mark", [TIME_ASSUMED, TIME_CLAMPED])
def test_an_assumed_time_moves_no_watermark(pipeline: Pipeline, settings: Settings, mark: str) -> None:
    early = AT - timedelta(days=900)
    pipeline.process([record(0, early, "Profit warning"), record(1, AT, "No date here", (mark,))])
    assert ask(settings, "SELECT max_event_time FROM offset_ledger") == [(early,)]
    assert ask(settings, "SELECT count(*) FROM message") == [(2,)]
