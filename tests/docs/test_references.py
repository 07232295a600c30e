"""Pages that are made from the code are up to date, and leave nothing without an explanation."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.settings import Settings, load_settings
from newstide.reference.__main__ import PAGES
from newstide.reference.commands import undescribed
from newstide.reference.tables import describe_tables, undescribed_tables
from tests.docs.pages import DOCS

OUTDATED = "run `python -m newstide.reference`"


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load_settings(database={"url": database_url})


@pytest.mark.parametrize("name", [name for name in PAGES if name != "reference/tables.md"])
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), OUTDATED


def test_the_page_of_tables_is_the_catalogue(engine: Engine) -> None:
    with engine.connect() as connection:
        assert undescribed_tables(connection) == [], "say in core/store/comments.sql what they are"
        assert (DOCS / "reference" / "tables.md").read_text(encoding="utf-8") == describe_tables(connection), OUTDATED


def test_every_command_and_option_says_what_it_is() -> None:
    assert undescribed() == []
