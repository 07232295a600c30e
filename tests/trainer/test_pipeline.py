"""From labelled lines to a bundle that serves, on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from core.bundle import load_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.taxonomy import Taxonomy
from newstide.commands.classify import classify, evaluate
from newstide.commands.train import train as train_command
from trainer.data.examples import Example
from trainer.learn.averaging import blend
from trainer.learn.batches import encode
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer
from trainer.material import prepare
from trainer.pipeline import gather, train_bundle
from trainer.runs import Training, train

RECIPE = Recipe(epochs=10, batch_size=16, encoder_rate=3e-3, head_rate=1e-2, masked_words=0.0, patience=10)


@pytest.fixture(scope="module")
def bundle_path(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy
) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    lines: list[str] = []
    train_bundle(
        prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy),
        Training(RECIPE, tiny_backbone, quiet=True, log=lines.append),
        out,
        name="tiny",
        command="newstide train",
    )
    assert sum(line.startswith("epoch") for line in lines) >= 1
    return out


def test_a_trained_bundle_knows_what_it_was_taught(bundle_path: Path) -> None:
    bundle = load_bundle(bundle_path)
    classifier = Classifier(bundle)
    scores = classifier.predict(["acme1 bank fraud acme2 a", "acme3 oil profit acme4 b", "acme5 bank opens acme6 c"])
    assert [classifier.labels("sentiment")[i] for i in scores["sentiment"].argmax(1)] == [
        "negative",
        "positive",
        "neutral",
    ]
    assert [classifier.labels("topic")[i] for i in scores["topic"].argmax(1)] == ["Banks", "Energy", "Banks"]
    for variant in ("fp32", "int8"):
        for score in bundle.manifest.evaluation[variant]:
            assert score.accuracy > 0.9
    assert {source.name for source in bundle.manifest.data} == {"labelled"}


def test_its_card_states_data_figures_and_limits(bundle_path: Path) -> None:
    card = (bundle_path / "MODEL_CARD.md").read_text()
    for needed in ("Apache-2.0", "given by the user", "## Limits", "## Bias", "newstide train", "| Energy |"):
        assert needed in card
    assert "/" + "tmp" not in card


def test_scores_do_not_depend_on_the_batch(bundle_path: Path, tiny_data: Path) -> None:
    texts = [json.loads(line)["text"] for line in tiny_data.read_text().splitlines()][:120]
    texts += [text + " the . a" for text in texts]
    classifier = Classifier(load_bundle(bundle_path), cache_texts=0)
    together = classifier.predict(texts)
    backwards = classifier.predict(texts[::-1])
    alone = [classifier.predict([text]) for text in texts]
    for task in classifier.tasks:
        assert np.array_equal(together[task], backwards[task][::-1])
        assert np.array_equal(together[task], np.concatenate([scores[task] for scores in alone]))


def test_training_twice_gives_the_same_weights(tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy) -> None:
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    recipe = Recipe(epochs=1, encoder_rate=1e-3)
    training = Training(recipe, tiny_backbone, quiet=True)
    first, second = (train(material, training).blended().network for _ in range(2))
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_kept_weights_are_taken_up_again(
    tmp_path: Path, tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy
) -> None:
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    recipe = Recipe(epochs=1, runs=2)
    lines: list[str] = []
    training = Training(recipe, tiny_backbone, tmp_path, quiet=True, log=lines.append)

    def epochs() -> list[str]:
        return [line.partition(":")[0] for line in lines if line.startswith("epoch")]

    first = train(material, training)
    assert epochs() == ["epoch 1", "epoch 1"]
    assert len(list(tmp_path.iterdir())) == 2
    again = train(material, training)
    assert epochs() == ["epoch 1", "epoch 1"]
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            first.blended().network.state_dict().values(), again.blended().network.state_dict().values(), strict=True
        )
    )


def test_a_useless_run_stays_out_of_the_average(tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy) -> None:
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    trained = train(material, Training(msgspec.structs.replace(RECIPE, epochs=2), tiny_backbone, quiet=True))
    network = trained.blended().network
    good = {name: value.clone() for name, value in network.state_dict().items()}
    noise = {name: torch.randn_like(value) if value.is_floating_point() else value for name, value in good.items()}
    validation = encode(material.split.validation, load_tokenizer(tiny_backbone), material.labels, 40)
    assert blend(network, [noise, good], validation) == [1]
    assert all(torch.equal(value, good[name]) for name, value in network.state_dict().items())


def test_too_little_data_is_refused(tiny_taxonomy: Taxonomy) -> None:
    with pytest.raises(InputError, match="no labelled text"):
        prepare([], tiny_taxonomy)
    with pytest.raises(InputError, match="same label for 'topic'"):
        prepare([Example(f"text {n}", {"topic": "Banks"}, "x") for n in range(50)], tiny_taxonomy)
    with pytest.raises(InputError, match="add labelled texts"):
        prepare([Example("one", {"topic": "Banks"}, "x"), Example("two", {"topic": "Energy"}, "x")], tiny_taxonomy)


def test_a_foreign_backbone_is_refused(tmp_path: Path, tiny_data: Path, tiny_taxonomy: Taxonomy) -> None:
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        train(material, Training(RECIPE, tmp_path, quiet=True))


def test_commands_train_classify_and_evaluate(
    tmp_path: Path, tiny_backbone: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taxonomy = tmp_path / "taxonomy.toml"
    taxonomy.write_text(
        '[tasks.sentiment]\nlabels = ["negative", "neutral", "positive"]\n[tasks.topic]\nlabels = ["Banks", "Energy"]\n'
    )
    monkeypatch.setenv("NEWSTIDE_TAXONOMY", str(taxonomy))
    out = tmp_path / "bundle"
    runner = CliRunner()
    arguments = [
        "--data",
        tiny_data,
        "--out",
        out,
        "--backbone",
        tiny_backbone,
        "--epochs",
        1,
        "--rate",
        3e-3,
        "--json",
    ]
    done = runner.invoke(train_command, [str(a) for a in arguments], catch_exceptions=False)
    assert json.loads(done.stdout.splitlines()[-1])["name"] == "newstide-minilm"
    assert str(tmp_path) not in (out / "MODEL_CARD.md").read_text()

    texts = tmp_path / "in.jsonl"
    texts.write_text(
        '{"id": "b", "text": "acme1 bank fraud"}\n{"id": 7, "text": ""}\n{"id": "a", "text": "oil", "more": 1}\n'
    )
    runner.invoke(classify, [str(texts), str(tmp_path / "out.jsonl"), "--bundle", str(out)], catch_exceptions=False)
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["id"] for answer in answers] == ["b", 7, "a"]
    for answer in answers:
        assert set(answer) == {"id", "sentiment", "topic", "model"}
        for task in ("sentiment", "topic"):
            scores = answer[task]["scores"]
            assert max(scores, key=scores.get) == answer[task]["label"]
            assert sum(scores.values()) == pytest.approx(1, abs=1e-4)

    done = runner.invoke(evaluate, ["--bundle", str(out), "--data", str(tiny_data), "--json"], catch_exceptions=False)
    tasks = json.loads(done.stdout)["tasks"]
    assert {label["label"] for label in tasks["topic"]["labels"]} == {"Banks", "Energy"}
    assert tasks["sentiment"]["support"] == sum('"sentiment"' in line for line in tiny_data.read_text().splitlines())
    shown = runner.invoke(evaluate, ["--bundle", str(out), "--data", str(tiny_data)], catch_exceptions=False)
    assert "macro-F1" in shown.stdout
