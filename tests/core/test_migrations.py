"""A store of an older version, with something in every table, comes to the newest schema and loses nothing.

`OLD_ROWS` fills a store at revision 0005. A later migration adds its own checks below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

import core.store.migration
from core.settings import load_settings
from core.store.connection import open_engine
from core.store.labels import Label, append_labels
from core.store.ledger import read_epochs, read_ledger
from core.store.migration import migrate
from core.store.recount import audit_store

SCRIPTS = Path(core.store.migration.__file__).parent / "migrations"
OLD = "0005"
TOPIC = "newstide.messages"
COPIES = 3  # messages of one story

_UID = "md5('message ' || n)::uuid"
_STORY = "md5('story')::uuid"
_SERIES = "('all', 'all'), ('topic', 'Macro'), ('source', 'wire'), ('entity', 'KO')"

OLD_ROWS = (
    "CREATE TABLE message_20240110 (LIKE message INCLUDING ALL)",
    "ALTER TABLE message ATTACH PARTITION message_20240110 FOR VALUES FROM ('2024-01-10') TO ('2024-01-11')",
    "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, author, "
    "language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, model) "
    f"SELECT {_UID}, '2024-01-10', 'wire', 'm' || n, 'news', "
    "'2024-01-10 09:00:10Z'::timestamptz + n * '1 min'::interval, "
    "'2024-01-10 09:10Z', 'Harbour fees rise', 'Harbour fees rise again', 'https://wire.example/' || n, 'Staff', 'en', "
    f"'{{KO}}', '{{truncated}}', '{{\"n\": 1}}', {_STORY}, 'negative', '{{0.7,0.2,0.1}}', 'Macro', "
    "'{0.9,0.1}', 'model-1' "
    f"FROM generate_series(1, {COPIES}) AS n",
    f"INSERT INTO message_key SELECT {_UID}, '2024-01-10' FROM generate_series(1, {COPIES}) AS n",
    f"INSERT INTO story VALUES ({_STORY}, 'Harbour fees rise', '2024-01-10 09:01:10Z', '2024-01-10 09:03:10Z', "
    f"{COPIES}, '\\x00', '2024-01-10')",
    f"INSERT INTO story_text VALUES ({_STORY}, {_STORY}, '2024-01-10')",
    f"INSERT INTO story_band VALUES (42, {_STORY}, '2024-01-10 09:01:10Z')",
    "INSERT INTO story_series SELECT md5('story')::uuid, kind, name, '2024-01-10 09:01:10Z', md5('message 1')::uuid, "
    f"'negative' FROM (VALUES {_SERIES}) AS s (kind, name)",
    "INSERT INTO trend SELECT kind, name, '2024-01-10 09:00Z'::timestamptz + n * '1 min'::interval, 1, 0, 0, "
    "CASE n WHEN 1 THEN 1 ELSE 0 END, 0, 0, 700000, 200000, 100000 "
    f"FROM generate_series(1, {COPIES}) AS n, (VALUES {_SERIES}) AS s (kind, name)",
    f"INSERT INTO offset_ledger VALUES ('{TOPIC}', 0, 40, 41, '2024-01-10 09:03:10Z', {COPIES}, 1, 2, now()), "
    f"('{TOPIC}', 1, NULL, NULL, NULL, 0, 0, 0, now())",
    "INSERT INTO replay (id, name, finished_at, summary) "
    "VALUES (md5('replay')::uuid, 'old.csv', now(), '{\"end_offsets\": {\"0\": 40}}')",
    "INSERT INTO dead_letter VALUES ('newstide.messages/0/7/ab', 'stream', 'newstide.messages', 'k', 'no json', "
    "'not a message', '2024-01-10 09:05Z', NULL), ('feed wire', 'ingest', 'newstide.messages', NULL, '', 'empty', "
    "'2024-01-10 09:06Z', '2024-01-10 10:00Z')",
    "INSERT INTO series_state VALUES ('part', '\\x01', now())",
    "INSERT INTO alerting_progress VALUES (true, '2024-01-01Z', '2024-01-10Z', false, now())",
    "INSERT INTO alert VALUES (md5('alert')::uuid, 'entity', 'KO', 'closed', '2024-01-09Z', '2024-01-09Z', "
    "'2024-01-09 01:00Z', '2024-01-09Z', 60, 9, 1, 5, '{}')",
    "INSERT INTO alert_history VALUES (md5('alert')::uuid, 'open', '2024-01-09Z', 9, 1, 5, now())",
    "INSERT INTO outbox (channel, dedupe, alert, key, payload) VALUES ('mail', 'd', md5('alert')::uuid, 'k', '{}')",
    "INSERT INTO label (uid, text, source, task, label, analyst) "
    "VALUES (md5('message 1')::uuid, 'Harbour fees rise', 'wire', 'sentiment', 'neutral', 'ann')",
    "INSERT INTO model (name, state, location, checksum, size_bytes, manifest) "
    "VALUES ('model-1', 'live', 'models/1', 'c', 1, '{}')",
    "INSERT INTO model_event (model, to_state, actor, reason) VALUES ('model-1', 'live', 'ann', 'first')",
    "INSERT INTO worker_model VALUES ('host/0', 'model-1', NULL, NULL, NULL, now())",
    "INSERT INTO shadow_message VALUES ('model-2', md5('message 1')::uuid, 'model-1', now(), '{}', '{}', 0.5, now())",
    "INSERT INTO training_run (reasons) VALUES ('[]')",
)

# Tables whose rows are brought into another form, by checks of their own, or are computed again: the detector's state
# follows from the trends.
RESHAPED = {"story_text", "story_band", "offset_ledger", "series_state"}


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    opened = open_engine(load_settings(database={"url": empty_database_url}))
    yield opened
    opened.dispose()


@pytest.fixture
def old_counts(engine: Engine) -> dict[str, int]:
    """Rows of every table of the old store, before it is brought up to date."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
        return _counts(connection)


