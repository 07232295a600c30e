"""Real parts for tests: an embedded Postgres for the session, a fresh database for a test."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
import psycopg
import pytest
from sqlalchemy import Engine

from core.settings import DatabaseSettings, Settings
from core.store.connection import open_engine
from core.store.migration import migrate_store
from newstide.embedded.postgres import EmbeddedPostgres

_numbers = itertools.count()


@contextmanager
def a_database(server: EmbeddedPostgres, template: str = "template1") -> Iterator[str]:
    """URL of a new copy of the database `template`, which is dropped in the end."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        _copy(connection, template, name)
        yield address(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _copy(connection: psycopg.Connection[Any], template: str, name: str) -> None:
    # Its files, not its pages one by one through the log: a third of the time.
    connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


def address(server: EmbeddedPostgres, name: str) -> str:
    return server.url.rsplit("/", 1)[0] + f"/{name}"


class Templates:
    """Databases that are made once, when first asked for, and then copied."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._made: set[str] = set()

    def get(self, name: str, fill: Callable[[Settings], None], template: str = "template1") -> str:
        """The name of the database that is a copy of `template` which `fill` has changed."""
        if name not in self._made:
            with psycopg.connect(self._server.url, autocommit=True) as connection:
                _copy(connection, template, name)
            fill(Settings(database=DatabaseSettings(url=address(self._server, name))))
            self._made.add(name)
        return name


# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("newstide", deadline=None)
hypothesis.settings.load_profile("newstide")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A variable of the developer's shell must not change what a test sees."""
    for name in [name for name in os.environ if name.startswith("NEWSTIDE_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for the session, whose machine does not fail: what survives a fault is tried on servers of its own."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for name in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def templates(postgres: EmbeddedPostgres) -> Templates:
    """Databases of the session that tests get copies of: none is migrated or filled twice."""
    return Templates(postgres)


@pytest.fixture(scope="session")
def current(templates: Templates) -> str:
    """The template of a store whose schema is up to date and whose tables are empty."""
    return templates.get("current", migrate_store)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, current: str) -> Iterator[str]:
    """URL of a store of this test alone, its schema up to date and its tables empty."""
    with a_database(postgres, current) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a database of this test alone, without any table."""
    with a_database(postgres) as url:
        yield url


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """The database of a test module's own `settings`."""
    opened = open_engine(settings)
    yield opened
    opened.dispose()


def pytest_configure(config: pytest.Config) -> None:
    """Modules and tests stay to the end: the collector need not look through them, while they come or ever after. What
    hands tests out to processes collects none itself."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their place: gzip writes the time into its header, and xdist's workers must agree on names."""
    return argname if isinstance(val, bytes) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many tests did not run, and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("not run here")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count} x {reason}")
