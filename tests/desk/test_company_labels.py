"""Labels of one company in a story: beside those of the story, and taken back, counted and decided apart from them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.bundle import SERVED, read_manifest
from core.label_lines import Subject
from core.settings import Settings
from core.store.labels import read_labels
from core.store.training import count_new_labels
from core.story_shares import is_for_evaluation
from desk.app import create_app
from desk.labelling.agreement import Word, pair_agreements
from tests.desk.people import Login, log_in
from tests.desk.stored import LABELS, add_story, body_of, label, story_of, uid_of

ADJUDICATIONS = "/api/v1/adjudications"
TWO = {"ACME": "positive", "BETA": None}  # what the model says of each; null as of the message


@pytest.fixture
def unseen(engine: Engine, settings: Settings) -> TestClient:
    """An analyst at a desk that keeps no story for evaluation."""
    desk = settings.desk.model_copy(update={"evaluation_share": 0.0})
    return log_in(create_app(settings.model_copy(update={"desk": desk}), engine), "ann")


def rows(engine: Engine) -> list[tuple[str, str, str | None]]:
    return [(row.task, row.entity, row.label) for row in read_labels(engine)]


def current(browser: TestClient) -> dict[tuple[str, bool, str | None], int]:
    figures = browser.get(f"{LABELS}/figures").json()
    assert figures["rows"] == sum(count["given"] for count in figures["counts"])
    return {
        (one["task"], one["companies"], one["label"]): one["current"] for one in figures["counts"] if one["current"]
    }


def test_a_company_has_a_label_of_its_own(login: Login, engine: Engine) -> None:
    add_story(engine, 1, copies=2, towards=TWO)
    ann = login("ann")
    done = label(ann, 1, copy=1, sentiment="negative", entities={"ACME": "positive", "BETA": "negative"})
    assert done["items"] == [
        {
            "story": str(story_of(1)),
            "labels": {"sentiment": "negative"},
            "entities": {"ACME": "positive", "BETA": "negative"},
        }
    ]
    label(ann, 1, entities={"ACME": "neutral"})
    label(ann, 1, entities={"BETA": "negative"})  # nothing new
    assert rows(engine) == [
        ("sentiment", "", "negative"),
        ("sentiment", "ACME", "positive"),
        ("sentiment", "BETA", "negative"),
        ("sentiment", "ACME", "neutral"),
    ]
    assert {(row.text, row.uid) for row in read_labels(engine)} == {(body_of(1), uid_of(1))}
    assert current(ann) == {
        ("sentiment", False, "negative"): 1,
        ("sentiment", True, "negative"): 1,
        ("sentiment", True, "neutral"): 1,
    }
    history = ann.get(LABELS).json()["items"]
    assert [(one["entity"], one["label"], one["counts"]) for one in history] == [
        ("ACME", "neutral", True),
        ("BETA", "negative", True),
        ("ACME", "positive", False),
        ("", "negative", True),
    ]
    event = login("boss", "admin").get("/api/v1/audit", params={"action": "label"}).json()["items"][-1]
    assert event["detail"]["entities"] == {str(story_of(1)): {"ACME": "positive", "BETA": "negative"}}
    assert event["detail"]["labels"] == {str(story_of(1)): {"sentiment": "negative"}}


def test_a_step_is_taken_back_whole(login: Login, engine: Engine) -> None:
    add_story(engine, 1, towards=TWO)
    ann = login("ann")
    label(ann, 1, entities={"ACME": "neutral"})
    label(ann, 1, sentiment="positive", entities={"ACME": "negative", "BETA": "positive"})
    undone = ann.post(f"{LABELS}/undo", json={}).json()
    assert undone["items"] == [
        {"story": str(story_of(1)), "labels": {"sentiment": None}, "entities": {"ACME": "neutral", "BETA": None}}
    ]
    assert current(ann) == {
        ("sentiment", False, None): 1,
        ("sentiment", True, None): 1,
        ("sentiment", True, "neutral"): 1,
    }


@pytest.mark.parametrize(
    "item",
    [
        {"entities": {"GAMMA": "positive"}},
        {"entities": {"ACME": "glad"}},
        {"entities": {"": "positive"}},
        {"labels": {}, "entities": {}},
    ],
)
def test_a_company_that_is_not_there_has_no_label(login: Login, engine: Engine, item: dict[str, Any]) -> None:
    add_story(engine, 1, towards=TWO)
    ann = login("ann")
    answer = ann.post(LABELS, json={"items": [{"uid": str(uid_of(1)), **item}]})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert rows(engine) == []


def test_a_company_that_a_file_named_can_be_corrected(login: Login, engine: Engine) -> None:
    """Also once retention has dropped the message: then the labels know its companies."""
    add_story(engine, 1, towards=TWO)
    ann = login("ann")
    line = f'{{"uid": "{uid_of(1)}", "entities": [{{"name": "Acme Corp", "sentiment": "positive"}}]}}'
    assert ann.post(f"{LABELS}/import", content=line).json() == {"added": 1, "already_given": 0}
    with engine.begin() as connection:
        for table in ("message", "message_key", "story"):
            connection.execute(text(f"DELETE FROM {table}"))
    label(ann, 1, entities={"Acme Corp": "negative"})
    assert rows(engine)[-1] == ("sentiment", "Acme Corp", "negative")


def test_a_company_does_not_label_its_story(engine: Engine, settings: Settings) -> None:
    """It stays in the queue, and what the model says of it and its companies stays hidden where it was."""
    add_story(engine, 1, towards=TWO)
    shown = settings.desk.model_copy(update={"evaluation_share": 0.0, "second_share": 1.0})
    ann = log_in(create_app(settings.model_copy(update={"desk": shown}), engine), "ann")
    (item,) = ann.get("/api/v1/queue").json()["items"]
    assert item["entities"] == ["ACME", "BETA"]
    assert item["suggested_entities"] == {"ACME": "positive", "BETA": "negative"}
    label(ann, 1, entities={"ACME": "negative"})
    assert [one["story"] for one in ann.get("/api/v1/queue").json()["items"]] == [str(story_of(1))]
    hidden = settings.desk.model_copy(update={"evaluation_share": 1.0})
    bob = log_in(create_app(settings.model_copy(update={"desk": hidden}), engine), "bob")
    with engine.begin() as connection:
        connection.execute(text("UPDATE label_lease SET expires_at = now()"))
    (item,) = bob.get("/api/v1/queue").json()["items"]
    assert (item["suggested"], item["suggested_entities"], item["entities"]) == (None, None, ["ACME", "BETA"])
    label(bob, 1, entities={"ACME": "negative"})
    assert bob.get(f"/api/v1/explanations/{item['uid']}").status_code == 409
    label(bob, 1, sentiment="negative")
    assert bob.get("/api/v1/queue").json()["items"] == []


def test_what_analysts_are_split_on_is_decided_for_each_company(login: Login, engine: Engine) -> None:
    add_story(engine, 1, towards=TWO)
    ann, bob, cleo = login("ann"), login("bob"), login("cleo")
    label(ann, 1, sentiment="negative", entities={"ACME": "positive", "BETA": "negative"})
    label(bob, 1, sentiment="neutral", entities={"ACME": "neutral", "BETA": "negative"})
    first = cleo.get(ADJUDICATIONS, params={"limit": 1}).json()
    rest = cleo.get(ADJUDICATIONS, params={"limit": 1, "cursor": first["next"]}).json()
    split = [
        (one["entity"], [opinion["label"] for opinion in one["opinions"]]) for one in first["items"] + rest["items"]
    ]
    assert split == [("ACME", ["positive", "neutral"]), ("", ["negative", "neutral"])]
    assert rest["next"] is None
    address = f"{ADJUDICATIONS}/{story_of(1)}"
    verdict = {"task": "sentiment", "entity": "ACME", "label": "positive"}
    assert cleo.post(address, json={**verdict, "entity": "BETA"}).status_code == 404
    assert cleo.post(address, json={**verdict, "task": "topic", "label": "Macro"}).status_code == 422
    assert bob.post(address, json=verdict).status_code == 403
    decided = cleo.post(address, json=verdict)
    assert (decided.status_code, decided.json()["entity"]) == (201, "ACME")
    assert [one["entity"] for one in cleo.get(ADJUDICATIONS).json()["items"]] == [""]
    pairs = {one["companies"]: one for one in cleo.get("/api/v1/agreement").json()["items"]}
    assert (pairs[False]["texts"], pairs[False]["share"]) == (1, 0.0)
    assert (pairs[True]["texts"], pairs[True]["share"]) == (2, 0.5)
    assert pairs[True]["confusion"] == {"negative": {"negative": 1}, "positive": {"neutral": 1}}


def test_pairs_are_of_one_company() -> None:
    words = [
        Word(story_of(1), "text", "sentiment", analyst, said, entity)
        for analyst, entity, said in (
            ("ann", "A", "negative"), ("ann", "B", "positive"), ("bob", "B", "negative"), ("bob", "", "positive"),
        )
    ]  # fmt: skip
    (pair,) = pair_agreements(words, {"sentiment": ("negative", "neutral", "positive")})
    assert (pair.companies, pair.texts, pair.confusion) == (True, 1, {"positive": {"negative": 1}})


def test_models_are_judged_on_companies_apart(engine: Engine, settings: Settings) -> None:
    desk = settings.desk.model_copy(update={"evaluation_share": 1.0})
    ann = log_in(create_app(settings.model_copy(update={"desk": desk}), engine), "ann")
    for number in range(2):
        add_story(engine, number, towards=TWO)  # negative, as all of BETA
    label(ann, 0, sentiment="neutral", entities={"ACME": "positive", "BETA": "negative"})
    label(ann, 1, entities={"BETA": "neutral"})
    found = ann.get("/api/v1/models/evaluation").json()["items"]
    assert [(one["companies"], one["texts"], one["right"]) for one in found] == [(False, 1, 0), (True, 3, 2)]
    assert [one["confusion"] for one in found] == [
        {"neutral": {"negative": 1}},
        {"negative": {"negative": 1}, "neutral": {"negative": 1}, "positive": {"positive": 1}},
    ]
    assert [one["macro_f1"] for one in found] == pytest.approx([0, (2 / 3 + 0 + 1) / 3])
    assert [one["card"] for one in found] == [None, None], "nobody knows the card of that model"


def test_the_card_stands_beside_what_analysts_say(engine: Engine, settings: Settings) -> None:
    """Also that of a bundle of the settings, which serves before any model is registered."""
    shipped = read_manifest(settings.bundle_directory)
    desk = settings.desk.model_copy(update={"evaluation_share": 1.0})
    ann = log_in(create_app(settings.model_copy(update={"desk": desk}), engine), "ann")
    add_story(engine, 0, towards=TWO, model=shipped.name)
    label(ann, 0, sentiment="negative", topic="Macro", entities={"ACME": "positive"})
    found = ann.get("/api/v1/models/evaluation").json()["items"]
    assert shipped.entity is not None
    cards = [*shipped.evaluation[SERVED], shipped.entity.evaluation[SERVED].mentions]
    expected = {
        ("sentiment" if card.task == "entity" else card.task, card.task == "entity"): {
            "accuracy": card.accuracy, "macro_f1": card.macro_f1, "support": card.support,
        }
        for card in cards
    }  # fmt: skip
    assert {(one["task"], one["companies"]): one["card"] for one in found} == expected
    for one in found:
        change = one["change"]
        assert change["by"] == pytest.approx(one["share"] - one["card"]["accuracy"])
        assert change["low"] < change["by"] < change["high"], "one text tells little"


def test_many_stories_are_labelled_towards_one_company(unseen: TestClient, engine: Engine) -> None:
    for number, towards in enumerate((TWO, {"ACME": None}, {"BETA": "neutral"})):
        add_story(engine, number, copies=2, towards=towards)
    label(unseen, 1, entities={"ACME": "positive"})
    uids = [str(uid_of(number, copy)) for number in range(3) for copy in range(2)]
    bulk = {"uids": uids, "entities": {"ACME": "negative"}, "request": str(uuid4())}
    done = unseen.post(f"{LABELS}/bulk", json=bulk).json()
    assert done["items"] == [
        {"story": str(story_of(number)), "labels": {}, "entities": {"ACME": "negative"}} for number in range(2)
    ]
    assert (done["rows"], done["kept"], done["without"]) == (2, [], [str(story_of(2))])
    again = unseen.post(f"{LABELS}/bulk", json=bulk).json()
    assert again == {**done, "again": True}
    undone = unseen.post(f"{LABELS}/undo", json={}).json()
    assert {one["story"]: one["entities"] for one in undone["items"]} == {
        str(story_of(0)): {"ACME": None},
        str(story_of(1)): {"ACME": "positive"},
    }
    assert current(unseen)["sentiment", True, "positive"] == 1


def test_bulk_says_of_each_story_what_fits_it(unseen: TestClient, engine: Engine) -> None:
    add_story(engine, 0, towards=TWO)
    add_story(engine, 1)
    both = {"labels": {"sentiment": "neutral"}, "entities": {"ACME": "negative"}}
    bulk = {"uids": [str(uid_of(0)), str(uid_of(1))], **both}
    done = unseen.post(f"{LABELS}/bulk", json=bulk).json()
    assert done["items"] == [{"story": str(story_of(0)), **both}, {"story": str(story_of(1)), **both, "entities": {}}]
    assert done["without"] == []


@pytest.mark.parametrize("said", [{"GAMMA": "negative"}, {"ACME": "negative", "GAMMA": "neutral"}, {"ACME": "glad"}])
def test_a_company_in_none_of_many_stories_is_a_fault(unseen: TestClient, engine: Engine, said: dict[str, str]) -> None:
    add_story(engine, 0, towards=TWO)
    answer = unseen.post(f"{LABELS}/bulk", json={"uids": [str(uid_of(0))], "entities": said})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert rows(engine) == []


def test_what_judges_the_model_is_not_labelled_in_bulk(engine: Engine, settings: Settings) -> None:
    """Whoever chooses many stories sees what the model says of them."""
    desk = settings.desk.model_copy(update={"evaluation_share": 0.5})
    ann = log_in(create_app(settings.model_copy(update={"desk": desk}), engine), "ann")
    for number in range(12):
        add_story(engine, number, towards=TWO)
    hidden = [str(story_of(number)) for number in range(12) if is_for_evaluation(story_of(number), 0.5)]
    uids = [str(uid_of(number)) for number in range(12)]
    for said in ({"labels": {"sentiment": "negative"}}, {"entities": {"ACME": "negative"}}):
        done = ann.post(f"{LABELS}/bulk", json={"uids": uids, **said}).json()
        assert 0 < len(hidden) == len(done["kept"]) < 12
        assert done["kept"] == hidden
        assert done["rows"] == len(done["items"]) == 12 - len(hidden)
    assert ann.get("/api/v1/models/evaluation").json()["items"] == []
    done = ann.post(f"{LABELS}/bulk", json={"uids": [str(uid_of(number)) for number in range(12) if
                    str(story_of(number)) in hidden], "labels": {"sentiment": "neutral"}}).json()  # fmt: skip
    assert (done["rows"], done["items"], done["undoable"]) == (0, [], 2), "no step, then, that could be taken back"
    given = next(number for number in range(12) if str(story_of(number)) in hidden)
    label(ann, given, sentiment="negative")
    back = {"uids": [str(uid_of(given))], "labels": {"sentiment": None}}
    done = ann.post(f"{LABELS}/bulk", json=back).json()
    assert (done["rows"], done["kept"]) == (1, []), "a label may be taken back in any way"


def test_the_companies_of_a_text_are_one_new_label(login: Login, engine: Engine) -> None:
    for number in range(2):
        add_story(engine, number, towards=TWO)
    ann = login("ann")
    label(ann, 0, entities={"ACME": "negative", "BETA": "neutral"})
    assert count_new_labels(engine, None) == 1
    label(ann, 0, sentiment="negative")
    label(ann, 1, entities={"ACME": "negative"})
    assert count_new_labels(engine, None) == 3
    label(ann, 1, entities={"ACME": None})
    assert count_new_labels(engine, None) == 2


def test_stories_and_findings_tell_what_is_said_of_each_company(login: Login, engine: Engine) -> None:
    add_story(engine, 1, towards=TWO)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM story_series"))
        connection.execute(
            text(
                "INSERT INTO story_series SELECT s.id, kind, name, s.first_at, s.first_uid, said FROM story AS s, "
                "(VALUES ('all', 'all', 'negative'), ('entity', 'ACME', 'positive'), ('entity', 'BETA', 'negative')) "
                "AS counted (kind, name, said)"
            )
        )
    ann = login("ann")
    (story,) = ann.get(f"/api/v1/stories/{story_of(1)}").json()["items"]
    assert (story["entities"], story["entity_sentiments"]) == (["ACME", "BETA"], ["positive", None])
    lead = ann.get(f"/api/v1/stories/{story_of(1)}").json()["story"]
    assert (lead["entities"], lead["entity_sentiments"]) == (["ACME", "BETA"], ["positive", "negative"])
    assert lead["message_sentiment"] == "negative"


def test_subjects_are_told_apart_in_words() -> None:
    assert [str(Subject("sentiment")), str(Subject("sentiment", "ACME"))] == ["sentiment", "sentiment of 'ACME'"]
