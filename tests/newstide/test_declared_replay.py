"""A replay outside `newstide up` declares itself, against a real broker and database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from core.errors import InputError
from core.kafka import ensure_topics, wait_for_broker
from core.settings import Settings, load_settings
from core.store import replays
from core.store.ledger import end_replay
from core.store.replays import abandon_replay, begin_replay, declare_replay, note_alive
from newstide.commands.declaration import declared
from newstide.commands.ingest import ingest
from newstide.embedded.broker import EmbeddedBroker
from tests.alerting.surge_streams import MONDAY, fill_trends, fortnight
from tests.newstide.stacks import newstide


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    return load_settings()


@pytest.fixture
def broker(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with EmbeddedBroker(tmp_path) as running:
        monkeypatch.setenv("NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS", running.bootstrap_servers)
        wait_for_broker(load_settings())
        ensure_topics(load_settings())
        yield


def states(engine: Engine) -> dict[str, str]:
    query = """
        SELECT name, CASE WHEN finished_at IS NOT NULL THEN 'finished'
                          WHEN seen_at < now() - interval '1 minute' THEN 'abandoned' ELSE 'alive' END AS state
        FROM replay
    """
    with engine.connect() as connection:
        return {row.name: row.state for row in connection.execute(text(query))}


def test_replays_stand_beside_each_other(engine: Engine) -> None:
    stack = begin_replay(engine, "of a stack")
    first, second = declare_replay(engine, "first"), declare_replay(engine, "second")
    assert states(engine) == {"of a stack": "alive", "first": "alive", "second": "alive"}
    abandon_replay(engine, first)
    end_replay(engine, stack, {}, {})
    end_replay(engine, second, {0: 3}, {})
    abandon_replay(engine, second)
    note_alive(engine, second)
    assert states(engine) == {"of a stack": "finished", "first": "abandoned", "second": "finished"}
    begin_replay(engine, "of the next stack")
    assert states(engine) == {"of the next stack": "alive", "first": "abandoned", "second": "finished"}
    with engine.begin() as connection:
        connection.execute(text("UPDATE replay SET seen_at = seen_at - interval '1 day' WHERE name = 'first'"))
    declare_replay(engine, "third")  # what was abandoned or ended long ago is forgotten
    assert states(engine) == {"of the next stack": "alive", "second": "finished", "third": "alive"}


@pytest.mark.usefixtures("broker")
def test_a_replay_declares_its_beginning_and_its_end(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": 1, "text": "The mill", "published_at": "2023-05-09"}\n')
    done = CliRunner().invoke(ingest, ["replay", "x.jsonl", "--json"])
    assert done.exit_code == 0, done.output
    ends = json.loads(done.stdout.splitlines()[-1])["end_offsets"]
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT finished_at, summary FROM replay")).all()
    assert row.finished_at is not None
    assert row.summary["end_offsets"] == ends
    assert list(ends.values()) == [1]
    again = CliRunner().invoke(ingest, ["replay", "x.jsonl", "--declared", "--json"])
    assert again.exit_code == 0, again.output
    assert len(states(engine)) == 1


@pytest.mark.usefixtures("broker")
def test_without_a_database_a_replay_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWSTIDE_DATABASE__URL")
    (tmp_path / "x.jsonl").write_text('{"id": 1, "text": "The mill", "published_at": "2023-05-09"}\n')
    done = CliRunner().invoke(ingest, ["replay", "x.jsonl"])
    assert done.exit_code == 0, done.output
    assert "not declared to the judge (no database is configured" in done.stderr


def test_a_database_without_the_schema_stops_no_replay(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", empty_database_url)
    said: list[str] = []
    with declared(load_settings(), "x", said.append) as end:
        end({0: 1}, {})
    assert len(said) == 1
    assert "replay" in said[0]


def test_a_replay_that_fails_is_abandoned_and_one_that_runs_gives_signs_of_life(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "_SIGN_OF_LIFE_EVERY_S", 0.01)
    said: list[str] = []

    def fail_once_seen_alive() -> None:
        with declared(settings, "x", said.append):
            with engine.begin() as connection:
                connection.execute(text("UPDATE replay SET seen_at = '-infinity'"))
            while states(engine) != {"x": "alive"}:
                time.sleep(0.05)
            raise InputError("for a test")

    with pytest.raises(InputError):
        fail_once_seen_alive()
    assert states(engine) == {"x": "abandoned"}
    assert said == []


def test_the_replay_of_a_stack_that_was_killed_holds_no_judge_up(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    begin_replay(engine, "of a stack")
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill_trends(connection, fortnight())
        connection.execute(
            "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time) "
            "VALUES ('newstide.messages', 0, 9, 9, %s)",
            (MONDAY + timedelta(days=14),),
        )
        connection.execute("UPDATE replay SET seen_at = seen_at - interval '2 hours'")
    judged = newstide(
        tmp_path,
        "alerts",
        "run",
        "--until-drained",
        NEWSTIDE_DATABASE__URL=database_url,
        NEWSTIDE_ALERTING__CLOCK="event",
    )
    assert judged.returncode == 0, judged.stderr
    with engine.connect() as connection:
        assert connection.execute(text("SELECT drained FROM alerting_progress")).scalar_one()
