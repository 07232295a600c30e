"""The whole road from labelled texts to a bundle: split, fine-tune, calibrate, export, quantize, evaluate, write."""

from __future__ import annotations

import hashlib
import platform
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

from core.bundle import FORMAT_VERSION, Bundle, DataSource, Manifest, SelfTest, TaskSpec, write_bundle
from core.classifier import Classifier
from core.errors import InputError
from core.scoring import TaskScore, score_task
from core.taxonomy import Taxonomy
from trainer.compress.calibration import fit_temperature, measure_ranges
from trainer.compress.graph import Ranges, write_graph
from trainer.data.corpora import Example, licence, merge_duplicates
from trainer.data.splits import Split, split_examples
from trainer.judge.card import model_card
from trainer.learn.averaging import blend
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.batches import Encoded, encode, load_tokenizer
from trainer.learn.finetune import Epoch, Recipe, fine_tune
from trainer.learn.network import Network

CALIBRATION_TEXTS = 2_000
SERVING_LENGTH = 128
SPLIT_SEED = 0  # fixed, so that runs with different training seeds are judged on the same texts
SELF_TEST_TEXTS = (
    "Acme Bank shares plunge 20% after it warns of heavy loan losses",
    "Widget Corp raises full-year guidance as profit beats expectations",
    "Fed leaves rates unchanged, as expected",
    "$ACME declares $0.25 quarterly dividend",
    "Oil settles higher after OPEC+ agrees to cut output",
    "Board names new chief financial officer",
)


class Trained(msgspec.Struct, frozen=True):
    """A fine-tuned network with all that is needed to make a bundle of it."""

    network: Network
    labels: dict[str, tuple[str, ...]]
    split: Split
    recipe: Recipe
    backbone: Path
    removed: dict[str, int]


class Material(msgspec.Struct, frozen=True):
    """Cleaned and split examples; the tasks they label; counts of what cleaning removed."""

    split: Split
    labels: dict[str, tuple[str, ...]]
    removed: dict[str, int]


def prepare(examples: Sequence[Example], taxonomy: Taxonomy) -> Material:
    """Merge copies and split by groups of near-duplicates. Raises InputError where too little is left."""
    merged, removed = merge_duplicates(examples)
    seen = {task: {e.labels[task] for e in merged if task in e.labels} for task in taxonomy.tasks}
    labels = {task: names for task, names in taxonomy.tasks.items() if seen[task]}
    if not labels:
        raise InputError("no labelled text is left to learn from; check the files given by --data")
    for task in labels:
        if len(seen[task]) < 2:
            raise InputError(f"every text has the same label for {task!r}; a classifier needs at least two")
    return Material(split_examples(merged, SPLIT_SEED), labels, removed)


def train(
    material: Material,
    backbone: Path,
    recipe: Recipe,
    weights: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
) -> Trained:
    """Fine-tune `backbone`, `recipe.runs` times, and average the runs that help on validation.

    With a directory `weights`, each run's weights are kept there, and a later call with the same recipe and data takes
    them from there. Raises InputError for a backbone that can't be used.
    """
    labels, split = material.labels, material.split
    tokenizer = load_tokenizer(backbone)
    mask_id = tokenizer.token_to_id("[MASK]")
    if mask_id is None:
        raise InputError(f"the tokenizer in {backbone} has no [MASK] token; use a BERT model directory")
    data = [encode(part, tokenizer, labels, recipe.max_length) for part in (split.train, split.validation)]
    states = []
    for seed in range(recipe.seed, recipe.seed + recipe.runs):
        single = msgspec.structs.replace(recipe, seed=seed, runs=1)
        kept = weights / f"{fingerprint(material, backbone, single)}.safetensors" if weights is not None else None
        if kept is not None and kept.is_file():
            states.append(load_file(kept))
            continue
        torch.manual_seed(seed)
        network = Network(load_encoder(backbone), labels, recipe.dropout)
        fine_tune(network, data[0], data[1], mask_id, single, on_epoch=on_epoch, quiet=quiet)
        states.append(network.state_dict())
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(network.state_dict(), kept)
    network = Network(load_encoder(backbone), labels, recipe.dropout)
    blend(network, states, data[1])
    return Trained(network, labels, split, recipe, backbone, material.removed)


