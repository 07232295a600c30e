"""Labels on a real store: given, sent twice, taken back, counted, and read by the trainer."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from core.store.labels import Label, add_labels, read_labels
from tests.desk.people import Login
from tests.desk.stored import LABELS, add_story, body_of, label, story_of, uid_of
from trainer.data.consensus import agree


def words(engine: Engine, task: str = "sentiment") -> list[tuple[str, str]]:
    """What a dataset would learn of `task`."""
    return [(one.text, one.label) for one in agree(read_labels(engine))[0] if one.task == task]


def test_a_label_is_of_the_story_whatever_copy_is_named(login: Login, engine: Engine) -> None:
    add_story(engine, 1, copies=3)
    ann = login("ann")
    assert label(ann, 1, copy=2, sentiment="neutral")["items"] == [
        {"story": str(story_of(1)), "labels": {"sentiment": "neutral"}, "entities": {}}
    ]
    label(ann, 1, copy=1, sentiment="positive", topic="Macro")
    assert words(engine) == [(body_of(1), "positive")]
    assert words(engine, "topic") == [(body_of(1), "Macro")]
    assert {row.uid for row in read_labels(engine)} == {uid_of(1)}


def test_a_request_that_comes_twice_is_done_once(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    ann, request = login("ann"), str(uuid4())
    first = label(ann, 1, request=request, sentiment="negative")
    label(ann, 1, sentiment="positive")
    again = label(ann, 1, request=request, sentiment="negative")
    assert (first["rows"], first["again"], again["rows"], again["again"]) == (1, False, 1, True)
    assert words(engine) == [(body_of(1), "positive")]
    assert len(read_labels(engine)) == 2


def test_fifty_steps_can_be_taken_back_and_no_more(login: Login, engine: Engine) -> None:
    ann = login("ann")
    for number in range(52):
        add_story(engine, number)
        label(ann, number, sentiment="negative")
    left = [ann.post(f"{LABELS}/undo", json={}).json()["undoable"] for _ in range(50)]
    assert left == list(range(49, -1, -1))
    assert ann.post(f"{LABELS}/undo", json={}).status_code == 404
    assert words(engine) == [(body_of(0), "negative"), (body_of(1), "negative")]


def test_taking_back_brings_back_the_former_word(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    ann = login("ann")
    label(ann, 1, sentiment="negative")
    label(ann, 1, sentiment="positive", topic="Macro")
    label(ann, 1, sentiment="positive")  # says nothing new, so that there is nothing to take back
    undone = ann.post(f"{LABELS}/undo", json={}).json()
    said = {"labels": {"sentiment": "negative", "topic": None}, "entities": {}}
    assert undone["items"] == [{"story": str(story_of(1)), **said}]
    assert (words(engine), words(engine, "topic")) == ([(body_of(1), "negative")], [])
    ann.post(f"{LABELS}/undo", json={})
    assert agree(read_labels(engine)) == ([], [])
    label(ann, 1, sentiment="neutral")
    assert words(engine) == [(body_of(1), "neutral")]


def test_taking_back_leaves_what_was_said_since(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    ann = login("ann")
    label(ann, 1, sentiment="negative")
    row = read_labels(engine)[0]
    add_labels(engine, [Label(row.text, row.source, "sentiment", "neutral", "ann", row.uid, story=row.story)])
    assert ann.post(f"{LABELS}/undo", json={}).json()["items"] == []
    assert words(engine) == [(body_of(1), "neutral")]


def test_an_undo_that_comes_twice_is_done_once(login: Login, engine: Engine) -> None:
    ann, request = login("ann"), str(uuid4())
    for number in (1, 2):
        add_story(engine, number)
        label(ann, number, sentiment="negative")
    undone = [ann.post(f"{LABELS}/undo", json={"request": request}).json() for _ in range(2)]
    assert [one["again"] for one in undone] == [False, True]
    assert undone[0]["items"] == undone[1]["items"]
    assert words(engine) == [(body_of(1), "negative")]


def test_bulk_is_one_step(login: Login, engine: Engine) -> None:
    ann = login("ann")  # none of these stories is of the share that judges the model
    for number in range(3):
        add_story(engine, number, copies=2)
    uids = [str(uid_of(number, copy)) for number in range(3) for copy in range(2)]
    done = ann.post(f"{LABELS}/bulk", json={"uids": uids, "labels": {"topic": "Macro"}}).json()
    assert (done["rows"], len(done["items"]), done["undoable"]) == (3, 3, 1)
    ann.post(f"{LABELS}/undo", json={})
    assert words(engine, "topic") == []


def test_counts_equal_the_rows(login: Login, engine: Engine) -> None:
    ann, bob = login("ann"), login("bob")
    for number in range(4):
        add_story(engine, number)
        label(ann, number, sentiment="negative", topic="Macro")
    label(bob, 0, sentiment="positive")
    label(ann, 1, sentiment="neutral")
    ann.post(f"{LABELS}/undo", json={})
    label(ann, 2, sentiment=None)
    found = ann.get(f"{LABELS}/figures").json()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT count(*) FROM label")).scalar_one()
        given = connection.execute(text("SELECT count(*) FROM label WHERE label IS NOT NULL")).scalar_one()
    assert found["rows"] == rows == sum(count["given"] for count in found["counts"])
    assert found["current"] == 8
    assert sum(hour["labels"] for hour in found["hours"]) == given


def test_the_history_is_paged_and_searched(login: Login, engine: Engine) -> None:
    ann, bob = login("ann"), login("bob")
    for number in range(3):
        add_story(engine, number, title=f"Profit of {number}% \\ up")
        label(ann, number, sentiment="negative")
    label(bob, 0, sentiment="positive")
    label(ann, 0, sentiment="neutral")
    pages, cursor = [], None
    while True:
        page = ann.get(LABELS, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        pages += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [row["label"] for row in pages] == ["neutral", "positive", "negative", "negative", "negative"]
    assert [row["counts"] for row in pages] == [True, True, True, True, False]
    mine = ann.get(LABELS, params={"mine": True, "q": "0% \\"}).json()["items"]
    assert [row["label"] for row in mine] == ["neutral", "negative"]
    assert ann.get(LABELS, params={"analyst": "bob"}).json()["items"][0]["label"] == "positive"
    assert ann.get(LABELS, params={"task": "topic"}).json()["items"] == []


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"uid": str(uid_of(99)), "labels": {"sentiment": "negative"}}, 404),
        ({"uid": str(uid_of(1)), "labels": {"sentiment": "glad"}}, 422),
        ({"uid": str(uid_of(1)), "labels": {"mood": "negative"}}, 422),
        ({"uid": str(uid_of(1)), "labels": {}}, 422),
        ({"labels": {"sentiment": "negative"}}, 422),
        ({"uid": str(uid_of(1)), "story": str(story_of(1)), "labels": {"sentiment": "negative"}}, 422),
    ],
)
def test_one_fault_and_nothing_is_labelled(login: Login, engine: Engine, item: object, status: int) -> None:
    add_story(engine, 1)
    ann = login("ann")
    good = {"uid": str(uid_of(1)), "labels": {"sentiment": "negative"}}
    answer = ann.post(LABELS, json={"items": [good, item]})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert read_labels(engine) == []


def test_who_labels_is_on_record(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    label(login("ann"), 1, sentiment="negative")
    event = login("boss", "admin").get("/api/v1/audit", params={"action": "label"}).json()["items"][0]
    assert (event["account"], event["subject"]) == ("ann", str(story_of(1)))
    assert event["detail"]["labels"] == {str(story_of(1)): {"sentiment": "negative"}}


def test_a_viewer_labels_nothing(login: Login, engine: Engine) -> None:
    add_story(engine, 1)
    viewer = login("vic", "viewer")
    item = {"uid": str(uid_of(1)), "labels": {"sentiment": "negative"}}
    bulk = {"uids": [str(uid_of(1))], "labels": {"sentiment": "negative"}}
    answers = [
        viewer.post(LABELS, json={"items": [item]}),
        viewer.post(f"{LABELS}/bulk", json=bulk),
        viewer.post(f"{LABELS}/undo", json={}),
        viewer.get("/api/v1/queue"),
        viewer.delete(f"/api/v1/queue/{story_of(1)}"),
        viewer.post(f"/api/v1/adjudications/{story_of(1)}", json={"task": "sentiment", "label": "neutral"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert read_labels(engine) == []
    reads = ("/labels", "/labels/figures", "/agreement", "/models", "/models/training", "/settings/taxonomy")
    assert [viewer.get(f"/api/v1{address}").status_code for address in reads] == [200] * len(reads)
