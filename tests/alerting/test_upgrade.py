"""A store that an earlier version judged goes on being judged."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config

import core.store
from alerting.incidents.grouping import incident_id
from alerting.judging.runner import Runner
from core.settings import DatabaseSettings, Settings
from core.store.connection import connect, open_engine
from core.store.migration import migrate
from tests.alerting.surge_streams import BANK, MONDAY, MakeSettings, declare_replay, fill_trends, fortnight

END = MONDAY + timedelta(days=14)
_ALERTS = "SELECT id, kind, name, opened_at, closed_at, score FROM alert WHERE kind = 'entity' ORDER BY opened_at"


def upgrade_to(settings: Settings, revision: str) -> None:
    engine = open_engine(settings)
    config = Config()
    config.set_main_option("script_location", str(Path(core.store.__path__[0]) / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def new_database(settings: Settings) -> Settings:
    url = settings.database.url or ""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {url.rsplit('/', 1)[1]}_old")
    return settings.model_copy(update={"database": DatabaseSettings(url=f"{url}_old")})


def test_a_store_of_an_earlier_version_is_judged_on(
    make_settings: MakeSettings, connection: psycopg.Connection[Any]
) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, END)
    assert Runner(make_settings(), ["webhook"], threading.Event()).run(until_drained=True)
    expected = connection.execute(_ALERTS).fetchall()
    (bank,) = [row for row in expected if row[2] == BANK.name]

    settings = new_database(make_settings())
    upgrade_to(settings, "0005")
    with connect(settings, autocommit=True) as old:
        fill_trends(old, fortnight())
        declare_replay(old, END)
        old.execute("INSERT INTO series_state (part, body) VALUES ('history', '\\x01'), ('day', '\\x02')")
        old.execute(
            "INSERT INTO alerting_progress (since, judged_until, drained) VALUES (%s, %s, false)",
            (MONDAY, bank[3] + timedelta(minutes=15)),
        )
        for name, alert in ((BANK.name, bank[0]), ("LOST", "00000000-0000-0000-0000-000000000001")):
            old.execute(
                "INSERT INTO alert VALUES (%s, 'entity', %s, 'open', %s, %s, NULL, %s, 30, 9, 1, 6, '{}')",
                (alert, name, bank[3], bank[3], bank[3]),
            )
            old.execute(
                "INSERT INTO alert_history (alert, state, at, observed, expected, score) "
                "VALUES (%s, 'open', %s, 9, 1, 6)",
                (alert, bank[3]),
            )
        engine = open_engine(settings)
        migrate(engine)
        engine.dispose()
        assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
        found = old.execute(_ALERTS).fetchall()
        assert [row for row in found if row[2] != "LOST"] == expected
        assert old.execute("SELECT state FROM alert WHERE name = 'LOST'").fetchone() == ("closed",)
        told = [dedupe for (dedupe,) in old.execute("SELECT dedupe FROM outbox ORDER BY id")]
        assert f"{incident_id(bank[0])}:opened" not in told, "told by the version before"
        assert f"{incident_id(bank[0])}:resolved" in told
    with psycopg.connect(make_settings().database.url or "", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {(settings.database.url or '').rsplit('/', 1)[1]} WITH (FORCE)")
