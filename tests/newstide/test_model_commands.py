"""`newstide models | promote | rollback` against a real database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError, NewstideError, RegistryError
from core.settings import PROJECT, load_settings
from core.store.connection import open_engine
from core.store.shadows import ShadowRow, store_shadow_rows
from core.store.worker_models import RunningModel, report_worker
from newstide.cli import newstide
from tests.tiny_bundles import write_tiny
from trainer.promote.promotion import PromotionRefused

TEXTS = [f"Acme {number} {word} results" for number in range(60) for word in ("strong", "weak", "plain")]


@pytest.fixture(autouse=True)
def _settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path / "configured", "configured", seed=1)
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    monkeypatch.setenv("NEWSTIDE_STREAM__BUNDLE", str(tmp_path / "configured"))
    monkeypatch.setenv("NEWSTIDE_EMBEDDED__DIRECTORY", str(tmp_path / "home"))
    monkeypatch.setenv("NEWSTIDE_MODELS__GATE_SPEED_RATIO", "0.01")  # tiny models differ by what else the machine does
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def engine() -> Iterator[Engine]:
    opened = open_engine(load_settings())
    yield opened
    opened.dispose()


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "candidate", "candidate", seed=2)
    return tmp_path / "candidate"


def frozen(path: Path, tmp_path: Path) -> str:
    """A test set on which the bundle at `path` is right everywhere."""
    classifier = Classifier(load_bundle(path))
    scores = classifier.predict(TEXTS)
    lines = [
        {"text": text, **{task: classifier.labels(task)[int(table[at].argmax())] for task, table in scores.items()}}
        for at, text in enumerate(TEXTS)
    ]
    file = tmp_path / f"frozen-{path.name}.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return str(file)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(newstide, arguments)


def run(*arguments: str) -> str:
    ended = invoke(*arguments)
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_an_empty_registry_says_what_runs() -> None:
    assert "workers run the bundle of the settings" in run("models")
    assert answer("models") == {
        "live": {}, "shadow": {}, "models": [], "workers": [], "agreement": [], "history": []
    }  # fmt: skip
    with pytest.raises(RegistryError, match="none to go back to"):
        run("rollback")
    with pytest.raises(InputError, match="no model is a shadow"):
        run("rollback", "--shadow")


def test_promote_and_roll_back(candidate: Path, tmp_path: Path) -> None:
    done = answer("promote", str(candidate), "--data", frozen(candidate, tmp_path), "--reason", "better on tweets")
    assert (done["model"], done["state"], done["displaced"]) == ("candidate", "live", "configured")
    assert (done["refused"], done["forced"]) == (False, False)
    assert all(gate["passed"] for gate in done["gates"])
    report = answer("models")
    assert report["live"] == {"en": "candidate"}
    assert {model["name"]: model["state"] for model in report["models"]} == {
        "candidate": "live",
        "configured": "retired",
    }
    assert report["history"][0]["reason"] == "better on tweets"
    assert "@" in report["history"][0]["actor"]
    assert len(answer("models", "--history", "2")["history"]) == 2
    assert "candidate is live already" in run("promote", "candidate")
    shown = run("models")
    assert "better on tweets" in shown
    assert "candidate -> live" in shown

    back = answer("rollback", "--reason", "too many alerts")
    assert back == {"model": "configured", "state": "live", "displaced": "candidate"}
    assert answer("models")["live"] == {"en": "configured"}


def test_rolling_back_to_the_shadow_and_to_one_that_was(candidate: Path, tmp_path: Path) -> None:
    data = frozen(candidate, tmp_path)
    run("promote", str(candidate), "--data", data)
    run("promote", "configured", "--shadow")
    run("rollback", "--shadow")
    assert answer("rollback") == {"model": "configured", "state": "live", "displaced": "candidate"}
    run("promote", "candidate", "--data", data)
    run("promote", "configured", "--shadow")
    assert answer("rollback") == {"model": "configured", "state": "live", "displaced": "candidate"}
    report = answer("models")
    assert (report["live"], report["shadow"]) == ({"en": "configured"}, {})


def test_figures_are_those_of_the_bundle_and_not_of_its_teacher(
    candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_STREAM__BUNDLE", str(PROJECT / "models" / "default"))
    manifest = load_bundle(PROJECT / "models" / "default").manifest
    assert {"fp32", "int8"} <= set(manifest.evaluation)
    assert manifest.evaluation["fp32"] != manifest.evaluation["int8"]
    run("promote", str(candidate), "--data", frozen(candidate, tmp_path), "--force", "--reason", "to register both")
    figures = {model["name"]: model["figures"] for model in answer("models")["models"]}[manifest.name]
    assert {task: figures[task]["accuracy"] for task in figures} == {
        score.task: score.accuracy for score in manifest.evaluation["int8"]
    }


def test_a_refusal_shows_every_verdict(candidate: Path, tmp_path: Path) -> None:
    data = frozen(tmp_path / "configured", tmp_path)
    ended = invoke("promote", str(candidate), "--data", data)
    assert isinstance(ended.exception, PromotionRefused)
    for line in ("failed improvement: significantly worse", "failed classes", "passed size", "passed self-test"):
        assert line in ended.stdout
    ended = invoke("promote", "candidate", "--data", data, "--json")
    assert isinstance(ended.exception, PromotionRefused)
    found = json.loads(ended.stdout)
    assert (found["model"], found["refused"], found["as"]) == ("candidate", True, "live")
    assert [gate["name"] for gate in found["gates"] if not gate["passed"]] == ["improvement", "classes"]
    assert "stays candidate" in run("models")
    with pytest.raises(InputError, match="--force needs --reason"):
        run("promote", "candidate", "--data", data, "--force")
    assert "gates were overruled" in run("promote", "candidate", "--data", data, "--force", "--reason", "it must be")
    assert "(forced)" in run("models")


def test_the_test_set_of_the_settings(candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PromotionRefused, match="no test set"):
        run("promote", str(candidate))
    monkeypatch.setenv("NEWSTIDE_MODELS__TEST_SET", frozen(candidate, tmp_path))
    assert answer("promote", str(candidate))["state"] == "live"
    monkeypatch.setenv("NEWSTIDE_MODELS__TEST_SET", str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(InputError, match=r"nowhere\.jsonl can't be read"):
        run("promote", str(candidate))


def test_a_shadow_with_its_agreement_and_what_workers_say(candidate: Path, engine: Engine) -> None:
    assert answer("promote", str(candidate), "--shadow")["state"] == "shadow"
    assert "no sampled message yet" in run("models")
    rows = [
        ShadowRow(uuid4(), "configured", datetime.now(UTC), {"topic": "Macro"}, {"topic": label}, 0.5)
        for label in ["Macro"] * 9 + ["Markets"]
    ]
    assert store_shadow_rows(engine, "candidate", rows) == 10
    assert store_shadow_rows(engine, "candidate", rows) == 0
    report_worker(engine, "host/0", [RunningModel("en", "configured", "candidate")])
    refused = RunningModel("en", "configured", None, "candidate", "it [fails] its self-test")
    report_worker(engine, "host/1", [refused])
    report = answer("models")
    (task,) = report["agreement"]
    assert (task["task"], task["messages"], task["agreeing"], task["share"]) == ("topic", 10, 9, 0.9)
    assert (task["low"], task["high"]) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert [worker["refused"] for worker in report["workers"]] == [None, "candidate"]
    shown = run("models")
    assert re.search(r"candidate +configured +topic +0\.900", shown)
    assert "it [fails] its self-test" in shown
    assert answer("rollback", "--shadow") == {"model": "candidate", "state": "candidate", "displaced": None}


def test_names(candidate: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path / "namesake", "configured", seed=3)
    with pytest.raises(NewstideError, match="pass --name NEW-NAME"):
        run("promote", str(tmp_path / "namesake"), "--shadow")
    assert (
        answer("promote", str(tmp_path / "namesake"), "--shadow", "--name", "configured-2")["model"] == "configured-2"
    )


def test_no_command_needs_what_trains() -> None:
    """They run where only the worker is installed."""
    script = (
        "import newstide.commands.models, sys; "
        "print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_directory_that_is_no_bundle_does_not_hide_a_name(
    candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("promote", str(candidate), "--shadow")
    run("rollback", "--shadow")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "candidate").mkdir(parents=True)
    (elsewhere / "empty").mkdir()
    monkeypatch.chdir(elsewhere)
    assert answer("promote", "candidate", "--shadow")["state"] == "shadow"
    with pytest.raises(NewstideError, match=r"manifest\.json is missing"):
        run("promote", "empty", "--shadow")


def test_a_second_language(candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese model goes live beside the English one, is judged by Chinese texts, and is rolled back alone."""
    write_tiny(tmp_path / "chinese", "chinese", seed=4, languages=["zh"])
    write_tiny(tmp_path / "better", "better", seed=5, languages=["zh"])
    first = answer("promote", str(tmp_path / "chinese"))
    assert (first["state"], first["displaced"]) == ("live", None)
    assert [gate["summary"] for gate in first["gates"] if gate["name"] == "improvement"] == [
        "no model that reads zh is live, so there is none to be better than"
    ]
    english = frozen(candidate, tmp_path)
    with pytest.raises(PromotionRefused, match="no text of the test set is in zh"):
        run("promote", str(tmp_path / "better"), "--data", english)
    assert answer("promote", str(candidate), "--data", english)["displaced"] == "configured"
    chinese = Path(frozen(tmp_path / "better", tmp_path))
    lines = [json.loads(line) for line in chinese.read_text().splitlines()]
    better = Classifier(load_bundle(tmp_path / "better"))
    for number, line in enumerate(lines):
        line["text"] = "某公司股价" + ("大跌" if number % 2 else "上涨") + f" {line['text'][:9]}"
        scores = better.predict([line["text"]])
        line |= {task: better.labels(task)[int(table[0].argmax())] for task, table in scores.items()}
    chinese.write_text("\n".join(map(json.dumps, lines)) + "\n" + Path(english).read_text())
    done = answer("promote", "better", "--data", str(chinese))
    assert (done["displaced"], done["forced"]) == ("chinese", False)
    assert answer("models")["live"] == {"en": "candidate", "zh": "better"}
    with pytest.raises(RegistryError, match=r"candidate \(en\), better \(zh\); say which language"):
        run("rollback")

    texts = tmp_path / "in.jsonl"
    pairs = enumerate(
        [
            "Acme Bank shares plunge after fraud probe",
            "监管部门处罚某银行，股价下跌",
            "Akcje banku mocno spadły po raporcie",
        ]
    )
    texts.write_text("\n".join(json.dumps({"id": at, "text": text}) for at, text in pairs))

    def models(*options: str) -> list[str | None]:
        run("classify", str(texts), str(tmp_path / "out.jsonl"), *options)
        return [json.loads(line)["model"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert models("--live") == ["candidate", "better", None]
    assert models() == ["configured", None, None]
    both = ["--bundle", str(tmp_path / "chinese"), "--bundle", str(candidate)]
    assert models(*both) == ["candidate", "chinese", None]
    with pytest.raises(InputError, match="are both for zh"):
        models(*both, "--bundle", str(tmp_path / "better"))
    monkeypatch.setenv("NEWSTIDE_STREAM__BUNDLE", str(tmp_path))  # holds several: of one language the first by name
    assert models() == ["candidate", "better", None]
    assert answer("rollback", "--language", "zh") == {"model": "chinese", "state": "live", "displaced": "better"}
    assert answer("models")["live"] == {"en": "candidate", "zh": "chinese"}
