"""A network read back out of a bundle is the one that was written, and goes on learning from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from onnx import numpy_helper
from tokenizers import Tokenizer

from core.bundle import Bundle, DataSource, SelfTest, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError
from newstide.commands.train import train as train_command
from tests.tiny_bundles import write_tiny
from trainer.compress.calibration import measure_ranges
from trainer.compress.factorize import factorize
from trainer.compress.prune import prune_layers, with_encoder
from trainer.compress.read_graph import read_network
from trainer.continuing import continued, unfit
from trainer.data.dataset import load_dataset
from trainer.data.entities import EntityLabel
from trainer.data.examples import Example
from trainer.data.spec import Options
from trainer.data.splits import Split
from trainer.export import Origin, calibration_texts, make_bundle, plain_bundle
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import encode, make_batch
from trainer.learn.encoder import rebuilt
from trainer.learn.network import Learned, Network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer
from trainer.material import Material, from_dataset
from trainer.pipeline import train_bundle
from trainer.runs import Trained, Training, train
from trainer.seeds import judge_trained

LENGTH = 32
TEXTS = [
    f"acme{n} {field} {word} acme{n + 1} b" for n in range(9) for field, word in (("bank", "fraud"), ("oil", "wins"))
]


@pytest.fixture
def material(tiny_dataset: Path) -> Material:
    return from_dataset(load_dataset(tiny_dataset))


@pytest.fixture
def live(tmp_path: Path, tiny_backbone: Path, material: Material) -> Path:
    """A bundle that knows the tiny texts."""
    recipe = Recipe(epochs=4, encoder_rate=3e-3, head_rate=3e-3)
    bundle = train_bundle(material, Training(recipe, tiny_backbone, quiet=True), tmp_path / "live", name="live")
    assert bundle.path is not None
    return bundle.path


def served(network: Network, tokenizer: Tokenizer, material: Material, eight_bits: bool) -> Bundle:
    """`network` as a bundle in memory that can test itself."""
    ranges = measure_ranges(network, calibration_texts(material, tokenizer, LENGTH)) if eight_bits else None
    plain = plain_bundle(network, tokenizer, LENGTH, ranges)
    scores = {task: rows[0].tolist() for task, rows in Classifier(plain).predict(TEXTS[:1]).items()}
    return msgspec.structs.replace(
        plain, manifest=msgspec.structs.replace(plain.manifest, self_test=[SelfTest(TEXTS[0], scores)])
    )


def shaped(backbone: Path, material: Material, shape: str) -> Network:
    torch.manual_seed(0)
    entity = ("negative", "neutral", "positive") if shape == "companies" else ()
    network = Network(load_encoder(backbone), material.labels, entity_labels=entity)
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.5)
    architecture, weights = network.architecture, network.encoder.state_dict()
    if shape == "relu":
        architecture = msgspec.structs.replace(architecture, activation="relu")
    if shape == "distances":
        architecture = msgspec.structs.replace(architecture, relative_positions=True)
        weights |= {f"layers.{n}.position_bias": torch.randn(2, 2 * architecture.positions - 1) for n in range(2)}
    network = with_encoder(network, rebuilt(architecture, weights))
    if shape == "pruned":
        network = prune_layers(network, [(np.arange(2.0), np.arange(64.0))] * 2, 1, 40)
    if shape == "factored":
        sample = encode(material.split.train[:64], load_tokenizer(backbone), material.labels, LENGTH)
        network = factorize(network, sample, 0.5, ("projection", "widen", "narrow"))
    return network.eval()


def largest_gap(one: Bundle, other: Bundle) -> float:
    found = [Classifier(bundle).predict(TEXTS) for bundle in (one, other)]
    return max(float(np.abs(found[0][task] - found[1][task]).max()) for task in found[0])


@pytest.mark.parametrize("shape", ["whole", "companies", "relu", "pruned", "factored", "distances"])
def test_a_network_read_back_answers_as_the_bundle(tiny_backbone: Path, material: Material, shape: str) -> None:
    """To rounding: exactly in 32 bits, and exactly once more in eight, where the weights are on the grid already."""
    tokenizer = load_tokenizer(tiny_backbone)
    network = shaped(tiny_backbone, material, shape)
    whole = served(network, tokenizer, material, eight_bits=False)
    assert largest_gap(served(read_network(whole), tokenizer, material, eight_bits=False), whole) < 1e-5

    small = served(network, tokenizer, material, eight_bits=True)
    found = read_network(small)
    assert 0 < largest_gap(served(found, tokenizer, material, eight_bits=False), small) < 0.05
    ranges = measure_ranges(network, calibration_texts(material, tokenizer, LENGTH))
    assert largest_gap(plain_bundle(found, tokenizer, LENGTH, ranges), small) < 1e-5
    assert found.entity_labels == network.entity_labels
    if network.entity is not None and found.entity is not None:
        assert torch.equal(found.entity.weight, network.entity.weight)


def test_a_foreign_or_altered_graph_is_refused(tmp_path: Path, tiny_backbone: Path, material: Material) -> None:
    with pytest.raises(BundleError, match=r"tiny: its network can't be read back .* train anew from a backbone"):
        read_network(write_tiny(tmp_path / "tiny", "tiny", 1))
    tokenizer = load_tokenizer(tiny_backbone)
    bundle = served(shaped(tiny_backbone, material, "whole"), tokenizer, material, eight_bits=True)
    model = onnx.load_model_from_string(bundle.model)
    for tensor in model.graph.initializer:
        if tensor.name == "head.sentiment.weight":
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    with pytest.raises(BundleError, match="fails its self-test"):
        read_network(msgspec.structs.replace(bundle, model=model.SerializeToString()))
    for tensor in model.graph.initializer:
        if tensor.name == "words":
            tensor.dims[0] = 2**40
    for broken in (model.SerializeToString(), bundle.model[:-100], b"\x08", b""):
        with pytest.raises(BundleError, match="can't be read back"):
            read_network(msgspec.structs.replace(bundle, model=broken))
    away = onnx.load_model_from_string(bundle.model)
    for tensor in away.graph.initializer:
        if tensor.name == "words":
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="elsewhere")
    with pytest.raises(BundleError, match="constant words is kept in another file"):
        read_network(msgspec.structs.replace(bundle, model=away.SerializeToString()))
    mute = msgspec.structs.replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, self_test=[]))
    with pytest.raises(BundleError, match="brings no text"):
        read_network(mute)


def right(bundle: Bundle, examples: Sequence[Example], task: str) -> float:
    """Share of `examples` that `bundle` answers as they are labelled."""
    labels = bundle.manifest.tasks[task].labels
    judged = [example for example in examples if task in example.labels]
    found = Classifier(bundle).predict([example.text for example in judged])[task].argmax(1)
    return float(np.mean([labels[best] == e.labels[task] for best, e in zip(found, judged, strict=True)]))


def test_new_labels_are_learnt_and_the_rest_is_kept(tmp_path: Path, live: Path, material: Material) -> None:
    """Analysts tell the topic of texts of a kind that the bundle has not met, and takes for the other one."""
    before = load_bundle(live)
    texts = [f"the acme{n} the {'abcdefghijk'[n % 11]} ." for n in range(40)]
    topics = before.manifest.tasks["topic"].labels
    usual = Classifier(before).predict(texts)["topic"].mean(0).argmax()
    told = [Example(text, {"topic": topics[1 - usual]}, "desk") for text in texts]
    assert right(before, told, "topic") < 0.5

    split = msgspec.structs.replace(material.split, train=[*material.split.train, *told[:20]])
    taught = msgspec.structs.replace(material, split=split)
    recipe = Recipe(epochs=3, encoder_rate=1e-3, head_rate=3e-3, label_smoothing=0.0)
    after = train_bundle(taught, Training(recipe, live, quiet=True), tmp_path / "next", name="next")
    assert right(after, told[20:], "topic") > 0.9
    assert right(after, material.split.test, "topic") >= right(before, material.split.test, "topic") - 0.06
    assert len(after.model) == len(before.model)
    assert after.manifest.backbone == before.manifest.backbone
    assert after.manifest.tasks == before.manifest.tasks  # temperatures and thresholds too
    assert {source.name for source in after.manifest.data} == {"wire", "desk"}
    assert "gone on from live" in (tmp_path / "next" / "MODEL_CARD.md").read_text()


def test_the_card_tells_what_was_measured_on_this_bundle(tmp_path: Path, live: Path, material: Material) -> None:
    """Its thresholds are those of another bundle, a source that it learnt from is in the test part alone, and its texts
    were dealt otherwise than others."""
    before = load_bundle(live)
    judged = [msgspec.structs.replace(e, source="judged") for e in material.split.test]
    told = msgspec.structs.replace(
        material,
        split=msgspec.structs.replace(material.split, test=judged),
        options=Options(fractions=(0.5, 0.25, 0.25), similarity=0.9),
    )
    learnt = [*before.manifest.data, DataSource("judged", "MIT", 70, 10, 20), DataSource("gone", "MIT", 30, 5, 5)]
    begun = msgspec.structs.replace(before.manifest, data=learnt)
    network, tokenizer = read_network(before), Tokenizer.from_str(before.tokenizer.decode())
    after = make_bundle(network, tokenizer, told, tmp_path / "next", Origin("next", "", "", "{}"), begun=begun)
    rows = {source.name: (source.train, source.test) for source in after.manifest.data}
    assert rows == {"wire": (len(told.split.train), 0), "judged": (70, len(judged)), "gone": (30, 5)}
    assert set(Classifier(after).learnt) == {"wire", "judged", "gone"}

    card = (tmp_path / "next" / "MODEL_CARD.md").read_text()
    for needed in ("at\nleast 0.9,", "dealt 50/25/25 into", "thresholds are those of live", "validation part of live:"):
        assert needed in card
    (score,) = [one for one in after.manifest.evaluation["int8"] if one.task == "sentiment"]
    kept = before.manifest.tasks["sentiment"].uses["dashboards"]
    found = score.uses["dashboards"]
    assert found.threshold == kept.threshold
    shown = f"| {found.precision:.3f} | {found.recall:.3f} | {found.accuracy:.4f} |"
    assert f"| sentiment | dashboards | negative | {kept.threshold:.4f} {shown}" in card
    first = (live / "MODEL_CARD.md").read_text()
    assert "dealt 80/10/10 into" in first
    assert "thresholds were chosen on validation" in first


def test_with_nothing_new_there_is_nothing_to_learn(
    tmp_path: Path, tiny_backbone: Path, material: Material, caplog: pytest.LogCaptureFixture
) -> None:
    """Of texts that are rehearsed the bundle's own answers are the target, and so are those about companies."""

    def naming(examples: Sequence[Example]) -> list[Example]:
        return [
            msgspec.structs.replace(e, entities=(EntityLabel(((0, len(e.text.split()[0])),), e.labels["sentiment"]),))
            if "sentiment" in e.labels
            else e
            for e in examples
        ]

    parts = (naming(part) for part in (material.split.train, material.split.validation, material.split.test))
    told = msgspec.structs.replace(material, split=Split(*parts), entity_labels=material.labels["sentiment"])
    network, tokenizer = shaped(tiny_backbone, material, "companies"), load_tokenizer(tiny_backbone)
    path = tmp_path / "companies"
    make_bundle(network, tokenizer, told, path, Origin("companies", "tiny", "", "{}"), length=LENGTH)
    course = continued(path, told, Recipe())
    assert "companies has learned from the sources of all these texts" in caplog.text
    batch = make_batch(course.train, list(range(len(course.train.ids))))
    assert course.objective is not None
    assert batch.mentions is not None
    assert float(course.objective(course.network().eval(), batch, batch.ids).detach()) < 1e-3
    manifest = load_bundle(path).manifest
    hot = {task: msgspec.structs.replace(spec, temperature=50.0) for task, spec in manifest.tasks.items()}
    begun = msgspec.structs.replace(manifest, tasks=hot)
    judged = judge_trained(Trained([Learned(network, tokenizer, "tiny", Recipe())], told, begun))
    apart = {score.task: score.ece for score in manifest.evaluation["int8"]}
    assert all(score.ece != apart[score.task] for score in judged)  # by the temperatures of the bundle begun with
    mute = Split(material.split.train, told.split.validation, told.split.test)  # no text to learn names a company
    continued(path, msgspec.structs.replace(told, split=mute), Recipe())
    lacking = msgspec.structs.replace(told, entity_labels=())
    with pytest.raises(InputError, match="answers sentiment towards companies, which no text"):
        continued(path, lacking, Recipe())


