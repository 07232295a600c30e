"""A desk on a store of its own, and people who use it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine

from core.settings import DatabaseSettings, DeskSettings, Settings
from desk.app import create_app
from desk.context import Desk
from newstide.embedded.postgres import EmbeddedPostgres
from tests.conftest import Templates, a_database
from tests.desk.newsroom import fill_newsroom
from tests.desk.people import ADDRESS, Login, log_in


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, templates: Templates, current: str
) -> Iterator[str]:
    """URL of a store of this test alone: a copy of the newsroom's if the test is of the newsroom, else an empty one."""
    of_the_newsroom = "newsroom" in request.fixturenames
    template = templates.get("newsroom", fill_newsroom, current) if of_the_newsroom else current
    with a_database(postgres, template) as url:
        yield url


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database=DatabaseSettings(url=database_url), desk=DeskSettings(requests_per_second=1000))


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Desk:
    found: Desk = create_app(settings, engine).state.desk
    return found


@pytest.fixture
def stranger(settings: Settings, engine: Engine) -> TestClient:
    """A browser that is not logged in."""
    return TestClient(create_app(settings, engine), base_url=ADDRESS)


@pytest.fixture
def login(settings: Settings, engine: Engine) -> Login:
    """Makes an account of a name and role, and a browser in which it is logged in."""
    return functools.partial(log_in, create_app(settings, engine))


@pytest.fixture
def newsroom(database_url: str) -> None:
    """Three weeks of news in the store."""


@pytest.fixture
def ann(newsroom: None, login: Login) -> TestClient:
    """An analyst of that newsroom."""
    return login("ann", "analyst")


@pytest.fixture
def rows(engine: Engine) -> Iterator[Connection]:
    """To count in the store what the API tells."""
    with engine.connect() as connection:
        yield connection
