"""The queue on a real store: why each story is there, who has it, and what is not shown."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.settings import Settings
from core.story_shares import is_for_evaluation
from desk.app import create_app
from desk.labelling.order import is_for_second
from desk.labelling.queue import LabelQueue
from tests.desk.people import Login, log_in
from tests.desk.stored import add_alert, add_shadow_difference, add_story, body_of, label, story_of, uid_of

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
    add_story(engine, 200, copies=2)
    add_shadow_difference(engine, uid_of(200, 1))
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


def test_nobody_gets_what_another_holds(login: Login, engine: Engine) -> None:
    for number in range(6):
        add_story(engine, number)
    ann, bob = login("ann"), login("bob")
    mine, theirs = take(ann, 4), take(bob, 4)
    assert len(mine) == 4
    assert len(theirs) == 2
    assert not {item["story"] for item in mine} & {item["story"] for item in theirs}
    assert take(bob, 4, holding=[item["story"] for item in theirs]) == []


def test_two_at_once_never_get_the_same(engine: Engine) -> None:
    """Eight analysts of two desks draw from one store until nothing is left."""
    for number in range(60):
        add_story(engine, number)
    desks = [LabelQueue(engine, 900, 0.05, 0.1) for _ in range(2)]
    taken: dict[str, list[UUID]] = {f"analyst {number}": [] for number in range(8)}
    start = threading.Barrier(len(taken))

    def draw(number: int, analyst: str) -> None:
        start.wait()
        while items := desks[number % 2].take(analyst, 2, holding=taken[analyst]):
            taken[analyst] += [queued.item.story for queued in items]

    threads = [threading.Thread(target=draw, args=pair) for pair in enumerate(taken)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [story for stories in taken.values() for story in stories]
    assert len(every) == len(set(every))
    # Who asks while others reserve the last ones may go away with less; what was missed is there to be had.
    late = LabelQueue(engine, 900, 0.05, 0.1)
    while items := late.take("late", 20, holding=every[60:]):
        every += [queued.item.story for queued in items]
    assert sorted(every) == sorted(story_of(number) for number in range(60))


def test_what_is_held_comes_again_until_it_is_labelled(login: Login, engine: Engine) -> None:
    for number in range(5):
        add_story(engine, number)
    ann = login("ann")
    first = [item["story"] for item in take(ann, 2)]
    assert {item["story"] for item in take(ann, 2)} == set(first)
    others = [item["story"] for item in take(ann, 2, holding=first)]
    assert not set(others) & set(first)
    said = {"model_hidden": True, "items": [{"story": first[0], "labels": {"sentiment": "neutral"}}]}
    ann.post("/api/v1/labels", json=said).raise_for_status()
    assert first[0] not in {item["story"] for item in take(ann, 5)}


def test_what_was_labelled_without_being_leased_comes_back_to_be_labelled(login: Login, engine: Engine) -> None:
    for number in range(3):
        add_story(engine, number)
    ann, bob = login("ann"), login("bob")
    taken = {item["story"] for item in take(ann, 1)}  # the others were reserved for that
    left = next(number for number in range(3) if str(story_of(number)) not in taken)
    label(ann, left, sentiment="negative")
    ann.post("/api/v1/labels/undo", json={}).raise_for_status()
    mine = {item["story"]: item["reason"] for item in take(ann, 2)}
    assert mine[str(story_of(left))] == "random"
    assert str(story_of(left)) not in {item["story"] for item in take(bob, 3)}


def test_a_lease_ends_with_its_time(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    ann, bob = login("ann"), login("bob")
    assert len(take(ann)) == 1
    assert take(bob) == []
    with engine.begin() as connection:
        connection.execute(text("UPDATE label_lease SET expires_at = now()"))
    assert len(take(bob)) == 1
    assert take(ann) == []


def test_what_is_given_back_goes_to_others(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    ann, bob = login("ann"), login("bob")
    take(ann)
    assert bob.delete(f"{QUEUE}/{story_of(1)}").status_code == 404
    assert ann.delete(f"{QUEUE}/{story_of(1)}").status_code == 204
    assert take(ann) == []
    assert [item["story"] for item in take(bob)] == [str(story_of(1))]


def test_what_is_labelled_is_offered_no_more(login: Login, engine: Engine, settings: Settings) -> None:
    for number in range(3):
        add_story(engine, number)
    ann, bob = login("ann"), login("bob")
    label(ann, 0, sentiment="neutral", topic="Macro")
    label(ann, 1, sentiment="neutral")
    assert [item["story"] for item in take(bob, 5)] == [str(story_of(2))]
    assert {item["story"] for item in take(bob, 5, task="topic")} == {str(story_of(1)), str(story_of(2))}
    label(ann, 0, sentiment=None, topic=None)
    fresh = LabelQueue(engine, 900, 0.0, 0.0)
    assert story_of(0) in {queued.item.story for queued in fresh.take("cleo", 5)}


def test_on_the_evaluation_share_no_score_is_shown(engine: Engine, settings: Settings) -> None:
    for number in range(20):
        add_story(engine, number, sentiment=(0.4, 0.35, 0.25))
    hidden = {story_of(number) for number in range(20) if is_for_evaluation(story_of(number), 0.5)}
    add_alert(engine, minutes=60)
    desk = settings.desk.model_copy(update={"evaluation_share": 0.5})
    app = create_app(settings.model_copy(update={"desk": desk}), engine)
    ann = log_in(app, "ann")
    items = take(ann, 20)
    assert {UUID(item["story"]) for item in items if item["suggested"] is None} == hidden
    assert {item["reason"] for item in items if item["suggested"] is None} == {"random"}
    assert 0 < len(hidden) < 20
    story = next(item for item in items if item["suggested"] is None)
    assert story["model"] == ""
    assert ann.get(f"/api/v1/explanations/{story['uid']}").status_code == 409


def test_a_second_analyst_gets_a_share_blind(engine: Engine, settings: Settings) -> None:
    for number in range(20):
        add_story(engine, number)
    desk = settings.desk.model_copy(update={"second_share": 0.5, "evaluation_share": 0.0})
    app = create_app(settings.model_copy(update={"desk": desk}), engine)
    ann, bob, cleo = (log_in(app, name) for name in ("ann", "bob", "cleo"))
    for number in range(20):
        label(ann, number, sentiment="neutral")
    twice = {str(story_of(number)) for number in range(20) if is_for_second(story_of(number), 0.5)}
    items = take(bob, 20)
    assert {item["story"] for item in items} == twice
    assert all(item["blind"] and item["suggested"] is None for item in items)
    assert 0 < len(twice) < 20
    seen = {row["story"] for row in bob.get("/api/v1/labels", params={"limit": 500}).json()["items"]}
    assert seen == {str(story_of(number)) for number in range(20)} - twice
    assert len(cleo.get("/api/v1/labels", params={"limit": 500}).json()["items"]) == 20
    assert take(cleo, 20) == []
    assert take(ann, 20) == []
    for item in items:
        bob.post("/api/v1/labels", json={"items": [{"uid": item["uid"], "labels": {"sentiment": "positive"}}]})
    assert take(cleo, 20) == []


def test_a_source_and_a_task_can_be_asked_for(login: Login, engine: Engine) -> None:
    for number in range(6):
        add_story(engine, number, source="wire" if number % 2 else "post")
    ann = login("ann")
    assert {item["source"] for item in take(ann, 6, source="post")} == {"post"}
    assert ann.get(QUEUE, params={"task": "mood"}).status_code == 422


def test_a_text_past_retention_can_be_read_and_judged_again(engine: Engine, settings: Settings) -> None:
    add_story(engine, 1)
    desk = settings.desk.model_copy(update={"second_share": 1.0})
    app = create_app(settings.model_copy(update={"desk": desk}), engine)
    ann, bob = log_in(app, "ann"), log_in(app, "bob")
    label(ann, 1, sentiment="neutral")
    with engine.begin() as connection:
        for table in ("message", "message_key", "story"):
            connection.execute(text(f"DELETE FROM {table}"))
    (item,) = take(bob)
    assert (item["uid"], item["text"], item["published_at"]) == (str(uid_of(1)), body_of(1), None)
    label(bob, 1, sentiment="positive")
    assert take(bob) == []
    label(ann, 1, sentiment="negative")
    disputes = ann.get("/api/v1/adjudications").json()["items"]
    assert [one["story"] for one in disputes] == [str(story_of(1))]


def test_labels_of_the_evaluation_share_judge_the_model(engine: Engine, settings: Settings) -> None:
    desk = settings.desk.model_copy(update={"evaluation_share": 0.5})
    app = create_app(settings.model_copy(update={"desk": desk}), engine)
    ann, bob, boss = log_in(app, "ann"), log_in(app, "bob"), log_in(app, "boss", "admin")
    for number in range(20):
        add_story(engine, number)  # the model says negative
        label(ann, number, sentiment="negative" if number < 8 else "positive")
    hidden = [number for number in range(20) if is_for_evaluation(story_of(number), 0.5)]
    right, tied, decided = hidden[0], hidden[-1], hidden[-2]
    (before,) = ann.get("/api/v1/models/evaluation").json()["items"]
    assert before["texts"] == len(hidden), "and is worked out again with the labels that come now"
    label(bob, tied, sentiment="neutral")
    label(bob, decided, sentiment="neutral")
    verdict = {"task": "sentiment", "label": "negative"}
    assert boss.post(f"/api/v1/adjudications/{story_of(decided)}", json=verdict).status_code == 201
    (found,) = ann.get("/api/v1/models/evaluation").json()["items"]
    expected = sum(number < 8 for number in hidden) + 1
    assert right < 8 <= decided
    assert (found["model"], found["task"], found["texts"], found["right"]) == (
        "live",
        "sentiment",
        len(hidden) - 1,
        expected,
    )
    assert found["low"] < found["share"] < found["high"]


def test_what_judges_the_model_is_labelled_in_the_queue_alone(engine: Engine, settings: Settings) -> None:
    """Elsewhere the model's label is on the screen, and people label there what they see is wrong."""
    desk = settings.desk.model_copy(update={"evaluation_share": 0.5})
    ann = log_in(create_app(settings.model_copy(update={"desk": desk}), engine), "ann")
    for number in range(12):
        add_story(engine, number)
    hidden = [number for number in range(12) if is_for_evaluation(story_of(number), 0.5)]
    others = [number for number in range(12) if number not in hidden]

    def say(numbers: list[int], said: str | None, request: str | None = None) -> Any:
        items = [{"uid": str(uid_of(number)), "labels": {"sentiment": said}} for number in numbers]
        return ann.post("/api/v1/labels", json={"items": items, "request": request})

    refused = say(hidden[:1], "negative")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert "judge the model" in refused.json()["detail"]
    request = str(uuid4())
    some = say([hidden[0], *others], "negative", request).json()
    assert (some["rows"], some["kept"]) == (len(others), [str(story_of(hidden[0]))])
    again = say([hidden[0], *others], "negative", request).json()
    assert (again["again"], again["items"], again["kept"]) == (True, some["items"], some["kept"])
    assert ann.get("/api/v1/models/evaluation").json()["items"] == []
    assert str(story_of(hidden[0])) in {item["story"] for item in take(ann, 20)}, "and it still comes to the queue"

    label(ann, hidden[0], sentiment="neutral")
    (found,) = ann.get("/api/v1/models/evaluation").json()["items"]
    assert (found["texts"], found["right"]) == (1, 0)
    assert say(hidden[:1], "negative").status_code == 409
    assert say(hidden[:1], None).json()["rows"] == 1
    assert ann.get("/api/v1/models/evaluation").json()["items"] == [], "a label may be taken back anywhere"
