"""Real parts for tests: an embedded Postgres for the session, a fresh database for a test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import hypothesis
import psycopg
import pytest
from sqlalchemy import Engine

from core.settings import Settings
from core.store.connection import open_engine
from core.store.migration import migrate
from newstide.embedded.postgres import EmbeddedPostgres

_numbers = itertools.count()

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
    """One server for the session."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database of this test alone."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.url.rsplit("/", 1)[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """The database of a test module's own `settings`, its schema up to date."""
    opened = open_engine(settings)
    migrate(opened)
    yield opened
    opened.dispose()


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
