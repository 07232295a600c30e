"""`newstide trends` on a real database."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from core.settings import Settings, load_settings
from newstide.commands.trends import trends


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    return load_settings()


@pytest.fixture
def stored(engine: Engine) -> Engine:
    with engine.begin() as connection:
        for minute in ("2014-09-18 08:01Z", "2014-09-20 17:45Z"):
            connection.execute(
                text(
                    "INSERT INTO trend (kind, name, minute, negative, neutral, positive, negative_stories, "
                    "neutral_stories, positive_stories, p_negative, p_neutral, p_positive) "
                    "VALUES ('source', '[/x]', :minute, 1, 2, 3, 1, 1, 1, 0, 0, 0)"
                ),
                {"minute": minute},
            )
    return engine


def test_totals_show_the_first_and_the_last_minute(stored: Engine) -> None:
    (row,) = CliRunner().invoke(trends, catch_exceptions=False).stdout.splitlines()[1:]
    assert row.split() == ["source=[/x]", "12", "6", "2", "2", "2014-09-18", "08:01", "2014-09-20", "17:45"]


def test_a_series_with_a_strange_name_is_shown(stored: Engine) -> None:
    shown = CliRunner().invoke(trends, ["--series", "source=[/x]"], catch_exceptions=False).stdout
    assert "source=[/x]" in shown
    assert "2014-09-20" in shown