def test_labels_of_texts_that_the_bundle_knows_can_be_learnt_beside_its_answers(live: Path, material: Material) -> None:
    def loss(known_labels: float) -> float:
        course = continued(live, material, Recipe(label_smoothing=0.0, known_labels=known_labels))
        batch = make_batch(course.train, list(range(len(course.train.ids))))
        assert course.objective is not None
        return float(course.objective(course.network().eval(), batch, batch.ids).detach())

    none, some, most = loss(0.0), loss(0.5), loss(0.9)
    assert none < 1e-3 < some < most


def test_what_the_bundle_answers_and_nobody_labels_is_asked_for(live: Path, material: Material) -> None:
    labels = {task: names for task, names in material.labels.items() if task != "topic"}
    with pytest.raises(InputError, match=r"answers topic, which no text is labelled for.* add the corpora"):
        continued(live, msgspec.structs.replace(material, labels=labels), Recipe())
    other = material.labels | {"topic": ("Energy", "Banks")}
    with pytest.raises(InputError, match="does not answer 'topic' with Energy, Banks"):
        continued(live, msgspec.structs.replace(material, labels=other), Recipe())
    companies = msgspec.structs.replace(material, entity_labels=material.labels["sentiment"])
    with pytest.raises(InputError, match="does not answer sentiment towards companies with negative, neutral"):
        continued(live, companies, Recipe())
    with pytest.raises(InputError, match=r"live is for en, not for de; train from a backbone"):
        continued(live, msgspec.structs.replace(material, language="de"), Recipe())
    assert "towards companies" in (unfit(live, companies) or "")
    assert unfit(live, msgspec.structs.replace(material, language="en")) is None
    bundle = load_bundle(live)
    tokenizer = Tokenizer.from_str(bundle.tokenizer.decode())
    tokenizer.add_tokens(["zzz"])
    write_bundle(live, bundle.manifest, bundle.model, tokenizer.to_str().encode(), "")
    assert "tokenizer does not fit its word vectors" in (unfit(live, material) or "")