def _counts(connection: Connection) -> dict[str, int]:
    names = connection.execute(
        text("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
             "AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'")
    ).scalars()  # fmt: skip
    return {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names}


def test_revisions_are_the_chain_that_alembic_follows() -> None:
    chain = [script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()]
    assert chain[::-1] == core.store.migration._REVISIONS


def test_every_old_table_has_rows_here(old_counts: dict[str, int]) -> None:
    assert {name for name, count in old_counts.items() if not count} == set()


def test_nothing_is_lost(engine: Engine, old_counts: dict[str, int]) -> None:
    migrate(engine)
    with engine.connect() as connection:
        new = _counts(connection)
    kept = old_counts.keys() - RESHAPED
    assert {name: new.get(name) for name in kept} == {name: old_counts[name] for name in kept}


def test_a_second_migration_changes_nothing(engine: Engine, old_counts: dict[str, int]) -> None:
    migrate(engine)
    with engine.connect() as connection:
        before = _counts(connection)
    migrate(engine)
    with engine.connect() as connection:
        assert _counts(connection) == before


def test_old_counts_of_the_ledger_become_history(engine: Engine, old_counts: dict[str, int]) -> None:
    """Reading goes on at the same offsets; what was counted without its duplicates is kept, and not held to add up."""
    migrate(engine)
    rows = read_ledger(engine, TOPIC)
    assert [(row.partition, row.epoch, row.first_offset, row.next_offset, row.end_offset) for row in rows] == [
        (0, 1, 40, 40, 41),
        (1, 1, None, None, None),
    ]
    assert rows[0].max_event_time is not None
    past = [epoch for epoch in read_epochs(engine) if not epoch.current]
    assert [(epoch.partition, epoch.epoch, epoch.messages, epoch.gaps) for epoch in past] == [
        (0, 0, 3, 2),
        (1, 0, 0, 0),
    ]
    found = audit_store(engine)
    assert found.exact, found
    assert found.counted is None
    assert [epoch.partition for epoch in found.unknown] == [0]


def test_deliveries_that_wait_are_of_the_incident_that_their_alert_became(
    engine: Engine, old_counts: dict[str, int]
) -> None:
    migrate(engine)
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT dedupe, outbox.incident = alert.incident AS same, severity, rules, labels, held "
                "FROM outbox, alert WHERE alert.name = 'KO'"
            )
        ).all()
    assert [tuple(row) for row in rows] == [("d", True, "warning", [], [], None)]


def test_an_old_alert_is_an_incident_of_its_own(engine: Engine, old_counts: dict[str, int]) -> None:
    migrate(engine)
    with engine.connect() as connection:
        alert, incident, leader, state, name = connection.execute(
            text("SELECT a.id, i.id, i.leader, i.state, i.name FROM alert a JOIN incident i ON i.id = a.incident")
        ).one()
        assert (leader, state, name) == (alert, "closed", "KO")
        assert incident == uuid5(alert, "incident"), "as judging it again names it"
        told = connection.execute(text("SELECT incident, change, times FROM incident_history")).all()
        assert told == [(incident, "opened", 1)]


