"""The queue on a real store: why each story is there, who has it, and what is not shown."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient
from people import Login
from sqlalchemy import Engine
from stored import add_alert, add_shadow_difference, add_story, story_of, uid_of

QUEUE = "/api/v1/queue"


def take(browser: TestClient, count: int = 3, **parameters: Any) -> list[dict[str, Any]]:
    answer = browser.get(QUEUE, params={"count": count, **parameters})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_each_story_says_why_it_is_there(login: Login, engine: Engine) -> None:
    for number in range(40):
        add_story(engine, number)
    add_story(engine, 100, sentiment=(0.4, 0.35, 0.25))
    add_story(engine, 200)
    add_shadow_difference(engine, uid_of(200))
    add_alert(engine, minutes=3)
    items = take(login("ann"), 20)
    reasons = {UUID(item["story"]): item["reason"] for item in items}
    assert reasons[story_of(100)] == "uncertain"
    assert reasons[story_of(200)] == "disagreement"
    assert {reasons[story_of(number)] for number in range(3)} <= {"impact", "random"}
    assert Counter(reasons.values())["random"] >= 10
    first = next(item for item in items if item["story"] == str(story_of(100)))
    assert first["title"] == "Acme 100 cuts its outlook"
    assert first["suggested"]["sentiment"]["label"] == "negative"
    assert set(first["suggested"]["sentiment"]["scores"]) == {"negative", "neutral", "positive"}
