"""Fine-tuning: the same seed gives the same weights, also after an exception, a kill, or with a file that is no use."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.learn import checkpoint as checkpoints
from trainer.learn.averaging import judge_all, mean_f1
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import UNLABELLED, Encoded, encode, grouped
from trainer.learn.finetune import Epoch, Recipe, fine_tune
from trainer.learn.network import Network
from trainer.learn.objectives import label_weights
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.material import Material, prepare
from trainer.pipeline import gather

RECIPE = Recipe(epochs=4, batch_size=16, encoder_rate=1e-3, head_rate=1e-2, patience=4, seed=5)
Tune = Callable[..., tuple[Network, list[Epoch]]]


@pytest.fixture(scope="module")
def material(tiny_data: Path, tiny_taxonomy: Taxonomy) -> Material:
    return prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)


@pytest.fixture(scope="module")
def tune(material: Material, tiny_backbone: Path) -> Tune:
    """Fine-tune a fresh tiny network by a recipe."""
    tokenizer = load_tokenizer(tiny_backbone)
    parts = [encode(part, tokenizer, material.labels, 40) for part in (material.split.train, material.split.validation)]

    def run(recipe: Recipe = RECIPE, **options: Any) -> tuple[Network, list[Epoch]]:
        torch.manual_seed(1)
        network = Network(load_encoder(tiny_backbone), material.labels)
        mask_id = mask_number(tokenizer, tiny_backbone)
        return network, fine_tune(network, parts[0], parts[1], mask_id, recipe, quiet=True, **options)

    return run


@pytest.fixture(scope="module")
def whole(tune: Tune) -> tuple[Network, list[Epoch]]:
    """A training that nothing interrupted."""
    return tune()


def same(one: Network, other: Network) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


class Interrupted(Exception):
    pass


def stop_after(number: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        if epoch.number == number:
            raise Interrupted

    return on_epoch


def test_the_seed_decides_the_weights(tune: Tune, whole: tuple[Network, list[Epoch]]) -> None:
    again, epochs = tune()
    assert same(whole[0], again)
    assert epochs == whole[1]
    assert not same(whole[0], tune(msgspec.structs.replace(RECIPE, seed=6))[0])


def test_an_interrupted_training_ends_with_the_same_weights(
    tmp_path: Path, tune: Tune, whole: tuple[Network, list[Epoch]]
) -> None:
    place = tmp_path / "runs" / "one.checkpoint"
    for number in (1, 3):
        with pytest.raises(Interrupted):
            tune(checkpoint=place, on_epoch=stop_after(number))
        assert place.is_file()
    heard: list[int] = []
    network, epochs = tune(checkpoint=place, on_epoch=lambda epoch: heard.append(epoch.number))
    assert heard == [4]
    assert epochs == whole[1]
    assert same(network, whole[0])
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("change", [{}, {"train_words": False}, {"frozen_layers": 1}, {"lora_rank": 4}])
def test_it_goes_on_inside_an_epoch(
    tmp_path: Path, tune: Tune, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    recipe = msgspec.structs.replace(RECIPE, epochs=2, **change)
    place = tmp_path / "one.checkpoint"
    monkeypatch.setattr(checkpoints, "SAVE_EVERY_S", 0.0)
    saves = 0
    save = checkpoints.Checkpoint.save

    def counted(self: checkpoints.Checkpoint, record: dict[str, Any]) -> None:
        nonlocal saves
        save(self, record)
        saves += 1
        if saves == 28:
            raise Interrupted

    monkeypatch.setattr(checkpoints.Checkpoint, "save", counted)
    with pytest.raises(Interrupted):
        tune(recipe, checkpoint=place)
    record = torch.load(place, weights_only=True)["record"]
    assert record["losses"]
    assert len(record["states"]) == 1
    assert same(tune(recipe, checkpoint=place)[0], tune(recipe)[0])


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, tune: Tune, whole: tuple[Network, list[Epoch]], tiny_backbone: Path, tiny_data: Path
) -> None:
    place = tmp_path / "one.checkpoint"
    code = f"""