def test_weights_can_stay_on_the_way_from_the_bundle(tmp_path: Path, live: Path, material: Material) -> None:
    recipe, kept = Recipe(epochs=1, encoder_rate=1e-3, known_labels=0.9), tmp_path / "kept"
    first = read_network(load_bundle(live)).state_dict()
    (whole,) = train(material, Training(recipe, live, kept, quiet=True)).learned
    part = msgspec.structs.replace(recipe, old_weights=0.75)
    (near,) = train(material, Training(part, live, kept, quiet=True)).learned
    assert len(list(kept.glob("*.safetensors"))) == 1  # what is learnt is the same
    moved = {name: value for name, value in whole.network.state_dict().items() if not torch.equal(value, first[name])}
    assert len(moved) > 10
    for name, value in moved.items():
        expected = 0.75 * first[name] + 0.25 * value
        assert torch.allclose(near.network.state_dict()[name], expected, atol=1e-6)


def test_a_correction_of_a_text_that_the_bundle_learnt_is_new(live: Path, material: Material) -> None:
    first, *others = material.split.train
    split = msgspec.structs.replace(material.split, train=[msgspec.structs.replace(first, by_analysts=True), *others])
    course = continued(live, msgspec.structs.replace(material, split=split), Recipe())
    assert len(course.train.ids) == len(material.split.train) + 2  # three times


