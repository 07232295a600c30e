"""Every process under the role that is meant for it: it does its work, and can do no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from sqlalchemy.engine import make_url

from alerting.grafana import boards
from alerting.grafana.asked import chosen, queries
from alerting.grafana.macros import Selection
from core.label_lines import LabelLine
from core.settings import PROJECT, Settings, load_settings
from core.store.connection import connect, open_engine
from core.store.labels import add_label_lines
from core.store.migration import SchemaNotCurrent, migrate, migrate_store
from core.store.models import move_model
from core.store.roles import BOARDS, READER, ROLES, TRAINER, WRITER, RolesRefused, make_roles
from core.store.training import close_run, open_run
from desk.app import create_app
from desk.rollup import Rollup
from newstide.cli import newstide
from tests.desk.newsroom import fill_newsroom
from tests.desk.people import log_in
from tests.newstide.stacks import newstide as run_newstide
from tests.stream.harness import Workers, as_input, committed, produce, scenario_messages, wait_until
from tests.tiny_bundles import register_tiny, write_tiny

PEOPLE = {"account", "api_token", "audit_event", "desk_session", "login_link", "oidc_login"}
PASSWORD = "of-a-process"
COUNT = 60

AsRole = Callable[[str], Settings]


@pytest.fixture
def owned(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of the owner of a migrated schema whose roles are made, each with an account that has its rights."""
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    monkeypatch.setenv("NEWSTIDE_EMBEDDED__DIRECTORY", str(tmp_path))
    settings = load_settings(metrics={"alerting_port": 0})
    made = CliRunner().invoke(newstide, ["roles"], catch_exceptions=False)
    assert all(f"{role}: {users} (made)" in made.output for role, users in ROLES.items())
    with connect(settings, autocommit=True) as owner:
        for role in ROLES:
            owner.execute(f"CREATE ROLE {role}_account LOGIN PASSWORD '{PASSWORD}' IN ROLE {role}")
        yield settings
        for role in ROLES:
            owner.execute(f"DROP ROLE {role}_account")
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")


@pytest.fixture
def as_role(owned: Settings, monkeypatch: pytest.MonkeyPatch) -> AsRole:
    def settings(role: str) -> Settings:
        url = make_url(owned.database.url or "").set(username=f"{role}_account", password=PASSWORD)
        monkeypatch.setenv("NEWSTIDE_DATABASE__URL", url.render_as_string(hide_password=False))
        return load_settings(metrics={"alerting_port": 0})

    return settings


