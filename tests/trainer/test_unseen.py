"""Unseen sources as the yardstick, by the commands and on a tiny network: the table, what is kept, what is chosen."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import unseen as benchmark
from core.bundle import load_bundle
from core.errors import InputError
from core.taxonomy import Taxonomy
from newstide.commands import train as train_module
from newstide.commands.classify import evaluate
from newstide.commands.model_report import show_models
from newstide.commands.train import train
from trainer.data.build import build_dataset
from trainer.data.dataset import load_dataset
from trainer.data.entities import EntityLabel
from trainer.data.examples import Example
from trainer.data.spec import load_spec
from trainer.data.splits import Split
from trainer.material import Material, from_dataset
from trainer.unseen import hold_out, leave_out, source_groups

SOURCES = ("desk", "press", "wire")


@pytest.fixture(scope="module")
def spec(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny texts as three sources; `press` tells no sentiment, `wire` is not in English."""
    home = tmp_path_factory.mktemp("sources")
    lines = [json.loads(line) for line in tiny_data.read_text().splitlines()]
    described = []
    for place, name in enumerate(SOURCES):
        own = lines[place * 133 : (place + 1) * 133]
        if name == "press":
            own = [{key: value for key, value in line.items() if key != "sentiment"} for line in own if "topic" in line]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in own))
        fields = 'text = "text", topic = "topic?"' + ("" if name == "press" else ', sentiment = "sentiment?"')
        fields += ', language = "@zh"' if name == "wire" else ""
        agreement = "" if name == "press" else "agreement = { sentiment = 0.9 }\n"
        agreement += 'sample = "stream"\n' if name != "wire" else ""
        described.append(
            f'[[corpus]]\nname = "{name}"\npath = "./{name}.jsonl"\nlicence = "MIT"\n'
            f"fields = {{ {fields} }}\n{agreement}"
        )
    (home / "spec.toml").write_text("\n".join(described))
    return home / "spec.toml"


@pytest.fixture(scope="module")
def dataset(spec: Path, tiny_taxonomy: Taxonomy) -> Path:
    build_dataset(load_spec(spec, tiny_taxonomy), spec.parent, spec.parent / "built", tiny_taxonomy)
    return spec.parent / "built"


