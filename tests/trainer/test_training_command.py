"""`newstide train` with its ways to learn, on a tiny network: what is written, what is shown, what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError
from newstide.commands.train import train
from trainer.data.dataset import load_dataset
from trainer.learn import search
from trainer.learn.network import load_network

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tiny_backbone: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the tiny texts; errors newstide can explain are raised."""
    taxonomy = tmp_path / "taxonomy.toml"
    taxonomy.write_text(
        '[tasks.sentiment]\nlabels = ["negative", "neutral", "positive"]\n[tasks.topic]\nlabels = ["Banks", "Energy"]\n'
    )
    monkeypatch.setenv("NEWSTIDE_TAXONOMY", str(taxonomy))

    def invoke(*words: Any, data: Path | None = tiny_data) -> Result:
        texts = () if data is None else ("--data", data)
        arguments = [*texts, "--backbone", tiny_backbone, "--epochs", 1, "--rate", 3e-3, *words]
        return CliRunner().invoke(train, [str(word) for word in arguments], catch_exceptions=False)

    return invoke


@pytest.fixture
def unlabelled(tmp_path: Path, tiny_data: Path) -> Path:
    path = tmp_path / "unlabelled.jsonl"
    texts = [json.loads(line)["text"] for line in tiny_data.read_text().splitlines()]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_adapting_and_searching_come_first_and_are_kept(tmp_path: Path, run: Run, unlabelled: Path) -> None:
    weights, out = tmp_path / "weights", tmp_path / "bundle"
    words = ("--adapt", unlabelled, "--adapt-epochs", 1, "--search", 2, "--weights", weights, "--out", out)
    done = run(*words, "--class-weights", "balanced", "--json")
    assert json.loads(done.stdout)["name"] == "newstide-minilm"
    assert "reading, epoch 1: loss per hidden word" in done.stderr
    assert re.search(r"recipe 1: finished, validation macro-F1 \d", done.stderr)
    assert "recipe 2: " in done.stderr
    adapted = [path for path in weights.iterdir() if path.is_dir()]
    assert [path.name.rsplit("-", 1)[0] for path in adapted] == ["tiny-bert-adapted"]
    assert {path.name for path in adapted[0].iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert len(list(weights.glob("*.safetensors"))) == 1
    assert (weights / "search.sqlite3").is_file()
    assert not list(weights.glob("*.checkpoint"))
    manifest = load_bundle(out).manifest
    assert manifest.backbone == adapted[0].name
    for word in ("--adapt unlabelled.jsonl", "--search 2", "--class-weights balanced", "--epochs 1"):
        assert word in manifest.code["command"]
    assert json.loads(manifest.code["recipe"])["class_weights"] == "balanced"
    assert str(tmp_path) not in (out / "MODEL_CARD.md").read_text()

    again = run(*words, "--class-weights", "balanced", "--json")
    assert "reading, epoch" not in again.stderr
    assert "recipe 1: " not in again.stderr
    assert load_bundle(out).manifest.self_test == manifest.self_test


def test_adapters_and_frozen_words(tmp_path: Path, run: Run) -> None:
    """And what the model is for: as its texts are, or as it is said."""
    for words in (("--lora", 4, "--lora-rate", 0.01, "--language", "zh"), ("--freeze-words",)):
        out = tmp_path / words[0].strip("-")
        run(*words, "--out", out, "--json")
        bundle = load_bundle(out)
        Classifier(bundle).self_test()
        assert words[0] in bundle.manifest.code["command"]
        assert bundle.languages[0] == ("zh" if "--language" in words else "en")
        assert ("--language zh" in bundle.manifest.code["command"]) == ("--language" in words)
    with pytest.raises(InputError, match="is no ISO 639-1 code"):
        run("--language", "Chinese", "--out", tmp_path / "other")


def test_few_texts_are_noticed_and_learnt_by_contrast(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(tiny_data.read_text().splitlines()[:120]))
    done = run("--out", tmp_path / "plain", "--json", data=few)
    noticed = next(line for line in done.stderr.splitlines() if "--few-shot" in line)
    assert re.search(r"fewer than 50 texts to learn from: .*\(sentiment\) \d+", noticed)
    done = run("--few-shot", "--out", tmp_path / "few", "--json", data=few)
    assert "fewer than 50" not in done.stderr
    manifest = load_bundle(tmp_path / "few").manifest
    assert json.loads(manifest.code["recipe"])["few_shot"] is True
    assert "--few-shot" in manifest.code["command"]


def test_seeds_give_a_mean_and_a_spread(tmp_path: Path, run: Run) -> None:
    weights = tmp_path / "weights"
    done = run("--seeds", 2, "--weights", weights, "--json")
    tasks = {task["task"]: task for task in json.loads(done.stdout)["tasks"]}
    assert set(tasks) == {"sentiment", "topic"}
    for task in tasks.values():
        assert task["runs"] == 2
        for name in ("accuracy", "macro_f1", "ece"):
            figure = task[name]
            assert figure["low"] <= figure["mean"] <= figure["high"]
    assert len(list(weights.glob("*.safetensors"))) == 2
    shown = run("--seeds", 2, "--weights", weights)
    assert "±" in shown.stdout
    assert f"{tasks['topic']['accuracy']['mean']:.4f}" in shown.stdout


def test_an_unseen_source_is_judged_on_alone(tmp_path: Path, run: Run, tiny_data: Path) -> None:
    lines = tiny_data.read_text().splitlines()
    desk, wire = tmp_path / "desk.jsonl", tmp_path / "wire.jsonl"
    desk.write_text("\n".join(lines[:300]))
    wire.write_text("\n".join(line for line in lines[300:] if '"sentiment"' in line))
    done = run("--data", wire, "--unseen", "wire", "--json", data=desk)
    found = json.loads(done.stdout)["unseen"]
    assert {one["source"] for one in found} == {"wire"}
    assert found[0]["task"] == "sentiment"
    labelled = sum('"sentiment"' in line for line in wire.read_text().splitlines())
    assert found[0]["support"] == pytest.approx(labelled, abs=3)  # copies are merged
    with pytest.raises(InputError, match=r"no source 'radio'.*desk, wire"):
        run("--data", wire, "--unseen", "radio", data=desk)


def test_class_weights_come_from_a_file_too(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "weights.json"
    file.write_text('{"topic": {"Banks": 2, "Energy": 0.5}}')
    run("--class-weights", file, "--out", tmp_path / "bundle", "--json")
    code = load_bundle(tmp_path / "bundle").manifest.code
    assert json.loads(code["recipe"])["class_weights"] == {"topic": {"Banks": 2.0, "Energy": 0.5}}
    assert "--class-weights weights.json" in code["command"]
    for content, reason in (("{", "as JSON"), ("[]", "expected"), ('{"topic": {"Banks": true}}', "expected")):
        file.write_text(content)
        with pytest.raises(InputError, match=reason):
            run("--class-weights", file, "--out", tmp_path / "other")
    file.write_text('{"topic": {"Bonds": 1}}')
    with pytest.raises(InputError, match="'Bonds'"):
        run("--class-weights", file, "--out", tmp_path / "other")
    with pytest.raises(InputError, match="none, balanced, sqrt, or a JSON file"):
        run("--class-weights", "much", "--out", tmp_path / "other")


@pytest.mark.parametrize("given", [None, "none", "sqrt"])
def test_trials_training_and_record_have_the_same_class_weights(
    tmp_path: Path, run: Run, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """Those of the dataset, unless the command names some."""
    tried = []

    def spied(*arguments: Any, **named: Any) -> search.SearchResult:
        tried.append(arguments[4].class_weights)
        return found(*arguments, **named)

    found = search.search
    monkeypatch.setattr(search, "search", spied)
    words = () if given is None else ("--class-weights", given)
    weights, out = tmp_path / "weights", tmp_path / "bundle"
    run("--dataset", tiny_dataset, "--search", 1, "--weights", weights, "--out", out, "--json", *words, data=None)
    manifest = load_bundle(out).manifest
    (kept,) = (load_network(path).recipe.class_weights for path in weights.glob("*.safetensors"))
    expected = given or load_dataset(tiny_dataset).class_weights
    assert tried == [expected]
    assert kept == expected
    assert json.loads(manifest.code["recipe"])["class_weights"] == expected
    assert given is not None or {weight for task in expected.values() for weight in task.values()} != {1.0}
    assert "--dataset built" in manifest.code["command"]
    assert ("--class-weights" in manifest.code["command"]) == (given is not None)
    assert [(source.name, source.licence) for source in manifest.data] == [("wire", "MIT")]


def test_one_call_trains_and_compresses(tmp_path: Path, run: Run, unlabelled: Path) -> None:
    weights, out = tmp_path / "weights", tmp_path / "bundle"
    words = ("--compress", "accuracy-drop<=100", "--unlabelled", unlabelled, "--variants", 1, "--students", 2)
    done = run(*words, "--seed", 3, "--weights", weights, "--out", out, "--json")
    assert json.loads(done.stdout)["bundle"] == str(out)
    bundle = load_bundle(out)
    Classifier(bundle).self_test()
    assert set(bundle.manifest.evaluation) == {"teacher", "fp32", "int8"}
    settings = json.loads(bundle.manifest.code["recipe"])["settings"]
    assert (settings["students"], settings["variants"], settings["teaching"]["seed"]) == (2, 1, 3)
    assert "--unlabelled unlabelled.jsonl --variants 1 --students 2" in bundle.manifest.code["command"]
    assert len(list(weights.glob("*.safetensors"))) == 1
    assert len(list((weights / "students").glob("student-*.safetensors"))) >= 2
    assert "2 students in eight bits" in (tmp_path / "bundle-report" / "report.md").read_text()


def test_what_does_not_go_together_is_refused(tmp_path: Path, run: Run, unlabelled: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(InputError, match="--weights DIR"):
        run("--adapt", unlabelled, "--out", out)
    with pytest.raises(InputError, match="leave out adapters"):
        run("--few-shot", "--lora", 4, "--out", out)
    with pytest.raises(InputError, match="leave out --out"):
        run("--seeds", 2, "--out", out)
    with pytest.raises(InputError, match="--out DIR"):
        run()
    unlabelled.write_text('{"body": "no text"}\n')
    with pytest.raises(InputError, match='record 1 has no "text"'):
        run("--adapt", unlabelled, "--weights", tmp_path / "weights", "--out", out)
    assert not out.exists()


def test_every_number_of_a_recipe_can_be_given(tmp_path: Path, run: Run) -> None:
    given = {
        "patience": 3, "batch-size": 24, "max-length": 32, "head-rate": 0.002, "warmup": 0.1, "weight-decay": 0.02,
        "dropout": 0.2, "masked-words": 0.1, "smoothing": 0.1, "clip-norm": 0.5, "seed": 7,
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    run(*words, "--out", tmp_path / "bundle", "--json")
    code = load_bundle(tmp_path / "bundle").manifest.code
    recipe = json.loads(code["recipe"])
    for name, value in given.items():
        field = {"smoothing": "label_smoothing"}.get(name, name.replace("-", "_"))
        assert recipe[field] == value
        assert f"--{name} {value}" in code["command"]
