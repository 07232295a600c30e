"""`newstide dead-letters list | replay` against a real broker and database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer
from sqlalchemy import Engine, text

from core.errors import InputError
from core.kafka import client_options, ensure_topics, wait_for_broker
from core.settings import Settings, load_settings
from core.store.connection import open_engine
from core.store.migration import migrate
from newstide.commands.dead_letters import dead_letters
from newstide.embedded.broker import EmbeddedBroker

LETTERS = {"messages/0/7/ab": b'{"id":"1"}', "replay:feed.csv:12": b"\xff\xfe raw"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with EmbeddedBroker(tmp_path) as broker:
        monkeypatch.setenv("NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
        loaded = load_settings()
        wait_for_broker(loaded)
        ensure_topics(loaded)
        yield loaded


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    opened = open_engine(settings)
    migrate(opened)
    with opened.begin() as connection:
        for origin, value in LETTERS.items():
            connection.execute(
                text(
                    "INSERT INTO dead_letter (origin, stage, topic, key, value, reason, failed_at) "
                    "VALUES (:origin, 'stream', 'newstide.messages', :key, :value, 'not a message', now())"
                ),
                {"origin": origin, "key": b"k", "value": value},
            )
    yield opened
    opened.dispose()


def run(*arguments: str) -> str:
    ended = CliRunner().invoke(dead_letters, arguments)
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def sent(settings: Settings) -> list[tuple[bytes, bytes]]:
    consumer = KafkaConsumer(
        settings.topic("messages"),
        **client_options(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=4000,
    )
    found = [(record.key, record.value) for record in consumer]
    consumer.close(autocommit=False)
    return found


def listed(*arguments: str) -> dict[str, dict[str, object]]:
    return {letter["origin"]: letter for letter in json.loads(run("list", "--json", *arguments))}


def test_letters_are_listed_with_their_bytes(engine: Engine) -> None:
    letters = listed()
    assert letters["messages/0/7/ab"]["value"] == '{"id":"1"}'
    assert letters["replay:feed.csv:12"]["value_base64"] == "//4gcmF3"
    assert {letter["reason"] for letter in letters.values()} == {"not a message"}
    assert "messages/0/7/ab" in run("list")


def test_one_letter_is_sent_again_as_it_was(engine: Engine, settings: Settings) -> None:
    assert "replayed 1" in run("replay", "replay:feed.csv:12")
    assert sent(settings) == [(b"k", LETTERS["replay:feed.csv:12"])]
    assert set(listed()) == {"messages/0/7/ab"}
    assert listed("--all")["replay:feed.csv:12"]["replayed_at"] is not None
    with pytest.raises(InputError, match="no dead letter has the origin nowhere"):
        run("replay", "nowhere")


def test_all_that_are_left_are_sent_again(engine: Engine, settings: Settings) -> None:
    run("replay", "messages/0/7/ab")
    run("replay", "--all")
    assert sorted(value for _, value in sent(settings)) == sorted(LETTERS.values())
    assert listed() == {}