def test_a_run_that_is_kept_is_of_one_bundle(tmp_path: Path, live: Path, material: Material) -> None:
    kept, recipe = tmp_path / "kept", Recipe(epochs=1)
    train(material, Training(recipe, live, kept, quiet=True))
    train(material, Training(recipe, live, kept, quiet=True))
    assert len(list(kept.glob("*.safetensors"))) == 1
    bundle = load_bundle(live)
    write_bundle(live, msgspec.structs.replace(bundle.manifest, name="next"), bundle.model, bundle.tokenizer, "")
    train(material, Training(recipe, live, kept, quiet=True))
    assert len(list(kept.glob("*.safetensors"))) == 2


def test_a_bundle_as_the_backbone_of_the_command(
    tmp_path: Path, live: Path, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: object) -> Result:
        arguments = ["--dataset", tiny_dataset, "--backbone", live, "--out", tmp_path / "out", "--json", *words]
        return CliRunner().invoke(train_command, [str(word) for word in arguments], catch_exceptions=False)

    for words in (("--search", 2), ("--fusion", "f.json"), ("--leave-out", "wire")):
        with pytest.raises(InputError, match=f"goes on from a bundle has no use for {words[0]}"):
            run(*words)
    with pytest.raises(InputError, match="--known-labels belongs to a training that goes on from a bundle"):
        run("--backbone", tmp_path, "--known-labels", 0.3)
    with pytest.raises(InputError, match="--old-weights belongs to a training that goes on from a bundle"):
        run("--backbone", tmp_path, "--old-weights", 0.5)
    done = run()
    assert done.stderr.count("epoch ") == 1
    code = load_bundle(tmp_path / "out").manifest.code
    recipe = json.loads(code["recipe"])
    assert (recipe["epochs"], recipe["label_smoothing"], recipe["class_weights"]) == (1, 0.0, "none")
    assert "--backbone live --epochs 1 --smoothing 0.0" in code["command"]
    run("--epochs", 2, "--known-labels", 0.3, "--rehearsed", 20)
    code = load_bundle(tmp_path / "out").manifest.code
    recipe = json.loads(code["recipe"])
    assert (recipe["epochs"], recipe["known_labels"], recipe["rehearsed"]) == (2, 0.3, 20)
    assert "--known-labels 0.3 --rehearsed 20" in code["command"]
