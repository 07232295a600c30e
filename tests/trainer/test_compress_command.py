"""From fine-tuned networks to a small bundle by the command, on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer

from core.bundle import DataSource, load_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError
from core.taxonomy import Taxonomy
from newstide.commands.compress import compress, read_texts
from trainer.compress.distil import Mixture
from trainer.compress.measure import cost, measure
from trainer.compress.plan import Budget, Plan
from trainer.compress.prune import with_encoder
from trainer.compress.search import BudgetMissed, CompressionSettings
from trainer.compress.search import compress as search
from trainer.compress.student import cut, outline, prepare_distillation, prune_words
from trainer.data.dataset import load_dataset
from trainer.learn.batches import encode, make_batch
from trainer.learn.encoder import rebuilt
from trainer.learn.network import Network, save_network
from trainer.learn.recipe import Recipe
from trainer.material import Material, prepare
from trainer.pipeline import gather
from trainer.runs import Trained, Training, train

RECIPE = Recipe(epochs=10, batch_size=16, encoder_rate=3e-3, head_rate=1e-2, masked_words=0.0, patience=10)
TEACHING = Recipe(epochs=6, batch_size=16, encoder_rate=3e-3, head_rate=1e-2, masked_words=0.0, patience=6)


@pytest.fixture(scope="module")
def material(tiny_data: Path, tiny_taxonomy: Taxonomy) -> Material:
    return prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)


@pytest.fixture
def taxonomy_in_force(tiny_taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "taxonomy.toml"
    tasks = tiny_taxonomy.tasks.items()
    path.write_text("".join(f"[tasks.{task}]\nlabels = {json.dumps(labels)}\n" for task, labels in tasks))
    monkeypatch.setenv("NEWSTIDE_TAXONOMY", str(path))


@pytest.fixture(scope="module")
def trained(tiny_backbone: Path, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(material, Training(RECIPE, tiny_backbone, quiet=True))


def test_the_fastest_plan_within_the_budget_wins(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_shape(network: Network, tokenizer: Tokenizer, material: Material) -> tuple[int, float]:
        """The size as it is, and a rate that no busy machine can turn around: networks as tiny as these differ less
        than a clock does."""
        size, _ = cost(network, tokenizer, material)
        return size, 1e9 / sum(parameter.numel() for parameter in network.parameters())

    monkeypatch.setattr("trainer.compress.search.cost", by_shape)
    lines: list[str] = []
    plans = [Plan(inner=48), Plan(layers=1, heads=1, inner=16)]
    budget = Budget(accuracy_drop=5, size=40_000_000)
    found = search(
        trained, ["acme1 oil wins"], plans, budget, CompressionSettings(TEACHING), quiet=True, log=lines.append
    )
    assert found.plan == plans[1]
    names = [variant.name for variant in found.variants]
    assert names[:2] == ["teacher, 32 bits", "teacher, 8 bits"]
    assert "cut: 1 layers" in names
    assert found.chosen.name in names
    assert found.chosen.drop(found.variants[0])[0] <= 5
    assert found.chosen.size < found.variants[0].size
    assert len(found.student.architecture.layers) == 1
    assert any(line.startswith("probe") for line in lines)


@pytest.mark.parametrize(
    "plan",
    [Plan(), Plan(layers=1, heads=1, inner=16, activation="relu"), Plan(inner=48, rank_share=0.5), Plan(vocabulary=30)],
)
def test_an_outline_costs_what_the_student_will(trained: Trained, plan: Plan) -> None:
    material, teacher = trained.material, trained.learned[0]
    data = prepare_distillation([teacher], material, [], Mixture(), 64, quiet=True)
    student, tokenizer = cut(teacher.network, teacher.tokenizer, material, data, plan)
    source, words = prune_words(teacher.network, teacher.tokenizer, data, plan.vocabulary)
    drawn = outline(source, plan)
    assert drawn.architecture == student.architecture
    assert words.to_str() == tokenizer.to_str()
    size = measure("student", student, tokenizer, material, True).size
    # Names and shapes are the same; only an input's zero point may take another byte.
    assert cost(drawn, words, material)[0] == pytest.approx(size, abs=64)


def test_a_budget_nobody_keeps_is_an_error_that_names_the_nearest(trained: Trained) -> None:
    brief = CompressionSettings(Recipe(epochs=1, masked_words=0.0), probes=0)
    impossible = Budget(accuracy_drop=-1)  # a point better than a teacher without a fault
    plans = [Plan(layers=1)]
    with pytest.raises(BudgetMissed, match=r"nearest, 1 layers.*points of accuracy, -1 are allowed") as missed:
        search(trained, [], plans, impossible, brief, quiet=True, log=lambda _: None)
    assert missed.value.nearest is not None
    assert missed.value.nearest.plan == plans[0]
    assert missed.value.nearest.chosen in missed.value.nearest.variants
    with pytest.raises(BudgetMissed, match="within 1000 bytes"):
        search(trained, [], [Plan(inner=8)], Budget(size=1000), brief, quiet=True, log=lambda _: None)


def test_the_command_writes_a_bundle_and_a_report(
    trained: Trained, tiny_data: Path, tmp_path: Path, taxonomy_in_force: None
) -> None:
    save_network(trained.learned[0], tmp_path / "weights" / "one.safetensors")
    unlabelled = tmp_path / "more.jsonl"
    unlabelled.write_text("".join(json.dumps({"text": f"acme{n} bank holds c"}) + "\n" for n in range(30)))
    arguments = ["--data", str(tiny_data), "--teacher", str(tmp_path / "weights")]
    arguments += ["--unlabelled", str(unlabelled), "--most", "10", "--out", str(tmp_path / "small"), "--layers", "1"]
    arguments += ["--activation", "relu", "--rank", "0.9", "--budget", "accuracy-drop<=100", "--epochs", "2", "--json"]
    arguments += ["--variants", "1"]
    ended = CliRunner().invoke(compress, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert answer["plan"]["layers"] == 1
    bundle = load_bundle(tmp_path / "small")
    assert set(bundle.manifest.evaluation) == {"teacher", "fp32", "int8"}
    assert bundle.manifest.reference is not None
    classifier = Classifier(bundle)
    alone = classifier.predict(["acme1 bank fraud"])["topic"]
    assert (alone == classifier.predict(["acme1 bank fraud", "acme2 oil wins . a"])["topic"][:1]).all()
    for name in ("report.md", "report.html", "pareto.svg"):
        assert (tmp_path / "small-report" / name).stat().st_size > 500
    card = (tmp_path / "small" / "MODEL_CARD.md").read_text()
    assert "cut to 1 layers" in card
    assert "--layers 1 " in card
    assert "--probes" not in card, "the command would be refused"
    assert "1 variants of each labelled one" in card
    assert str(tmp_path) not in (tmp_path / "small" / "MODEL_CARD.md").read_text()


def test_a_missed_budget_leaves_its_report(
    trained: Trained, tiny_data: Path, tmp_path: Path, taxonomy_in_force: None
) -> None:
    save_network(trained.learned[0], tmp_path / "one.safetensors")
    arguments = ["--data", str(tiny_data), "--teacher", str(tmp_path / "one.safetensors"), "--layers", "1"]
    arguments += ["--rank", "0.01", "--vocabulary", "20", "--epochs", "1", "--rate", "1e-9", "--budget", "f1-drop<=0"]
    ended = CliRunner().invoke(compress, [*arguments, "--out", str(tmp_path / "small")])
    assert isinstance(ended.exception, BudgetMissed)
    assert not (tmp_path / "small").exists()
    assert "cut: 1 layers" in (tmp_path / "small-report" / "report.md").read_text()


def test_hidden_states_bring_a_student_nearer_to_its_source(trained: Trained) -> None:
    source = trained.learned[0]
    gaps = []
    for weight in (0.0, 5.0):
        settings = CompressionSettings(TEACHING, Mixture(hidden=weight), probes=0)
        plan = Plan(inner=16, vocabulary=60)
        found = search(trained, [], [plan], Budget(), settings, quiet=True, log=lambda _: None)
        data = prepare_distillation([source], trained.material, [], Mixture(), 64, quiet=True)
        guide, words = prune_words(source.network, source.tokenizer, data, plan.vocabulary)
        assert words.to_str() == found.tokenizer.to_str()
        batch = make_batch(encode(trained.material.split.test[:20], words, guide.labels, 32), list(range(20)))
        with torch.no_grad():
            both = [network.encoder(batch.ids, batch.mask) for network in (guide, found.student)]
        gaps.append(float((both[0] - both[1])[batch.mask == 1].square().mean()))
    assert gaps[1] < gaps[0]


def test_students_are_not_cut_from_a_factorized_network(trained: Trained, material: Material) -> None:
    teacher = trained.learned[0]
    data = prepare_distillation([teacher], material, [], Mixture(), 64, quiet=True)
    flat, _ = cut(teacher.network, teacher.tokenizer, material, data, Plan(rank_share=0.5))
    factorized = Trained([msgspec.structs.replace(teacher, network=flat)], material)
    with pytest.raises(InputError, match="factorized products"):
        search(
            factorized, [], [Plan(layers=1)], Budget(), CompressionSettings(TEACHING), quiet=True, log=lambda _: None
        )


def test_a_dataset_is_used_as_it_was_split(
    trained: Trained, tiny_dataset: Path, tmp_path: Path, taxonomy_in_force: None
) -> None:
    save_network(trained.learned[0], tmp_path / "one.safetensors")
    arguments = ["--dataset", str(tiny_dataset), "--teacher", str(tmp_path / "one.safetensors"), "--layers", "1"]
    arguments += ["--budget", "accuracy-drop<=100", "--epochs", "1", "--out", str(tmp_path / "small"), "--json"]
    CliRunner().invoke(compress, arguments, catch_exceptions=False)
    manifest = load_bundle(tmp_path / "small").manifest
    split = load_dataset(tiny_dataset).split
    assert manifest.data == [DataSource("wire", "MIT", len(split.train), len(split.validation), len(split.test))]
    assert "--dataset built" in manifest.code["command"]


def test_where_a_bundle_can_not_be_written_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    shared = ["--teacher", str(tmp_path / "missing"), "--dataset", str(tmp_path / "missing")]
    for words, message in (
        (["--out", str(tmp_path / "taken")], "taken exists and holds no bundle"),
        (["--out", str(tmp_path / "new"), "--name", "a b"], "name 'a b' is not made of"),
    ):
        with pytest.raises(BundleError, match=message):
            CliRunner().invoke(compress, [*shared, *words], catch_exceptions=False)


def test_teachers_that_do_not_fit_are_named(
    trained: Trained, tiny_data: Path, tmp_path: Path, taxonomy_in_force: None
) -> None:
    teacher = trained.learned[0]
    other = Network(teacher.network.encoder, {"sentiment": ("bad", "good")})
    save_network(msgspec.structs.replace(teacher, network=other), tmp_path / "other.safetensors")
    pruned = only_words(teacher.network, 20)
    save_network(msgspec.structs.replace(teacher, network=pruned), tmp_path / "words.safetensors")
    (tmp_path / "empty").mkdir()
    for number, backbone in enumerate(("one", "other")):
        mixed = msgspec.structs.replace(teacher, backbone=backbone)
        save_network(mixed, tmp_path / "mixed" / f"{number}.safetensors")
    shared = ["--data", str(tiny_data), "--out", str(tmp_path / "x")]
    for teacher, budget, message in (
        ("missing", "size<=1MB", "missing does not exist"),
        ("empty", "size<=1MB", "empty holds no"),
        ("other.safetensors", "size<=1MB", "other.safetensors was trained on other labels"),
        ("words.safetensors", "size<=1MB", "words.safetensors: its tokenizer does not fit"),
        ("mixed", "size<=1MB", "mixed holds networks of one and other"),
        ("words.safetensors", "speed<=3", "budget part 'speed<=3'"),
    ):
        ended = CliRunner().invoke(compress, [*shared, "--teacher", str(tmp_path / teacher), "--budget", budget])
        assert isinstance(ended.exception, InputError), ended.output
        assert message in str(ended.exception)


def only_words(network: Network, count: int) -> Network:
    architecture = msgspec.structs.replace(network.architecture, vocabulary=count)
    state = network.encoder.state_dict()
    state["words.weight"] = state["words.weight"][:count]
    return with_encoder(network, rebuilt(architecture, state))


def test_texts_are_spread_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": str(number)}) + "\n" for number in range(100)))
    assert read_texts(path, 4) == ["0", "25", "50", "75"]
    assert read_texts(path, 0) == []
    assert len(read_texts(path, 1000)) == 100
    path.write_text('{"text": "a"}\n{"txt": 1}\n')
    with pytest.raises(InputError, match="record 2"):
        read_texts(path, 5)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)