def refused(settings: Settings, *statements: str) -> None:
    with connect(settings, autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_rights_are_what_they_are_meant_to_be(owned: Settings) -> None:
    """A table that a later migration adds has to be thought of here: the desk reads all, nobody else reads accounts."""
    query = """
        SELECT relname, privilege, has_table_privilege(%s, oid, privilege)
        FROM pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
    """
    with connect(owned, autocommit=True) as connection:
        rights = {role: connection.execute(query, (role,)).fetchall() for role in ROLES}
    tables = {name for name, _, _ in rights[READER]}
    held = {role: {(name, right) for name, right, has in rows if has} for role, rows in rights.items()}
    assert {name for name, right in held[READER] if right == "SELECT"} == tables
    for role in (WRITER, TRAINER, BOARDS):
        assert {name for name, _ in held[role]} & PEOPLE == set()
    assert {right for _, right in held[BOARDS]} == {"SELECT"}
    assert {right for rows in held.values() for _, right in rows} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    counts = {name for name in tables if name.startswith(("trend", "message", "story", "offset_", "alert", "dead_"))}
    of_the_desk = {"trend_rolled", "trend_rolled_day", "trend_rolling", "trend_unrolled"}
    for role in (READER, TRAINER):
        assert {name for name, right in held[role] if right != "SELECT"} & counts <= of_the_desk


def test_workers_and_alerting_run_as_the_writer(broker_settings: Settings, as_role: AsRole, tmp_path: Path) -> None:
    writer = as_role(WRITER)
    produce(writer, as_input(scenario_messages(COUNT)))
    workers = Workers(writer, tmp_path)
    try:
        workers.start(0)
        wait_until(lambda: committed(writer) == COUNT or not workers.running(0), "all committed", within_s=180)
        assert committed(writer) == COUNT, workers.log(0)[-2000:]
    finally:
        workers.close()
    refused(
        writer,
        "SELECT password_hash FROM account",
        "INSERT INTO account (name, role) VALUES ('me', 'admin')",
        "UPDATE label SET label = 'positive'",
        "UPDATE model SET state = 'live'",
        "DELETE FROM message",
        "TRUNCATE trend",
        "DROP TABLE trend",
        "CREATE TABLE mine (a int)",
        "ALTER TABLE message ADD COLUMN mine int",
    )


def test_a_right_that_is_missing_is_one_line(owned: Settings, as_role: AsRole, tmp_path: Path) -> None:
    writer = as_role(WRITER)
    ended = run_newstide(tmp_path, "retention", NEWSTIDE_DATABASE__URL=writer.database.url or "")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("newstide: the user in `database.url` may not do this: ")
    assert PASSWORD not in line


def test_the_desk_runs_as_the_reader(owned: Settings, as_role: AsRole) -> None:
    fill_newsroom(owned)
    reader = as_role(READER)
    engine = open_engine(reader)
    try:
        migrate(engine)  # there is nothing to do, so it takes no right
        app = create_app(reader, engine)
        ann: TestClient = log_in(app, "ann", "admin")
        for address in (
            "mood",
            "series",
            "incidents",
            "search?q=bank",
            "queue",
            "models",
            "models/training",
            "audit",
            "labels",
        ):
            assert ann.get(f"/api/v1/{address}").status_code == 200, address
        (story,) = [item["story"] for item in ann.get("/api/v1/queue").json()["items"]][:1]
        labels = {"model_hidden": True, "items": [{"story": story, "labels": {"sentiment": "negative"}}]}
        assert ann.post("/api/v1/labels", json=labels).status_code == 200
        assert ann.post("/api/v1/labels/undo", json={}).status_code == 200
        (incident,) = [item["id"] for item in ann.get("/api/v1/incidents").json()["items"]][:1]
        assert ann.post(f"/api/v1/incidents/{incident}/acknowledgement", json={}).status_code == 200
        assert ann.post(f"/api/v1/incidents/{incident}/feedback", json={"verdict": "useful"}).status_code == 200
        assert ann.post("/api/v1/tokens", json={"name": "nightly", "role": "viewer"}).status_code == 201
        app.state.desk.events.start()
        app.state.desk.events.stop()
        Rollup(engine).roll()
        assert ann.delete("/api/v1/session").status_code == 204
    finally:
        engine.dispose()
    refused(
        reader,
        "INSERT INTO trend SELECT * FROM trend LIMIT 1",
        "UPDATE trend SET negative = 0",
        "DELETE FROM message",
        "UPDATE message SET text = ''",
        "UPDATE offset_ledger SET next_offset = 0",
        "DELETE FROM alert",
        "DELETE FROM audit_event",
        "SELECT make_message_partition('2026-01-01')",
        "CREATE TABLE mine (a int)",
    )


def test_data_sets_and_models_are_the_trainers(owned: Settings, as_role: AsRole, tmp_path: Path) -> None:
    trainer = as_role(TRAINER)
    engine = open_engine(trainer)
    try:
        with engine.begin() as connection:
            line = LabelLine(1, {"sentiment": "negative"}, text="Acme Bank shares plunge")
            assert add_label_lines(connection, [line], "here", "ann") == (1, 0)
        write_tiny(tmp_path / "first", "first", seed=1)
        register_tiny(trainer, engine, tmp_path / "first")
        move_model(engine, "first", "live", actor="ann", reason="the first")
        close_run(engine, open_run(engine, [{"reason": "labels"}]), "shadow", "first", {})
    finally:
        engine.dispose()
    refused(trainer, "INSERT INTO message SELECT * FROM message", "DELETE FROM label", "SELECT * FROM desk_session")


def test_boards_may_ask_what_they_show_and_nothing_else(owned: Settings, as_role: AsRole) -> None:
    end = datetime(2026, 3, 2, 12, tzinfo=UTC)
    made = [json.loads(text) for text in boards.files().values()]
    asked = [(board, each) for board in made for each in queries(board) if each.source == "postgres"]
    with connect(as_role(BOARDS), autocommit=True) as grafana:
        for board, query in asked:
            names = {each.values_of: ["T1"] for each in queries(board) if each.values_of is not None}
            for everything in (False, True):
                choice = chosen(board, names, everything=everything)
                grafana.execute(query.expand(Selection(end - timedelta(hours=1), end, choice)))
    may_read = """
        SELECT relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
              AND has_table_privilege(%s, oid, 'SELECT')
    """
    with connect(owned, autocommit=True) as owner:
        readable = {name for (name,) in owner.execute(may_read, (BOARDS,)).fetchall()}
    words = {word for _, query in asked for word in re.findall(r"\w+", query.text)}
    assert len(asked) > 20
    assert readable - words == {"alembic_version"}
    refused(
        as_role(BOARDS),
        *(f"SELECT * FROM {table}" for table in sorted(PEOPLE)),
        "DELETE FROM message",
        "INSERT INTO training_run (reasons) VALUES ('[]')",
        "SELECT pg_read_file('/etc/hostname')",
        "CREATE TABLE mine (a int)",
    )


def test_composes_account_for_grafana_gets_its_rights_with_the_tables(empty_database_url: str) -> None:
    script = (PROJECT / "deploy" / "compose" / "grafana-role.sh").read_text(encoding="utf-8")
    (statements,) = re.findall(r"<<'SQL'\n(.*)^SQL$", script, re.DOTALL | re.MULTILINE)
    with psycopg.connect(empty_database_url, autocommit=True) as owner:
        owner.execute(statements.replace(":'password'", f"'{PASSWORD}'"))
        try:
            migrate_store(load_settings(database={"url": empty_database_url}))
            url = make_url(empty_database_url).set(username="grafana", password=PASSWORD)
            grafana = load_settings(database={"url": url.render_as_string(hide_password=False)})
            with connect(grafana, autocommit=True) as connection:
                assert connection.execute("SELECT count(*) FROM incident").fetchone() == (0,)
            refused(grafana, "SELECT password_hash FROM account", "SELECT * FROM desk_session")
        finally:
            owner.execute(f"DROP OWNED BY {BOARDS}")
            owner.execute(f"DROP ROLE grafana, {BOARDS}")


def test_only_the_owner_changes_the_schema(database_url: str, as_role: AsRole) -> None:
    writer = as_role(WRITER)
    engine = open_engine(writer)
    try:
        migrate(engine)
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute("UPDATE alembic_version SET version_num = '0015'")
        with pytest.raises(SchemaNotCurrent, match="as the schema's owner"):
            migrate(engine)
    finally:
        engine.dispose()
    with connect(writer, autocommit=True) as connection, pytest.raises(RolesRefused, match="owner of the schema"):
        make_roles(connection)


def test_rights_follow_the_schema(owned: Settings, database_url: str) -> None:
    """What was granted besides is taken away, and a migration grants anew."""
    with connect(owned, autocommit=True) as owner:
        owner.execute(f"GRANT DELETE ON message TO {READER}")
        owner.execute(f"REVOKE SELECT ON trend FROM {READER}")
        assert make_roles(owner) == []
        held = "SELECT has_table_privilege(%s, 'message', 'DELETE'), has_table_privilege(%s, 'trend', 'SELECT')"
        assert owner.execute(held, (READER, READER)).fetchone() == (False, True)
