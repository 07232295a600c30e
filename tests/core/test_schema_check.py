"""`newstide migrate --check`: what the pods of a release wait with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from core.errors import InputError
from core.settings import load_settings
from core.store.connection import open_engine
from core.store.migration import SchemaNotCurrent, SchemaTooNew, await_schema, check_schema, migrate
from newstide.commands.administration import migrate as command


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    """A database without a schema."""
    engine = open_engine(load_settings(database={"url": empty_database_url}))
    yield engine
    engine.dispose()


def test_an_older_schema_is_named_and_waited_for(empty: Engine) -> None:
    with pytest.raises(SchemaNotCurrent, match=r"not there yet, and this version needs .* run `newstide migrate`"):
        check_schema(empty)
    migrate(empty, "0005")
    with pytest.raises(SchemaNotCurrent, match="at revision 0005"):
        check_schema(empty)
    said: list[str] = []
    began = time.monotonic()
    another = threading.Timer(0.5, migrate, [empty])
    another.start()
    await_schema(empty, 60, said.append)
    another.join()
    assert time.monotonic() - began > 0.5
    assert len(said) == 1
    check_schema(empty)


def test_a_later_version_s_schema_is_not_touched(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="revision 9999, which this version does not know"):
        migrate(empty)
    with pytest.raises(SchemaTooNew):  # at once: no waiting helps
        await_schema(empty, 60, lambda reason: None)


def test_the_command(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", empty_database_url)
    run = CliRunner()
    with pytest.raises(SchemaNotCurrent):
        run.invoke(command, ["--check"], catch_exceptions=False)
    assert run.invoke(command, [], catch_exceptions=False).exit_code == 0
    assert run.invoke(command, ["--check", "--wait", "1"], catch_exceptions=False).exit_code == 0
    with pytest.raises(InputError, match="--wait belongs to --check"):
        run.invoke(command, ["--wait", "1"], catch_exceptions=False)
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(SchemaNotCurrent, match="the database does not answer"):
        run.invoke(command, ["--check"], catch_exceptions=False)
