"""Teachers of several kinds as one: their weights, and what is kept of what they said."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.compress import ensemble
from trainer.compress.ensemble import ask, in_words, mixed, weigh
from trainer.compress.plan import Budget, Plan
from trainer.compress.search import CompressionSettings
from trainer.compress.search import compress as search
from trainer.data.examples import Example
from trainer.learn import checkpoint as checkpoints
from trainer.learn.averaging import average
from trainer.learn.batches import Encoded
from trainer.learn.encoder import Architecture, Encoder, LayerShape
from trainer.learn.network import Learned, Network, load_network
from trainer.learn.recipe import Recipe
from trainer.material import Material, prepare
from trainer.pipeline import gather
from trainer.runs import Trained, Training, train

RECIPE = Recipe(epochs=2, batch_size=16, encoder_rate=3e-3, head_rate=1e-2, masked_words=0.0)
PLAN = Plan(layers=1, heads=1, inner=16)
ANYTHING = Budget(accuracy_drop=100)


class Interrupted(Exception):
    pass


def blend_all(network: Network, states: Sequence[dict[str, torch.Tensor]], validation: Encoded) -> list[int]:
    """What validation would do if every state helped."""
    network.load_state_dict(average(states))
    return list(range(len(states)))


@pytest.fixture(scope="module")
def material(tiny_data: Path, tiny_taxonomy: Taxonomy) -> Material:
    return prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)


@pytest.fixture(scope="module")
def trained(tiny_backbone: Path, material: Material) -> Trained:
    return train(material, Training(RECIPE, tiny_backbone, quiet=True))


def confident(truth: np.ndarray, share_right: float, seed: int) -> np.ndarray:
    """Logits that favour the truth in `share_right` of the rows, and another label in the rest."""
    generator = np.random.default_rng(seed)
    favoured = np.where(generator.random(len(truth)) < share_right, truth, (truth + 1) % 3)
    return np.where(np.arange(3) == favoured[:, None], 2.0, 0.0).astype(np.float32)


def test_weights_go_by_what_a_teacher_knows() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 3_000)
    good, twin, guessing = confident(truth, 0.9, 1), confident(truth, 0.9, 2), confident(truth, 0.34, 3)
    alone = weigh([guessing, good], truth)
    assert alone.weights[1] > 0.9
    assert sum(alone.weights) == pytest.approx(1)
    assert alone.accuracy == pytest.approx([0.34, 0.9], abs=0.03)
    both = weigh([good, guessing, twin], truth)
    assert both.weights[0] == pytest.approx(both.weights[2], abs=0.11)
    assert both.weights[1] < 0.1
    assert both.together == pytest.approx(0.9, abs=0.03)
    assert weigh([good], truth).weights == [1.0]
    assert weigh([good[:0], twin[:0]], truth[:0]).weights == [0.5, 0.5]


def test_a_mean_is_weighted() -> None:
    one, other = {"mood": np.log(np.float32([[0.8, 0.2]]))}, {"mood": np.log(np.float32([[0.4, 0.6]]))}
    assert mixed([one, other], {"mood": [0.25, 0.75]}, 1.0)["mood"][0] == pytest.approx([0.5, 0.5])
    assert mixed([one, other], {"mood": [1.0, 0.0]}, 1.0)["mood"][0] == pytest.approx([0.8, 0.2])


def test_answers_are_kept(
    trained: Trained, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, texts = trained.learned[0], material.split.test
    first = ask(teacher, texts, 64, tmp_path, quiet=True)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(ensemble, "predict_logits", None)
        again = ask(teacher, texts, 64, tmp_path, quiet=True)
        with pytest.raises(TypeError):
            ask(teacher, texts[1:], 64, tmp_path, quiet=True)
    assert all(np.array_equal(first[task], again[task]) for task in first)
    kept.write_bytes(b"half")
    with pytest.raises(InputError, match="remove it to have it made again"):
        ask(teacher, texts, 64, tmp_path, quiet=True)


def test_a_teacher_without_numbers_is_refused(trained: Trained, material: Material, tmp_path: Path) -> None:
    broken = copy.deepcopy(trained.learned[0].network)
    with torch.no_grad():
        broken.heads["topic"].bias[0] = float("nan")
    teacher = msgspec.structs.replace(trained.learned[0], network=broken, backbone="broken")
    with pytest.raises(InputError, match="broken answers with no numbers"):
        ask(teacher, material.split.test, 64, tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_teachers_may_differ_in_everything_but_the_labels(trained: Trained, material: Material) -> None:
    torch.manual_seed(0)
    small = trained.learned[0]
    words = small.tokenizer.get_vocab_size()
    large = Network(
        Encoder(Architecture(words, 64, 24, 8, [LayerShape(3, 40)], relative_positions=True)), material.labels
    )
    both = Trained([small, Learned(large, small.tokenizer, "guessing", RECIPE)], material)
    assert both.blended() is small
    settings = CompressionSettings(msgspec.structs.replace(RECIPE, epochs=1), probes=0)
    found = search(both, [], [PLAN], ANYTHING, settings, quiet=True, log=lambda _: None)
    assert found.ensemble["topic"].weights[0] > 0.8
    assert "guessing, seed 0: " in in_words(found.ensemble, both.learned)[0]
    assert found.student.architecture.width == small.network.architecture.width


def test_a_kept_student_is_of_the_same_plan_and_labels(trained: Trained, tmp_path: Path) -> None:
    settings = CompressionSettings(msgspec.structs.replace(RECIPE, epochs=1), method="minmax", probes=0)
    split = trained.material.split
    swapped = [Example(e.text, {**e.labels, "topic": "Banks"}, e.source) for e in split.train]
    other = msgspec.structs.replace(trained.material, split=msgspec.structs.replace(split, train=swapped))
    for one, activation in ((trained, "gelu"), (trained, "relu"), (Trained(trained.learned, other), "gelu")):
        plan = msgspec.structs.replace(PLAN, activation=activation)
        found = search(one, [], [plan], ANYTHING, settings, keep=tmp_path, quiet=True, log=lambda _: None)
        assert found.student.architecture.activation == activation
    assert len(list(tmp_path.glob("student-*.safetensors"))) == 3


def test_students_of_several_seeds_are_compared_and_kept(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CompressionSettings(RECIPE, method="minmax", probes=0, students=2)

    def run() -> dict[str, torch.Tensor]:
        found = search(
            trained, ["acme1 oil"], [PLAN], ANYTHING, settings, keep=tmp_path, quiet=True, log=lambda _: None
        )
        assert [task.runs for task in found.spread] == [2, 2]
        rivals = [variant for variant in found.variants if "8 bits (minmax)" in variant.name]
        assert [variant.name.split(", ")[3] for variant in rivals[:2]] == ["seed 0", "seed 1"]
        assert all("mean of 2 students" in variant.name for variant in rivals[2:])
        assert found.chosen == max(rivals, key=lambda one: sum(score.accuracy for score in one.validation))
        return found.student.state_dict()

    save = checkpoints.Checkpoint.save

    def killed(self: checkpoints.Checkpoint, record: dict[str, object]) -> None:
        save(self, record)
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "save", killed)
        with pytest.raises(Interrupted):
            run()
    assert len(list(tmp_path.glob("*.checkpoint"))) == 1
    student = run()
    assert len(list(tmp_path.glob("student-*.safetensors"))) == 2
    assert not list(tmp_path.glob("*.checkpoint"))
    whole = search(trained, ["acme1 oil"], [PLAN], ANYTHING, settings, quiet=True, log=lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr("trainer.compress.search.distil_student", None)
        again = run()
    for name, value in student.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, whole.student.state_dict()[name]), name


def test_the_mean_of_students_is_one_of_them(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.compress.search._worth", lambda variant: "mean of" in variant.name)
    monkeypatch.setattr("trainer.learn.averaging.blend", blend_all)
    settings = CompressionSettings(RECIPE, method="minmax", probes=0, students=2)
    found = search(trained, [], [PLAN], ANYTHING, settings, keep=tmp_path, quiet=True, log=lambda _: None)
    assert found.chosen.name.endswith("mean of 2 students, 8 bits (minmax)")
    assert [task.runs for task in found.spread] == [2, 2]
    one, other = (load_network(path).network.state_dict() for path in tmp_path.glob("student-*.safetensors"))
    assert any(not torch.equal(one[name], other[name]) for name in one)
    for name, value in found.student.state_dict().items():
        assert torch.allclose(value, (one[name] + other[name]) / 2, atol=1e-6), name
    monkeypatch.setattr("trainer.learn.averaging.blend", lambda network, states, validation: [1])
    found = search(trained, [], [PLAN], ANYTHING, settings, keep=tmp_path, quiet=True, log=lambda _: None)
    assert not any("mean of" in variant.name for variant in found.variants)
