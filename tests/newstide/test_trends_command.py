"""`newstide trends` on a real database."""

from __future__ import annotations

from datetime import date

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from core.bundle import read_manifest
from core.settings import Settings, load_settings
from core.store.partitions import ensure_partitions
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


def test_totals_are_of_the_time_asked_for(stored: Engine) -> None:
    def shown(*arguments: str) -> str:
        return CliRunner().invoke(trends, arguments, catch_exceptions=False).stdout

    (row,) = shown("--until", "2014-09-20").splitlines()[1:]
    assert row.split() == ["source=[/x]", "6", "3", "1", "1", "2014-09-18", "08:01", "2014-09-18", "08:01"]
    assert shown("--since", "2014-09-19", "--until", "2014-09-20") == "nothing is stored in that time\n"


def test_a_time_of_copies_alone_is_shown(stored: Engine) -> None:
    """Their stories are counted where they began, which may be before --since."""
    with stored.begin() as connection:
        connection.execute(text("UPDATE trend SET negative_stories = 0, neutral_stories = 0, positive_stories = 0"))
    shown = CliRunner().invoke(trends, ["--series", "source=[/x]"], catch_exceptions=False).stdout
    assert shown.splitlines()[2].split() == ["2014-09-18", "00:00", "6", "0", "0", "0", "0"]


def test_a_series_with_a_strange_name_is_shown(stored: Engine) -> None:
    shown = CliRunner().invoke(trends, ["--series", "source=[/x]"], catch_exceptions=False).stdout
    assert "source=[/x]" in shown
    assert "2014-09-20" in shown


def test_negative_stories_are_corrected_where_the_model_s_mistakes_are_known(
    stored: Engine, settings: Settings
) -> None:
    """The model that ships is known to call some stories negative that are not; of another model nothing is known."""
    model = read_manifest(settings.bundle_directory).name
    with stored.begin() as connection:
        connection.execute(text("UPDATE trend SET negative_stories = 90, neutral_stories = 900, positive_stories = 10"))
        with connection.connection.cursor() as cursor:
            ensure_partitions(cursor.connection, date(2014, 9, 18))
        connection.execute(
            text(
                "INSERT INTO message (uid, stored_on, source, id, kind, published_at, received_at, title, text, url, "
                "author, language, entities, marks, extra, story, sentiment, sentiment_scores, topic, topic_scores, "
                "model) SELECT md5('m')::uuid, '2014-09-18', '[/x]', '1', 'news', now(), now(), 't', '', '', '', 'en', "
                "'{}', '{}', '{}', md5('s')::uuid, 'negative', '{1,0,0}', 'Legal', '{1}', :model"
            ),
            {"model": model},
        )
        connection.execute(
            text(
                "INSERT INTO story_series VALUES (md5('s')::uuid, 'source', '[/x]', '2014-09-18 08:01Z', "
                "md5('m')::uuid, 'negative')"
            )
        )
    shown = CliRunner().invoke(trends, ["--series", "source=[/x]"], catch_exceptions=False).stdout
    assert f"known mistakes of {model}" in shown
    _, _, _, stories, negative, corrected, *_ = shown.splitlines()[2].split()
    assert (stories, negative) == ("1000", "90")
    assert int(corrected) == 90, "all days are as usual, so that mistakes of both kinds make up for each other"
    with stored.begin() as connection:
        connection.execute(text("UPDATE message SET model = 'unknown'"))
    plain = CliRunner().invoke(trends, ["--series", "source=[/x]"], catch_exceptions=False).stdout
    assert "corrected" not in plain
