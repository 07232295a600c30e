"""Messages that no model read: shown and found, without a label, and not asked for one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, text

from tests.desk.people import Login
from tests.desk.stored import NOW, add_story, story_of, uid_of

API = "/api/v1"


def test_what_no_model_read_is_shown_as_such_everywhere(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    add_story(engine, 2, title="Rheinbank senkt Prognose")
    minute = (NOW - timedelta(minutes=10)).replace(second=0)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE message SET language = 'de', sentiment = NULL, sentiment_scores = NULL, topic = NULL, "
                "topic_scores = NULL, model = NULL WHERE story = :story"
            ),
            {"story": story_of(2)},
        )
        connection.execute(
            text("UPDATE story_series SET sentiment = 'unread' WHERE story = :story"), {"story": story_of(2)}
        )
        connection.execute(
            text(
                "INSERT INTO trend (kind, name, minute, negative, neutral, positive, negative_stories, "
                "neutral_stories, positive_stories, p_negative, p_neutral, p_positive, unread, unread_stories) "
                "SELECT kind, name, minute, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1 "
                "FROM (VALUES ('all', 'all'), ('entity', 'Acme')) AS s (kind, name), "
                "unnest(ARRAY[CAST(:at AS timestamptz), CAST(:now AS timestamptz)]) AS minute"
            ),
            {"at": minute, "now": NOW.replace(second=0)},
        )
    ann = login("ann", "analyst")

    def get(address: str, **parameters: Any) -> Any:
        answer = ann.get(f"{API}{address}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    stories = {item["id"]: item for item in get("/stories", series="entity=Acme")["items"]}
    unread = stories[str(story_of(2))]
    assert (unread["sentiment"], unread["scores"], unread["topic"], unread["model"]) == (None, None, None, None)
    assert unread["language"] == "de"
    assert stories[str(story_of(1))]["sentiment"] == "negative"
    assert [item["id"] for item in get("/stories", series="entity=Acme", sentiment="negative")["items"]] == [
        str(story_of(1))
    ]
    (message,) = get(f"/stories/{story_of(2)}")["items"]
    assert (message["sentiment"], message["topic_scores"]) == (None, None)
    (found,) = get("/search", q="Rheinbank")["items"]
    assert (found["sentiment"], found["scores"], found["topic"]) == (None, None, None)
    assert "Rheinbank" in ann.get(f"{API}/search/export", params={"q": "Rheinbank"}).text
    assert ann.get(f"{API}/search/export", params={"q": "Rheinbank", "format": "parquet"}).status_code == 200
    assert [item["story"] for item in get("/queue", count=5)["items"]] == [str(story_of(1))]
    answer = ann.get(f"{API}/explanations/{uid_of(2)}")
    assert answer.status_code == 409
    assert "no live model reads" in answer.text
    span = {"from": minute.isoformat(), "to": NOW.replace(year=NOW.year + 1).isoformat()}
    assert get("/mood", **span)
