"""The schedule's real path by the command: analysts' labels in Postgres become a compressed model that shadows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.settings import Settings, load_settings
from core.shelf import Shelf
from core.store.labels import Label, add_labels
from core.store.models import find_model, list_models
from core.store.training import list_runs
from core.taxonomy import Taxonomy
from newstide.commands.train import train
from newstide.scheduled.promotion import promote_run
from newstide.scheduled.schedule import RunPromotion, Work
from tests.tiny_bundles import write_tiny
from trainer.data.build import build_dataset
from trainer.data.dataset import load_dataset
from trainer.data.examples import Example
from trainer.learn.recipe import Recipe
from trainer.material import from_dataset
from trainer.pipeline import train_bundle
from trainer.runs import Training

ScheduleCheck = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(database_url: str, tmp_path: Path, tiny_taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """In the environment, where the command finds them; a bundle that knows nothing is in service."""
    taxonomy = tmp_path / "taxonomy.toml"
    tasks = tiny_taxonomy.tasks.items()
    taxonomy.write_text("".join(f"[tasks.{task}]\nlabels = {json.dumps(labels)}\n" for task, labels in tasks))
    write_tiny(tmp_path / "live", "live", 1, tiny_taxonomy.tasks)
    for name, value in (
        ("TAXONOMY", taxonomy),
        ("DATABASE__URL", database_url),
        ("EMBEDDED__DIRECTORY", tmp_path / "home"),
        ("STREAM__BUNDLE", tmp_path / "live"),
    ):
        monkeypatch.setenv(f"NEWSTIDE_{name}", str(value))
    return load_settings()


@pytest.fixture
def check(tiny_backbone: Path, tiny_spec: Path) -> ScheduleCheck:
    """One look at the schedule by the command; its answer."""

    def once(*words: Any, backbone: Path | None = tiny_backbone) -> dict[str, Any]:
        arguments = ["--schedule", "--once", "--spec", tiny_spec, "--min-labels", 5]
        arguments += ["--backbone", backbone] if backbone else []
        arguments += ["--epochs", 2, "--rate", 3e-3, "--json", *words]
        done = CliRunner().invoke(train, [str(word) for word in arguments], catch_exceptions=False)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    return once


def test_labels_become_a_compressed_shadow(settings: Settings, engine: Engine, check: ScheduleCheck) -> None:
    words = ("--compress", "accuracy-drop<=100", "--variants", 1, "--students", 2)
    assert check(*words)["outcome"] == "idle"
    texts = [f"acme{number} bank {word} acme{number + 9} a" for number in range(3) for word in ("fraud", "surges")]
    topics = [Label(text, "desk", "topic", "Banks", "ada") for text in texts]
    assert add_labels(engine, topics) == 6

    found = check(*words)
    assert (found["outcome"], [reason["kind"] for reason in found["reasons"]]) == ("shadow", ["labels"]), found["note"]
    assert {row.name: row.state for row in list_models(engine)} == {"live": "live", found["model"]: "shadow"}
    row = find_model(engine, name=found["model"])
    assert row is not None
    bundle = Shelf(settings.shelf_location, settings.bundle_cache).fetch(row.location, row.checksum)
    Classifier(bundle).self_test()
    recipe = json.loads(bundle.manifest.code["recipe"])
    assert (recipe["settings"]["students"], recipe["settings"]["variants"]) == (2, 1)
    assert set(bundle.manifest.evaluation) == {"teacher", "fp32", "int8"}
    home = settings.embedded.directory / "training" / f"run-{found['run']}"
    assert load_bundle(home / "bundle").model == bundle.model
    built = load_dataset(home / "dataset")
    assert sum(built.record.sources["desk"].values()) == built.record.analysts == 6
    assert recipe["teachers"][0]["recipe"]["class_weights"] == built.class_weights

    assert check(*words)["outcome"] == "idle"
    assert [(run.outcome, run.model) for run in list_runs(engine)] == [("shadow", found["model"])]


def test_without_a_budget_nothing_is_compressed(settings: Settings, engine: Engine, check: ScheduleCheck) -> None:
    add_labels(engine, [Label(f"acme{n} oil wins acme{n + 1} b", "desk", "topic", "Energy", "ada") for n in range(5)])
    found = check()
    assert found["outcome"] == "shadow", found["note"]
    home = settings.embedded.directory / "training" / f"run-{found['run']}"
    assert set(load_bundle(home / "bundle").manifest.evaluation) == {"fp32", "int8"}


def test_without_a_backbone_a_run_goes_on_from_the_live_model(
    settings: Settings, engine: Engine, check: ScheduleCheck, tiny_backbone: Path, tiny_dataset: Path
) -> None:
    train_bundle(
        from_dataset(load_dataset(tiny_dataset)),
        Training(Recipe(epochs=1), tiny_backbone, quiet=True),
        settings.stream.bundle,
        name="live",
    )
    add_labels(engine, [Label(f"acme{n} oil wins acme{n + 1} b", "desk", "topic", "Energy", "ada") for n in range(5)])
    found = check(backbone=None)
    assert found["outcome"] == "shadow", found["note"]
    card = settings.embedded.directory / "training" / f"run-{found['run']}" / "bundle" / "MODEL_CARD.md"
    assert "gone on from live" in card.read_text()


def test_a_run_is_judged_on_the_test_set_that_it_was_built_around(
    settings: Settings, engine: Engine, check: ScheduleCheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is another one by the time that a run is due, and once more when it is over."""
    test_set = tmp_path / "frozen.jsonl"
    monkeypatch.setenv("NEWSTIDE_MODELS__TEST_SET", str(test_set))

    def freeze(word: str) -> None:
        lines = [{"text": f"{word} {n} bank", "topic": "Banks", "sentiment": "neutral"} for n in range(4)]
        test_set.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def built(*given: Any, **named: Any) -> Any:
        freeze("second")
        found = build_dataset(*given, **named)
        freeze("third")
        return found

    judged: list[str] = []

    def gated(work: Work, bundle: Path, go_live: bool, examples: list[Example]) -> RunPromotion:
        judged.extend(example.text for example in examples)
        return promote_run(work, bundle, go_live, examples)

    freeze("first")
    monkeypatch.setattr("trainer.data.build.build_dataset", built)
    monkeypatch.setattr("newstide.scheduled.promotion.promote_run", gated)
    add_labels(engine, [Label(f"acme{n} oil wins acme{n + 1} b", "desk", "topic", "Energy", "ada") for n in range(5)])
    check()
    assert judged == [f"second {n} bank" for n in range(4)]


