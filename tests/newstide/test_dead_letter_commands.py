"""`newstide dead-letters list | replay` against a real broker and database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from kafka import KafkaConsumer
from sqlalchemy import Connection, Engine, create_engine, text

from core.dead_letters import CONTENT, CONTEXT, DeadLetter, dead_letter, letter_id, read_dead_letter
from core.errors import InputError, UndecodableMessage
from core.kafka import client_options
from core.records import Message, decode
from core.settings import Settings
from core.store import migration
from core.store.connection import open_engine
from core.store.dead_letters import list_dead_letters
from core.store.migration import migrate
from ingest.mapping import parse_map
from ingest.reread import reading_context
from newstide.commands.dead_letters import dead_letters
from stream.archive import Archive, Letter
from stream.batch import Record
from stream.ledger import TopicLedger

LETTERS = {"messages/0/7/ab": b'{"id":"1"}', "messages/3/12/cd": b"\xff\xfe raw"}


@pytest.fixture
def settings(broker_settings: Settings) -> Settings:
    return broker_settings


_offsets = itertools.count()


def add(engine: Engine, letter: DeadLetter) -> None:
    """Put `letter` into the archive, as the archive itself does."""
    with connection_like(engine) as connection:
        archive = Archive(TopicLedger("newstide.dead-letters"), lambda: connection, retry_max_s=1)
        record = Record("newstide.dead-letters", 0, next(_offsets), letter.key, letter.value)
        archive.store([Letter(record, letter.headers())])


def connection_like(engine: Engine) -> psycopg.Connection[Any]:
    _, options = engine.dialect.create_connect_args(engine.url)
    return psycopg.connect(**options, autocommit=True)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    opened = open_engine(settings)
    for origin, value in LETTERS.items():
        add(
            opened,
            dead_letter(value, "not a message", origin=origin, stage="stream", topic="newstide.messages", key=b"k"),
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
    assert letters["messages/3/12/cd"]["value_base64"] == "//4gcmF3"
    assert {letter["reason"] for letter in letters.values()} == {"not a message"}
    assert "messages/0/7/ab" in run("list")


def test_one_letter_is_sent_again_as_it_was(engine: Engine, settings: Settings) -> None:
    assert "replayed 1" in run("replay", "messages/3/12/cd")
    assert sent(settings) == [(b"k", LETTERS["messages/3/12/cd"])]
    assert set(listed()) == {"messages/0/7/ab"}
    assert listed("--all")["messages/3/12/cd"]["replayed_at"] is not None
    with pytest.raises(InputError, match="no dead letter has the origin nowhere"):
        run("replay", "nowhere")


def test_all_that_are_left_are_sent_again(engine: Engine, settings: Settings) -> None:
    run("replay", "messages/0/7/ab")
    run("replay", "--all")
    assert sorted(value for _, value in sent(settings)) == sorted(LETTERS.values())
    assert listed() == {}


def ingest_letter(value: bytes, origin: str, **context: str) -> DeadLetter:
    return dead_letter(value, "bad", origin=origin, stage="ingest", topic="newstide.messages", context=context)


def messages(settings: Settings) -> dict[str, Message]:
    return {message.text: message for message in (decode(value) for _, value in sent(settings))}


def test_what_ingest_refused_is_read_again_with_its_map(engine: Engine, settings: Settings) -> None:
    fields = parse_map("id=key,text=body.text,published_at=at,extra=*")
    record = b'{"key": "77", "body": {"text": "from a bridge"}, "at": "2026-01-05T10:00:00Z", "x": 1}'
    add(
        engine, ingest_letter(record, "foreign/0/1", **reading_context("record", fields, source="wire", kind="comment"))
    )
    line = b'a;"said ""no""\nand left";2026-01-05'
    csv = reading_context("csv", parse_map("id=i,text=t,published_at=d"), source="f", header="i;t;d", delimiter=";")
    add(engine, ingest_letter(line, "replay:f.csv:3", **csv))
    entry = b'{"id": "tag:1", "title": "An entry", "text": "of a feed"}'
    add(engine, ingest_letter(entry, "feed:daily:1", **reading_context("fields", source="daily")))
    assert "replayed 3" in run("replay", "foreign/0/1", "replay:f.csv:3", "feed:daily:1")
    found = messages(settings)
    bridged = found["from a bridge"]
    assert (bridged.id, bridged.source, bridged.kind, bridged.extra["x"]) == ("77", "wire", "comment", 1)
    assert f"{bridged.published_at:%F %T}" == "2026-01-05 10:00:00"
    assert found['said "no" and left'].source == "f"
    assert found["of a feed"].title == "An entry"
    assert {letter["origin"] for letter in listed("--all").values() if letter["replayed_at"]} == {
        "foreign/0/1", "replay:f.csv:3", "feed:daily:1",
    }  # fmt: skip


def test_what_still_cannot_be_read_stays_with_the_new_reason(engine: Engine, settings: Settings) -> None:
    add(engine, ingest_letter(b"{broken", "replay:f.jsonl:1", **reading_context("record", source="f")))
    add(engine, ingest_letter(b'{"text": "good"}', "replay:f.jsonl:2", **reading_context("record", source="f")))
    add(engine, ingest_letter(b"a,b,c", "replay:old.csv:9", form="csv"))
    add(engine, ingest_letter(b'"' * 5, "replay:f.csv:2", form="csv", header="a,b", delimiter=",,"))
    add(engine, ingest_letter(b"{}", "x", form="record", encoding="no-such"))
    assert json.loads(run("replay", "--all", "--json")) == {"replayed": 3, "still_dead": 4}
    assert set(messages_that_decode(settings)) == {"good"}
    left = listed()
    assert left["replay:f.jsonl:1"]["reason"].startswith("not readable as JSON")
    assert "header of its CSV file is not known" in str(left["replay:old.csv:9"]["reason"])
    assert set(left) == {"replay:f.jsonl:1", "replay:old.csv:9", "replay:f.csv:2", "x"}


def messages_that_decode(settings: Settings) -> list[str]:
    found = []
    for _, value in sent(settings):
        with suppress(UndecodableMessage):
            found.append(decode(value).text)
    return found


def test_letters_from_before_there_was_a_context(engine: Engine, settings: Settings) -> None:
    add(engine, ingest_letter(b'{"source": "s", "text": "own fields"}', "replay:f.jsonl:1"))
    foreign = dead_letter(b"{}", "bad", origin="foreign/0/1", stage="ingest", topic="newstide.classified")
    add(engine, foreign)
    assert "replayed 2" in run("replay", "replay:f.jsonl:1", "foreign/0/1")
    assert messages_that_decode(settings) == ["own fields"]


def test_two_bad_inputs_at_one_origin_are_two_and_one_delivered_twice_is_one(engine: Engine) -> None:
    one, two = b'{"source": "s", "text": "one"}', b'{"source": "s", "text": "two"}'
    for value in (one, two, two):
        add(engine, ingest_letter(value, "replay:f.csv:1"))

    def left() -> dict[str, str]:
        letters = json.loads(run("list", "--json"))
        return {letter["value"]: letter["id"] for letter in letters if letter["origin"] == "replay:f.csv:1"}

    assert sorted(left()) == [one.decode(), two.decode()]
    run("replay", left()[two.decode()])
    assert list(left()) == [one.decode()]
    with pytest.raises(InputError, match="no dead letter"):
        run("replay", "00000000-0000-0000-0000-000000000000")


def test_the_end_of_a_cut_value_tells_letters_apart() -> None:
    one, two = (ingest_letter(b"x" * 2_000_000 + end, "o") for end in (b"1", b"2"))
    read = [read_dead_letter(letter.key, letter.value, letter.headers()) for letter in (one, two)]
    assert one.value == two.value
    assert letter_id("o", read[0].content) != letter_id("o", read[1].content)


@pytest.mark.parametrize("origin", ["o" * 100_000, "\N{GRINNING FACE}" * 5_000, "a\x00b", "[/x]", "\ud800"])
def test_an_origin_of_any_length_is_archived(engine: Engine, origin: str) -> None:
    add(engine, ingest_letter(b"v", origin))
    add(engine, ingest_letter(b"v", origin + "?"))
    run("list")
    assert len(json.loads(run("list", "--json"))) == 2 + len(LETTERS)


def test_strange_headers_are_archived(engine: Engine) -> None:
    contexts = [b'{"map": "a\\u0000b"}', b'{"map": 1e999}', b"[" * 10_000, b"\xff", b'{"a": {"b": 1}}']
    with connection_like(engine) as connection:
        archive = Archive(TopicLedger("d"), lambda: connection, retry_max_s=1)
        letters = [
            Letter(Record("d", 0, number, b"k", b"v"), [(CONTEXT, context), (CONTENT, b"g" * 64)])
            for number, context in enumerate(contexts)
        ]
        archive.store(letters)
    assert len(listed()) == len(contexts) + len(LETTERS)


def test_a_replay_cut_short_repeats_harmlessly(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, ingest_letter(b'{"text": "once"}', "feed:daily:1", **reading_context("fields", source="daily")))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest.second_try.mark_replayed", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run("replay", "feed:daily:1")
    assert "feed:daily:1" in listed()
    run("replay", "feed:daily:1")
    first, second = (decode(value) for _, value in sent(settings))
    assert first.uid == second.uid


def test_an_older_archive_is_upgraded(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url.replace("postgresql://", "postgresql+psycopg://"))
    letter = ingest_letter(b"\xff\x00v", "replay:f.csv:1")
    try:
        with engine.begin() as connection:
            migrate_to(connection, "0008")
            connection.execute(
                text(
                    "INSERT INTO dead_letter (origin, stage, topic, value, reason, failed_at) "
                    "VALUES (:origin, 'ingest', 't', :value, 'r', now())"
                ),
                {"origin": letter.origin, "value": letter.value},
            )
        migrate(engine)
        (found,) = list_dead_letters(engine)
        assert found.id == letter_id(letter.origin, letter.content)
        add(engine, letter)
        assert len(list(list_dead_letters(engine))) == 1
    finally:
        engine.dispose()


def migrate_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
