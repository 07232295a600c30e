"""Models over the API, on a real registry with bundles of a few kilobytes: figures, promotion by the gates, the way
back; and what the live one says of a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.bundle import load_bundle
from core.classifier import Classifier
from core.explanation import explain
from core.settings import EmbeddedSettings, ModelsSettings, Settings, StreamSettings
from core.store import training
from core.store.models import find_model, move_model
from core.store.shadows import ShadowRow, store_shadow_rows
from desk.app import create_app
from tests.desk.people import log_in
from tests.desk.stored import NOW, add_story, label, uid_of
from tests.tiny_bundles import register_tiny, write_tiny
from trainer.data.examples import Example
from trainer.promote.promotion import check, promote

MODELS = "/api/v1/models"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    write_tiny(tmp_path / "first", "first", seed=1)
    return settings.model_copy(
        update={
            "embedded": EmbeddedSettings(directory=tmp_path / "home"),
            "stream": StreamSettings(bundle=tmp_path / "first"),
            # tiny models differ by what else the machine does
            "models": ModelsSettings(gate_speed_ratio=0.01, train_after_labels=3),
        }
    )


@pytest.fixture
def boss(settings: Settings, engine: Engine) -> TestClient:
    return log_in(create_app(settings, engine), "boss", "admin")


@pytest.fixture
def models(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """`first` is live, `second` a candidate that nothing was said of."""
    write_tiny(tmp_path / "second", "second", seed=2)
    for name in ("first", "second"):
        register_tiny(settings, engine, tmp_path / name)
    move_model(engine, "first", "live", actor="test", reason="test")


def judge(settings: Settings, engine: Engine, name: str, tmp_path: Path, better: bool = True) -> None:
    """Judge a model on texts that it, or only the live one, labels right."""
    right = Classifier(load_bundle(tmp_path / (name if better else "first")))
    texts = [f"Acme {number} {word} results" for number in range(60) for word in ("strong", "weak")]
    scores = right.predict(texts)
    examples = [
        Example(one, {task: right.labels(task)[int(table[at].argmax())] for task, table in scores.items()}, "test")
        for at, one in enumerate(texts)
    ]
    check(settings, engine, name, examples=examples, actor="test")


def state_of(engine: Engine, name: str) -> str:
    row = find_model(engine, name=name)
    assert row is not None
    return row.state


@pytest.mark.usefixtures("models")
def test_models_and_their_figures(boss: TestClient, engine: Engine) -> None:
    found = boss.get(MODELS).json()
    assert (found["live"], found["shadow"], [one["name"] for one in found["items"]]) == (
        {"en": "first"},
        {},
        ["first", "second"],
    )
    detail = boss.get(f"{MODELS}/second").json()
    assert (detail["state"], detail["verdict"], detail["tasks"]["sentiment"]) == (
        "candidate",
        None,
        ["negative", "neutral", "positive"],
    )
    assert [event["to_state"] for event in detail["history"]] == ["candidate"]
    assert boss.get(f"{MODELS}/third").status_code == 404


@pytest.mark.usefixtures("models")
def test_a_model_goes_live_by_the_verdict_of_the_gates(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    refused = boss.post(f"{MODELS}/second/promote", json={})
    assert (refused.status_code, "no gate ever judged second" in refused.json()["detail"]) == (409, True)
    judge(settings, engine, "second", tmp_path)
    comparison = boss.get(f"{MODELS}/second/comparison").json()
    assert (comparison["promotable"], comparison["objection"], comparison["live"]) == (True, None, "first")
    assert {gate["name"] for gate in comparison["verdict"]["gates"]} >= {"improvement", "classes", "speed", "self-test"}
    done = boss.post(f"{MODELS}/second/promote", json={"reason": "better"})
    assert done.json() == {"model": "second", "state": "live", "displaced": "first"}
    assert (state_of(engine, "first"), state_of(engine, "second")) == ("retired", "live")
    event = boss.get("/api/v1/audit", params={"action": "promote model"}).json()["items"][0]
    assert (event["account"], event["subject"], event["detail"]["reason"]) == ("boss", "second", "better")


@pytest.mark.usefixtures("models")
def test_gates_that_failed_are_overruled_with_a_reason_alone(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    judge(settings, engine, "second", tmp_path, better=False)
    comparison = boss.get(f"{MODELS}/second/comparison").json()
    assert (comparison["promotable"], comparison["forcible"]) == (False, True)
    assert "gates failed: improvement" in comparison["objection"]
    assert boss.post(f"{MODELS}/second/promote", json={"reason": "please"}).status_code == 409
    assert boss.post(f"{MODELS}/second/promote", json={"force": True}).status_code == 409
    done = boss.post(f"{MODELS}/second/promote", json={"force": True, "reason": "the test set is old"})
    assert (done.status_code, state_of(engine, "second")) == (200, "live")
    assert boss.get(f"{MODELS}/second").json()["history"][0]["forced"] is True


@pytest.mark.usefixtures("models")
def test_going_live_without_a_test_set_is_on_record_as_forced(
    boss: TestClient, settings: Settings, engine: Engine
) -> None:
    promote(settings, engine, "second", to="shadow", actor="test")
    assert boss.post(f"{MODELS}/second/promote", json={"reason": "no test set yet"}).status_code == 409
    wanted = {"force": True, "reason": "no test set yet"}
    assert boss.post(f"{MODELS}/second/promote", json=wanted).status_code == 200
    assert [event["forced"] for event in boss.get(f"{MODELS}/second").json()["history"]][:2] == [True, False]
    event = boss.get("/api/v1/audit", params={"action": "promote model"}).json()["items"][0]
    assert event["detail"]["forced"] is True


@pytest.mark.usefixtures("models")
def test_force_that_nothing_needed_is_no_force(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    judge(settings, engine, "second", tmp_path)
    boss.post(f"{MODELS}/second/promote", json={"force": True, "reason": "in a hurry"}).raise_for_status()
    assert boss.get(f"{MODELS}/second").json()["history"][0]["forced"] is False


@pytest.mark.usefixtures("models")
def test_a_verdict_is_against_the_model_that_was_live_then(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    judge(settings, engine, "second", tmp_path)
    write_tiny(tmp_path / "third", "third", seed=3)
    register_tiny(settings, engine, tmp_path / "third")
    move_model(engine, "third", "live", actor="test", reason="test")
    refused = boss.post(f"{MODELS}/second/promote", json={"force": True, "reason": "all the same"})
    assert (refused.status_code, state_of(engine, "second")) == (409, "candidate")
    assert "judged against first, but third is live now" in refused.json()["detail"]


@pytest.mark.usefixtures("models")
def test_what_workers_would_refuse_can_not_be_forced(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    write_tiny(tmp_path / "broken", "broken", seed=4, self_test=False)
    register_tiny(settings, engine, tmp_path / "broken")
    judge(settings, engine, "broken", tmp_path, better=False)
    for to in ("live", "shadow"):
        wanted = {"to": to, "force": True, "reason": "please"}
        assert boss.post(f"{MODELS}/broken/promote", json=wanted).status_code == 409
    assert state_of(engine, "broken") == "candidate"


@pytest.mark.usefixtures("models")
def test_a_shadow_is_compared_with_the_live_one(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    judge(settings, engine, "second", tmp_path, better=False)
    assert boss.post(f"{MODELS}/second/promote", json={"to": "shadow"}).status_code == 200
    event = boss.get("/api/v1/audit", params={"action": "promote model"}).json()["items"][0]
    assert event["detail"]["reason"].startswith("failed gates: ")
    assert "improvement" in event["detail"]["reason"]
    rows = [
        ShadowRow(uid_of(number), "first", NOW, {"sentiment": "negative"}, {"sentiment": said}, 0.5)
        for number, said in enumerate(["negative", "negative", "positive"])
    ]
    store_shadow_rows(engine, "second", rows)
    (task,) = boss.get(f"{MODELS}/second/comparison").json()["agreement"]
    assert (task["task"], task["messages"], task["agreeing"]) == ("sentiment", 3, 2)
    assert task["low"] < 2 / 3 < task["high"]


@pytest.mark.usefixtures("models")
def test_the_way_back(boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path) -> None:
    assert boss.post(f"{MODELS}/rollback", json={}).status_code == 409
    judge(settings, engine, "second", tmp_path)
    boss.post(f"{MODELS}/second/promote", json={})
    done = boss.post(f"{MODELS}/rollback", json={"reason": "too many alerts"})
    assert done.json() == {"model": "first", "state": "live", "displaced": "second"}
    event = boss.get("/api/v1/audit", params={"action": "roll back model"}).json()["items"][0]
    assert (event["subject"], event["detail"]["reason"]) == ("first", "too many alerts")


@pytest.mark.usefixtures("models")
def test_admins_alone_change_models(settings: Settings, engine: Engine) -> None:
    app = create_app(settings, engine)
    for role in ("viewer", "analyst"):
        browser = log_in(app, role, role)
        assert browser.post(f"{MODELS}/second/promote", json={}).status_code == 403
        assert browser.post(f"{MODELS}/rollback", json={}).status_code == 403
        assert browser.get(f"{MODELS}/second/comparison").status_code == 200
    assert state_of(engine, "first") == "live"


@pytest.mark.usefixtures("models")
def test_labels_until_the_next_training(boss: TestClient, engine: Engine) -> None:
    for number in range(3):
        add_story(engine, number)
    label(boss, 0, sentiment="neutral", topic="Macro")
    label(boss, 0, sentiment="positive")
    label(boss, 1, sentiment="neutral")
    assert {name: boss.get(f"{MODELS}/training").json()[name] for name in ("new_labels", "awaited")} == {
        "new_labels": 3,
        "awaited": 3,
    }
    boss.post("/api/v1/labels/undo", json={})
    assert boss.get(f"{MODELS}/training").json()["new_labels"] == 2
    run = training.open_run(engine, [{"kind": "labels", "text": "3 new labels"}])
    training.close_run(engine, run, "candidate", None, {})
    found = boss.get(f"{MODELS}/training").json()
    assert (found["new_labels"], found["runs"][0]["outcome"], found["runs"][0]["reasons"]) == (
        0,
        "candidate",
        ["3 new labels"],
    )


def test_the_live_model_explains_a_message(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    add_story(engine, 1)
    found = boss.get(f"/api/v1/explanations/{uid_of(1)}").json()
    expected = explain(Classifier(load_bundle(tmp_path / "first")), found["text"])
    assert found["model"] == "first"
    assert _plain(found["tasks"]) == _plain(
        {
            task: {
                "label": one.label,
                "score": one.score,
                "spans": [{"start": s.start, "end": s.end, "text": s.text, "weight": s.weight} for s in one.spans],
            }
            for task, one in expected.items()
        }
    )
    write_tiny(tmp_path / "second", "second", seed=2)
    register_tiny(settings, engine, tmp_path / "second")
    move_model(engine, "second", "live", actor="test", reason="test")
    assert boss.get(f"/api/v1/explanations/{uid_of(1)}", params={"task": "topic"}).json()["model"] == "second"
    assert boss.get(f"/api/v1/explanations/{uid_of(1)}", params={"task": "mood"}).status_code == 404
    assert boss.get(f"/api/v1/explanations/{uid_of(2)}").status_code == 404


@pytest.mark.usefixtures("models")
def test_models_of_two_languages_side_by_side(
    boss: TestClient, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    """Each is explained by, compared with, counted for and rolled back to models of its own language."""
    for number, name in enumerate(("chinese", "better")):
        write_tiny(tmp_path / name, name, seed=3 + number, languages=["zh"])
        register_tiny(settings, engine, tmp_path / name)
    move_model(engine, "chinese", "live", actor="test", reason="test")
    move_model(engine, "better", "shadow", actor="test", reason="test")
    found = boss.get(MODELS).json()
    assert (found["live"], found["shadow"]) == ({"en": "first", "zh": "chinese"}, {"zh": "better"})
    assert {one["name"]: one["languages"] for one in found["items"]}["better"] == ["zh"]
    for number, language in ((1, "en"), (2, "zh"), (3, "de")):
        add_story(engine, number)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE message SET language = :code WHERE uid = :uid"),
                {"code": language, "uid": uid_of(number)},
            )
    explained = [boss.get(f"/api/v1/explanations/{uid_of(number)}") for number in (1, 2, 3, 2, 1)]
    assert [answer.json().get("model") for answer in explained] == ["first", "chinese", None, "chinese", "first"]
    assert "no live model reads 'de'" in explained[2].json()["detail"]
    comparison = boss.get(f"{MODELS}/better/comparison").json()
    assert comparison["live"] == "chinese"
    refused = boss.post(f"{MODELS}/rollback", json={}).json()["detail"]
    assert "say which language" in refused
    assert boss.post(f"{MODELS}/rollback", json={"language": "\0"}).status_code == 422
    assert boss.post(f"{MODELS}/rollback", json={"language": "fr"}).status_code == 409
    move_model(engine, "better", "live", actor="test", reason="test")
    done = boss.post(f"{MODELS}/rollback", json={"language": "zh"}).json()
    assert done == {"model": "chinese", "state": "live", "displaced": "better"}
    label(boss, 1, sentiment="neutral")
    training = [boss.get(f"{MODELS}/training", params={"language": code}).json() for code in ("en", "zh")]
    assert [(one["language"], one["new_labels"]) for one in training] == [("en", 1), ("zh", 0)]


def test_who_asks_while_the_model_is_asked_is_told_to_wait(boss: TestClient, engine: Engine) -> None:
    add_story(engine, 1)
    live_models = boss.app.state.desk.live_models  # type: ignore[attr-defined]
    live_models._wait_s = 0.05
    with live_models.reading("en"):
        answer = boss.get(f"/api/v1/explanations/{uid_of(1)}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert boss.get(f"/api/v1/explanations/{uid_of(1)}").status_code == 200


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