def test_texts_that_leak_into_the_test_set_can_be_left_out(
    settings: Settings,
    engine: Engine,
    check: ScheduleCheck,
    tiny_data: Path,
    tiny_spec: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = tiny_data.read_text().splitlines()
    test_set = tmp_path / "frozen.jsonl"
    test_set.write_text("\n".join(lines[:20]))
    monkeypatch.setenv("NEWSTIDE_MODELS__TEST_SET", str(test_set))
    (tmp_path / "more.jsonl").write_text("\n".join(lines[:5]))
    spec = tmp_path / "spec.toml"
    more = '[[corpus]]\nname = "more"\npath = "./more.jsonl"\nlicence = "MIT"\npart = "train"\n'
    more += 'fields = { text = "text", sentiment = "sentiment?", topic = "topic?" }\n'
    spec.write_text(f'include = ["{tiny_spec}"]\n{more}')
    add_labels(engine, [Label(f"acme{n} oil wins acme{n + 1} b", "desk", "topic", "Energy", "ada") for n in range(5)])
    words = ("--spec", spec, "--base", tiny_data.parent)
    with pytest.raises(InputError, match=r"texts that are for train alone .*--drop-leaks"):
        check(*words)
    monkeypatch.setattr("newstide.scheduled.schedule._last_run_at", lambda runs: None)  # no rest after the failure
    assert check(*words, "--drop-leaks")["outcome"] in ("shadow", "refused")


def test_a_run_that_can_not_go_on_from_the_live_model_trains_anew(
    settings: Settings, engine: Engine, check: ScheduleCheck, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live model's graph is one that newstide did not write."""
    monkeypatch.setattr("trainer.learn.backbone.packaged_backbone", lambda: tiny_backbone)  # MiniLM takes its time
    logged: list[str] = []
    monkeypatch.setattr("newstide.commands.train._log", logged.append)
    add_labels(engine, [Label(f"acme{n} oil wins acme{n + 1} b", "desk", "topic", "Energy", "ada") for n in range(5)])
    found = check(backbone=None)
    assert found["outcome"] == "shadow", found["note"]
    assert any("trains anew from a backbone: " in line and "can't be read back" in line for line in logged)
    card = settings.embedded.directory / "training" / f"run-{found['run']}" / "bundle" / "MODEL_CARD.md"
    assert "gone on from" not in card.read_text()