import torch
from pathlib import Path
import msgspec
import trainer.learn.checkpoint
from tests.trainer.test_finetune import RECIPE
from core.taxonomy import Taxonomy
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import encode
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Network
from trainer.material import prepare
from trainer.pipeline import gather
torch.set_num_threads(1)
trainer.learn.checkpoint.SAVE_EVERY_S = 0.0
taxonomy = Taxonomy({{"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")}})
material = prepare(gather([Path({str(tiny_data)!r})], None, taxonomy), taxonomy)
backbone = Path({str(tiny_backbone)!r})
tokenizer = load_tokenizer(backbone)
parts = [encode(part, tokenizer, material.labels, 40) for part in (material.split.train, material.split.validation)]
torch.manual_seed(1)
network = Network(load_encoder(backbone), material.labels)
fine_tune(network, *parts, mask_number(tokenizer, backbone), RECIPE, quiet=True, checkpoint=Path({str(place)!r}),
          on_epoch=lambda epoch: print(epoch.number, flush=True))
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root, env=environment)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "1\n"
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    heard: list[int] = []
    network, _ = tune(checkpoint=place, on_epoch=lambda epoch: heard.append(epoch.number))
    assert 1 not in heard
    assert heard[-1] == 4
    assert same(network, whole[0])


def test_a_checkpoint_of_another_training_is_passed_over(
    tmp_path: Path, tune: Tune, whole: tuple[Network, list[Epoch]], caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "one.checkpoint"
    with pytest.raises(Interrupted):
        tune(msgspec.structs.replace(RECIPE, dropout=0.2), checkpoint=place, on_epoch=stop_after(1))
    with caplog.at_level(logging.WARNING):
        network, _ = tune(checkpoint=place)
    assert "another recipe, network or data" in caplog.text
    assert same(network, whole[0])


class Mischief:
    """Would be run by plain unpickling."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("content", ["junk", "torn", "pickle", "archive"])
def test_a_useless_checkpoint_is_passed_over_and_nothing_in_it_runs(
    tmp_path: Path,
    tune: Tune,
    whole: tuple[Network, list[Epoch]],
    content: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = tmp_path / "one.checkpoint"
    if content == "junk":
        place.write_bytes(b"no checkpoint at all")
    elif content == "torn":
        torch.save({"version": 1, "record": torch.zeros(1000)}, place)
        place.write_bytes(place.read_bytes()[:2000])
    elif content == "pickle":
        place.write_bytes(pickle.dumps(Mischief(tmp_path / "made")))
    else:
        torch.save({"version": 1, "record": Mischief(tmp_path / "made")}, place)
    with caplog.at_level(logging.WARNING):
        network, _ = tune(checkpoint=place)
    assert "begins anew" in caplog.text
    assert same(network, whole[0])
    assert not (tmp_path / "made").exists()


def test_patience_counts_epochs_without_a_better_f1(tune: Tune) -> None:
    stuck = msgspec.structs.replace(RECIPE, epochs=6, encoder_rate=1e-9, head_rate=1e-9, patience=2)
    _, epochs = tune(stuck)
    assert len(epochs) == 3
    assert len(tune(msgspec.structs.replace(stuck, patience=6))[1]) == 6


def test_patience_holds_after_an_interruption(tmp_path: Path, tune: Tune) -> None:
    stuck = msgspec.structs.replace(RECIPE, epochs=6, encoder_rate=1e-9, head_rate=1e-9, patience=2)
    place = tmp_path / "one.checkpoint"
    with pytest.raises(Interrupted):
        tune(stuck, checkpoint=place, on_epoch=stop_after(3))
    assert len(tune(stuck, checkpoint=place)[1]) == 3


def test_frozen_word_vectors_stay_and_the_rest_learns(tune: Tune, tiny_backbone: Path) -> None:
    network, epochs = tune(msgspec.structs.replace(RECIPE, train_words=False))
    before = load_encoder(tiny_backbone)
    assert torch.equal(network.encoder.words.weight, before.words.weight)
    assert not torch.equal(network.encoder.positions.weight, before.positions.weight)
    assert mean_f1(epochs[-1].validation) > mean_f1(epochs[0].validation)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_frozen_layers_stay_with_all_below_them(tune: Tune, tiny_backbone: Path) -> None:
    with pytest.raises(InputError, match="the network has 2"):
        tune(msgspec.structs.replace(RECIPE, frozen_layers=3))
    network, _ = tune(msgspec.structs.replace(RECIPE, frozen_layers=1))
    found, before = network.encoder.state_dict(), load_encoder(tiny_backbone).state_dict()
    for name, value in before.items():
        assert torch.equal(value, found[name]) == (not name.startswith("layers.1.")), name
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_class_weights() -> None:
    labels = {"topic": ("a", "b", "c"), "mood": ("x", "y")}
    data = Encoded([[1]] * 9, {"topic": [0] * 6 + [1] * 2 + [UNLABELLED], "mood": [0, 1] * 4 + [UNLABELLED]})
    balanced = label_weights("balanced", labels, data)
    assert balanced is not None
    assert balanced["topic"][:2].tolist() == pytest.approx([8 / 12, 8 / 4])
    assert balanced["mood"].tolist() == [1.0, 1.0]
    root = label_weights("sqrt", labels, data)
    assert root is not None
    assert float(root["topic"][1] / root["topic"][0]) == pytest.approx(3**0.5)
    assert float((root["topic"] * torch.tensor([6, 2, 0])).sum()) == pytest.approx(8)
    named = label_weights({"topic": {"b": 3}}, labels, data)
    assert named is not None
    assert named["topic"].tolist() == [1, 3, 1]
    assert label_weights("none", labels, data) is None
    with pytest.raises(InputError, match=r"'d'.*no label of 'topic'"):
        label_weights({"topic": {"d": 1.0}}, labels, data)
    with pytest.raises(InputError, match="task 'tone'"):
        label_weights({"tone": {"a": 1.0}}, labels, data)


def test_a_class_that_weighs_nothing_is_never_learnt(tune: Tune) -> None:
    weights = {"sentiment": {"negative": 0.0}}
    _, epochs = tune(msgspec.structs.replace(RECIPE, epochs=6, label_smoothing=0.0, class_weights=weights, patience=6))
    found = {score.label: score for score in epochs[-1].validation["sentiment"].labels}
    assert found["negative"].recall == 0
    assert found["positive"].recall > 0.8


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"encoder_rate": -1.0},
        {"dropout": 1.0},
        {"label_smoothing": float("nan")},
        {"weight_decay": -0.1},
        {"class_weights": {"topic": {"a": -1.0}}},
        {"max_length": 2},
        {"few_shot": True, "lora_rank": 4},
    ],
)
def test_a_recipe_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Recipe(**wrong)


def test_texts_of_a_group_are_of_similar_length() -> None:
    data = Encoded([[0] * (number % 40 + 1) for number in range(400)], {})
    groups = grouped(data, 20)
    assert sorted(row for group in groups for row in group) == list(range(400))
    assert max(max(len(data.ids[r]) for r in g) - min(len(data.ids[r]) for r in g) for g in groups) <= 2


def test_validation_without_a_label_of_a_task_judges_the_others(tune: Tune) -> None:
    network, _ = tune(msgspec.structs.replace(RECIPE, epochs=1))
    data = Encoded([[2, 5, 3], [2, 6, 3]], {"sentiment": [0, 1], "topic": [UNLABELLED, UNLABELLED]})
    assert list(judge_all(network, data)) == ["sentiment"]
    assert mean_f1({}) == 0.0