def fingerprint(material: Material, backbone: Path, recipe: Recipe) -> str:
    """A name for one run's weights: it changes with the recipe, the training texts, the labels and the backbone."""
    parts = (recipe, material.labels, material.split.train, material.split.validation, backbone_name(backbone))
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def make_bundle(trained: Trained, path: Path, name: str, command: str, length: int = SERVING_LENGTH) -> Bundle:
    """Export, quantize, calibrate and evaluate `trained`, and write the bundle to `path`.

    Temperatures are fitted on the validation part with the eight-bit graph; figures are those of the test part, for
    both graphs, by the classifier that serves.
    """
    network, labels, split = trained.network, trained.labels, trained.split
    tokenizer = load_tokenizer(trained.backbone)
    length = min(length, network.architecture.positions)
    ranges = measure_ranges(network, _calibration_texts(trained, length))
    serialized = tokenizer.to_str().encode()
    tasks = {task: TaskSpec(list(names)) for task, names in labels.items()}
    manifest = Manifest(FORMAT_VERSION, name, tasks, length, backbone_name(trained.backbone))
    evaluation = {}
    graphs: dict[str, Ranges | None] = {"fp32": None, "int8": ranges}
    for variant, chosen in graphs.items():
        graph = write_graph(network, length, chosen).SerializeToString()
        plain = Bundle(msgspec.structs.replace(manifest, tasks=tasks), graph, serialized)
        tempered = {
            task: TaskSpec(spec.labels, _temperature(plain, split.validation, task)) for task, spec in tasks.items()
        }
        final = Bundle(msgspec.structs.replace(manifest, tasks=tempered), graph, serialized)
        evaluation[variant] = evaluate(Classifier(final), split.test)
    predicted = Classifier(final).predict(SELF_TEST_TEXTS)
    manifest = msgspec.structs.replace(
        final.manifest,
        evaluation=evaluation,
        data=_sources(split),
        code=_code(trained, command),
        self_test=[
            SelfTest(text, {task: [round(float(p), 6) for p in predicted[task][row]] for task in predicted})
            for row, text in enumerate(SELF_TEST_TEXTS)
        ],
    )
    bundle = write_bundle(path, manifest, final.model, serialized, model_card(manifest, trained.removed))
    Classifier(bundle).self_test()
    return bundle


def evaluate(classifier: Classifier, examples: Sequence[Example]) -> list[TaskScore]:
    """Figures per task of `classifier` on labelled `examples`."""
    predicted = classifier.predict([example.text for example in examples])
    scores = []
    for task in classifier.tasks:
        rows = [row for row, example in enumerate(examples) if task in example.labels]
        labels = classifier.labels(task)
        truth = np.array([labels.index(examples[row].labels[task]) for row in rows], dtype=np.int64)
        scores.append(score_task(task, labels, truth, predicted[task][rows]))
    return scores


def _calibration_texts(trained: Trained, length: int) -> Encoded:
    texts = list(trained.split.train)
    random.Random(SPLIT_SEED).shuffle(texts)
    return encode(texts[:CALIBRATION_TEXTS], load_tokenizer(trained.backbone), trained.labels, length)


def _temperature(bundle: Bundle, examples: Sequence[Example], task: str) -> float:
    labels = bundle.manifest.tasks[task].labels
    labelled = [example for example in examples if task in example.labels]
    if not labelled:
        return 1.0
    # The logarithm of a softmax is its logits up to a constant per row, which no softmax sees.
    scores = Classifier(bundle).predict([example.text for example in labelled])[task]
    truth = np.array([labels.index(example.labels[task]) for example in labelled])
    return round(fit_temperature(np.log(np.maximum(scores, 1e-30)), truth), 4)


def _sources(split: Split) -> list[DataSource]:
    parts = [Counter(example.source for example in part) for part in (split.train, split.validation, split.test)]
    return [DataSource(name, licence(name), *(part[name] for part in parts)) for name in sorted(set().union(*parts))]


def _code(trained: Trained, command: str) -> dict[str, str]:
    versions = {
        module.__name__: str(module.__version__) for module in (torch, transformers, onnx, onnxruntime, tokenizers)
    }
    recipe = msgspec.json.encode(trained.recipe).decode()
    return {"command": command, "recipe": recipe, "python": platform.python_version(), **versions}