def test_a_message_without_labels_is_found_and_counted_beside_old_ones(
    engine: Engine, old_counts: dict[str, int]
) -> None:
    """Old messages keep what they are found by; one of them, with its labels taken away, is sound as an unread one."""
    migrate(engine)
    found = text(
        "SELECT count(*) FROM message "
        "WHERE search_words(title, text, topic, source, entities) @@ CAST(:exact AS tsquery)"
    )
    with engine.begin() as connection:
        assert connection.execute(text("SELECT sum(unread), sum(unread_stories) FROM trend_history")).one() == (0, 0)
        assert connection.execute(found, {"exact": "'topic=Macro'"}).scalar_one() == COPIES
        connection.exec_driver_sql(
            "UPDATE message SET sentiment = NULL, sentiment_scores = NULL, topic = NULL, topic_scores = NULL, "
            "model = NULL WHERE id = 'm1'"
        )
        assert connection.execute(found, {"exact": "'topic=Macro'"}).scalar_one() == COPIES - 1
        assert connection.execute(found, {"exact": "'source=wire' & 'entity=KO'"}).scalar_one() == COPIES
        connection.exec_driver_sql(
            "UPDATE story_series SET first_at = '2024-01-10 09:02:10Z', uid = md5('message 2')::uuid "
            "WHERE kind = 'topic'"
        )
        connection.exec_driver_sql("UPDATE story_series SET sentiment = 'unread' WHERE kind <> 'topic'")
        connection.exec_driver_sql("DELETE FROM trend WHERE minute = '2024-01-10 09:01Z' AND kind = 'topic'")
        connection.exec_driver_sql(
            "UPDATE trend SET negative_stories = 1 WHERE minute = '2024-01-10 09:02Z' AND kind = 'topic'"
        )
        connection.exec_driver_sql(
            "UPDATE trend SET negative = 0, negative_stories = 0, p_negative = 0, p_neutral = 0, p_positive = 0, "
            "unread = 1, unread_stories = 1 WHERE minute = '2024-01-10 09:01Z'"
        )
    now = audit_store(engine)
    assert now.exact, now
    assert (now.stored, now.unread) == (COPIES, 1)


def test_hours_that_were_rolled_up_are_days_too(engine: Engine) -> None:
    migrate(engine, "0015")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trend_rolled SELECT 'topic', 'Macro', '2024-01-10Z'::timestamptz + n * '5 h'::interval, "
            "n, 0, 1, n, 0, 1 FROM generate_series(0, 9) AS n"
        )
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trend_rolled WHERE hour = '2024-01-10 10:00Z'")
        days = connection.execute(
            text("SELECT day::date::text, hours, negative, positive_stories FROM trend_rolled_day ORDER BY day")
        ).all()
    assert [tuple(day) for day in days] == [("2024-01-10", 4, 8, 4), ("2024-01-11", 5, 35, 5)]


def test_what_was_of_one_language_is_of_english(engine: Engine, old_counts: dict[str, int]) -> None:
    migrate(engine)
    with engine.begin() as connection:
        old = "SELECT language FROM model UNION ALL SELECT language FROM worker_model UNION ALL " \
              "SELECT language FROM training_run"  # fmt: skip
        assert connection.execute(text(old)).scalars().all() == ["en", "en", "en"]
        add = text("INSERT INTO model (name, state, location, checksum, size_bytes, manifest) "
                   "VALUES (:name, 'live', '', '', 1, CAST(:manifest AS jsonb))")  # fmt: skip
        connection.execute(add, {"name": "model-2", "manifest": '{"languages": ["zh", "en"]}'})
    with pytest.raises(IntegrityError, match="model_one_live"), engine.begin() as connection:
        connection.execute(add, {"name": "model-3", "manifest": '{"languages": ["en"]}'})


def test_labels_of_texts_stay_beside_those_of_companies(engine: Engine) -> None:
    """A store of 0021 with a step, a verdict and a word taken back; then a company of the same text is labelled."""
    migrate(engine, "0021")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO label_step (analyst, request) VALUES ('ann', md5('request')::uuid)")
        connection.exec_driver_sql(
            "INSERT INTO label (text, source, task, label, analyst, final, step, story) SELECT 'KO rises', 'wire', "
            "'sentiment', label, 'ann', final, step, md5('story')::uuid "
            "FROM (VALUES ('neutral', false, 1), ('positive', false, NULL), ('negative', true, NULL), "
            "(NULL, true, NULL)) AS said (label, final, step)"
        )
        words = "SELECT label, final, step FROM label_word ORDER BY final"
        before = connection.exec_driver_sql(words).all()
    migrate(engine)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(words).all() == before == [("positive", False, None), (None, True, None)]
        assert connection.exec_driver_sql("SELECT entity, count(*) FROM label GROUP BY entity").all() == [("", 4)]
        company = Label("KO rises", "wire", "sentiment", "positive", "ann", story=uuid_of("story"), entity="KO")
        assert [append_labels(connection, [company]) for _ in range(2)] == [1, 0]
        assert connection.exec_driver_sql(words).all() == [
            ("positive", False, None), ("positive", False, None), (None, True, None),
        ]  # fmt: skip
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql("UPDATE label SET entity = 'KO'")


def uuid_of(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