@pytest.fixture
def run(dataset: Path, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    taxonomy = tmp_path / "taxonomy.toml"
    taxonomy.write_text(
        '[tasks.sentiment]\nlabels = ["negative", "neutral", "positive"]\n[tasks.topic]\nlabels = ["Banks", "Energy"]\n'
    )
    monkeypatch.setenv("NEWSTIDE_TAXONOMY", str(taxonomy))

    def invoke(*words: Any) -> Any:
        arguments = ["--dataset", dataset, "--backbone", tiny_backbone, "--epochs", 2, "--rate", 3e-3, *words]
        return CliRunner().invoke(train, [str(word) for word in arguments], catch_exceptions=False)

    return invoke


@pytest.fixture(scope="module")
def material(dataset: Path) -> Material:
    return from_dataset(load_dataset(dataset))


def test_every_source_in_one_table_that_goes_on_and_stands_in_the_manifest(
    run: Any, tmp_path: Path, spec: Path
) -> None:
    weights, out = tmp_path / "weights", tmp_path / "bundle"
    first = run("--unseen", "desk,wire", "--weights", weights, "--json")
    assert json.loads(first.stdout)["in_domain"] == []
    done = run("--weights", weights, "--json", "--unseen")
    found = json.loads(done.stdout)
    # Those of before are taken from there: what is left is one source, and the training on all.
    assert [line for line in done.stderr.splitlines() if line.startswith("without")] == [
        "without nothing, from seed 0",
        "without press, from seed 0",
    ]
    assert not [path for path in (weights / "unseen").iterdir() if path.suffix != ".json"]
    rows = {(one["source"], one["task"]): one for one in found["unseen"]}
    assert rows.keys() == {(name, "topic") for name in SOURCES} | {("desk", "sentiment"), ("wire", "sentiment")}
    assert rows["desk", "sentiment"] == json.loads(first.stdout)["unseen"][0]
    assert 0 <= rows["desk", "sentiment"]["negative_recall"] <= 1
    assert rows["desk", "topic"]["negative_recall"] is None
    means = {mean["task"]: mean for mean in found["means"]}
    assert (means["sentiment"]["sources"], means["topic"]["sources"]) == (1, 2)  # not the Chinese one
    assert means["topic"]["accuracy"] == pytest.approx(
        (rows["desk", "topic"]["accuracy"] + rows["press", "topic"]["accuracy"]) / 2
    )
    tested = {(one["source"], one["task"]): one["support"] for one in found["in_domain"]}
    assert tested.keys() == rows.keys()
    assert all(tested[key] < rows[key]["support"] for key in rows)
    shown = run("--weights", weights, "--unseen").stdout
    assert f"{means['topic']['accuracy']:.4f}" in shown

    # The bundle of the same recipe carries them, and its card and `newstide models` tell.
    run("--weights", weights, "--out", out)
    manifest = load_bundle(out).manifest
    assert manifest.unseen is not None
    assert manifest.unseen.of == "recipe"
    assert len(manifest.unseen.scores) == 5
    card = (out / "MODEL_CARD.md").read_text()
    assert "**mean of 2** | |" in card
    assert f"{means['topic']['accuracy']:.4f}" in card

    # What it makes of samples of streams is kept apart, of those with sentiments: counts are corrected by it.
    (streams,) = manifest.streams
    assert streams.source == "desk"
    assert sum(sum(row.values()) for row in streams.confusion.values()) == tested["desk", "sentiment"]
    assert f"| desk | negative | {streams.confusion['negative'].get('negative', 0)} |" in card
    row = {"name": "m", "languages": ["en"], "state": "live", "changed_at": "2026-01-01T00:00", "size_bytes": 1}
    row |= {"figures": {}}
    console = Console(width=200)
    with console.capture() as capture:
        show_models(console, {"models": [row | {"unseen": found["means"]}], "workers": [], "agreement": [],
                              "shadow": {}, "history": []})  # fmt: skip
    assert f"{means['topic']['accuracy']:.3f} / - (2 sources)" in capture.get()

    # Thresholds are chosen on validation, and judged on whatever is asked.
    uses = manifest.tasks["sentiment"].uses
    assert uses["alerts"].label == "negative"
    assert uses["alerts"].precision >= 0.8
    assert uses["dashboards"].accuracy >= uses["alerts"].accuracy
    assert manifest.tasks["topic"].uses == {}
    assert f"| sentiment | alerts | negative | {uses['alerts'].threshold:.4f} |" in card
    judged = CliRunner().invoke(evaluate, ["--bundle", str(out), "--data", str(spec.parent / "built" / "test.jsonl")])
    assert f"for alerts, 'negative' from a score of {uses['alerts'].threshold:.3f} on" in judged.stdout


def test_sources_to_choose_by_are_in_no_part_and_judge_the_bundle(run: Any, tmp_path: Path, spec: Path) -> None:
    out = tmp_path / "bundle"
    words = ("--source-bias", "drop", "--source-balance", 0.5, "--source-smoothing", "agreement", "--leave-out", "desk")
    (tmp_path / "kinds.json").write_text('{"kind": {"wire": "news", "press": "comment"}}')
    run(*words, "--fusion", tmp_path / "kinds.json", "--out", out, "--json")
    manifest = load_bundle(out).manifest
    assert {source.name for source in manifest.data} == {"press", "wire"}
    assert manifest.unseen is not None
    assert manifest.unseen.of == "model"
    assert {one.source for one in manifest.unseen.scores} == {"desk"}
    card = (out / "MODEL_CARD.md").read_text()
    assert "chosen on the sources that were left out" in card
    assert manifest.streams == []
    assert "None: no source of this model was said to be one" in card
    recipe = json.loads(manifest.code["recipe"])
    assert recipe["source_smoothing"]["wire"] == {"sentiment": pytest.approx(0.15)}
    assert recipe["fusion"] == {"kind": {"wire": "news", "press": "comment"}}
    for word in ("--leave-out desk", "--source-bias drop", "--source-balance 0.5", "--source-smoothing agreement"):
        assert word in manifest.code["command"]
    # Any bundle on any corpora: the same columns, for what it did not learn from.
    arguments = ["--bundle", str(out), "--corpora", str(spec)]
    found = json.loads(CliRunner().invoke(evaluate, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert [(one["source"], one["task"], one["support"], one["accuracy"]) for one in found["unseen"]] == [
        (one.source, one.task, one.support, pytest.approx(one.accuracy)) for one in manifest.unseen.scores
    ]
    assert found["learnt_from"] == ["press", "wire"]
    assert "mean of 1" in CliRunner().invoke(evaluate, arguments, catch_exceptions=False).stdout
    with pytest.raises(InputError, match="give one of them"):
        CliRunner().invoke(evaluate, ["--bundle", str(out)], catch_exceptions=False)


def test_holding_out_and_leaving_out(material: Material) -> None:
    held, left = hold_out(material, ["desk"]), leave_out(material, ["desk"])
    assert held.split.train == left.split.train
    assert held.split.test == left.unseen == left.choice
    assert {e.source for e in held.split.test} == {"desk"}
    assert {e.source for part in _parts(left.split) for e in part} == {"press", "wire"}
    assert held.labels == material.labels
    # Without both sources that tell it, sentiment is taught no more.
    alone = hold_out(material, ["desk", "wire"])
    assert list(alone.labels) == ["topic"]
    assert source_groups("all", material) == [(name,) for name in SOURCES]
    assert source_groups("desk+wire, press", material) == [("desk", "wire"), ("press",)]
    for asked in ("desk,desk", "desk,", "+"):
        with pytest.raises(InputError, match="expected names of sources"):
            source_groups(asked, material)


def test_a_source_that_labels_companies_alone_is_no_yardstick(
    run: Any, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = Example("acme1 bank wins", {}, "names", entities=(EntityLabel(((0, 5),), "positive"),))
    told = msgspec.structs.replace(
        material, split=Split(*([*part, named] for part in _parts(material.split))), streams=()
    )
    assert source_groups("all", told) == [(name,) for name in SOURCES]
    with pytest.raises(InputError, match="source 'names' labels companies alone"):
        hold_out(told, ["names"])
    # Of one label alone nothing is learnt, so that no other source's texts of that task can be judged.
    plain = [e for part in _parts(material.split) for e in part if e.labels.get("sentiment") in (None, "neutral")]
    few = msgspec.structs.replace(material, split=Split(plain, plain, plain), labels={"sentiment": ("neutral",)})
    assert source_groups("all", few) == []

    monkeypatch.setattr(train_module, "load_material", lambda *given: told)
    with pytest.raises(InputError, match="source 'names' labels companies alone"):
        run("--unseen", "desk,names", "--weights", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()  # said before the first training


def _parts(split: Split) -> tuple[Any, ...]:
    return split.train, split.validation, split.test


def test_the_benchmark_of_recipes_goes_on(dataset: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    options = argparse.Namespace(
        dataset=dataset, weights=tmp_path / "weights", variants=["public", "bias dropped"], always=["press"], folds=2,
        seeds=1, epochs=1, backbone=str(tiny_backbone), adapt=[], adapt_most=1, threads=1,
    )  # fmt: skip
    found = benchmark.measure(options)
    assert {one.source for one in found["bias dropped"].left_out} == {"desk", "wire"}
    assert {one.task for one in found["public"].left_out} == {"topic"}  # nothing else is taught without both
    assert found["bias dropped"].in_domain
    assert len(list((tmp_path / "weights" / "unseen").glob("*.json"))) == 4
    assert benchmark.folds(list("abcde"), 2) == [("a", "c", "e"), ("b", "d")]
    assert benchmark.folds(list("ab"), 0) == [("a",), ("b",)]
    assert benchmark.measure(options) == found
