"""From a trained network to a bundle: calibrate, export, quantize, evaluate, write."""

from __future__ import annotations

import platform
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.bundle import (
    FORMAT_VERSION,
    SERVED,
    Bundle,
    DataSource,
    EntitySpec,
    Manifest,
    SelfTest,
    TaskSpec,
    write_bundle,
)
from core.classifier import Classifier
from core.language import languages_of
from core.mentions import occurrences
from core.scoring import EntityScore, OperatingPoint, TaskScore, best_accuracy, best_recall, softmax
from core.unseen import NEGATIVE, SourceScore, Unseen, mean_scores
from trainer.compress.calibration import Method, fit_temperature, measure_ranges
from trainer.compress.graph import Ranges, write_graph
from trainer.data.examples import Example
from trainer.judge.card import model_card
from trainer.judge.entities import entity_scores, judge_entities
from trainer.judge.sources import judge, judge_sources, judge_streams
from trainer.learn.batches import Encoded, encode
from trainer.learn.network import Network
from trainer.material import SPLIT_SEED, Labels, Material
from trainer.watch.reference import measure_reference

CALIBRATION_TEXTS = 2_000
SERVING_LENGTH = 128
SELF_TEST_TEXTS = (
    "Acme Bank shares plunge 20% after it warns of heavy loan losses",
    "Widget Corp raises full-year guidance as profit beats expectations",
    "Fed leaves rates unchanged, as expected",
    "$ACME declares $0.25 quarterly dividend",
    "Oil settles higher after OPEC+ agrees to cut output",
    "Board names new chief financial officer",
)
SELF_TEST_COMPANIES = ("Acme Bank", "Widget Corp", "Fed", "$ACME", "OPEC+", "Board")


class Origin(msgspec.Struct, frozen=True):
    """What a manifest and its card say of how a bundle came about. `recipe`: JSON of every choice that was made."""

    name: str
    backbone: str
    command: str
    recipe: str
    summary: str = "all layers, fine-tuned"


def make_bundle(
    network: Network,
    tokenizer: Tokenizer,
    material: Material,
    path: Path,
    origin: Origin,
    *,
    length: int = SERVING_LENGTH,
    method: Method = "minmax",
    others: Mapping[str, Sequence[TaskScore]] | None = None,
    unseen: Sequence[SourceScore] = (),
    begun: Manifest | None = None,
) -> Bundle:
    """Quantize `network`, fit its temperatures on the validation part with the eight-bit graph, evaluate it on the
    test part in both precisions by the classifier that serves, and write it all to `path`.

    `others` are figures of other variants on the same test part, such as the teacher's, for the card; `unseen` those of
    trainings by the same recipe without a source. Where `material` has sources that were left out, they are judged.
    `begun`: the manifest of the bundle that the network went on from, whose sources and languages it has too.
    """
    evaluation = dict(others or {})
    towards: dict[str, EntityScore] = {}
    for variant, eight_bits in (("fp32", False), (SERVED, True)):
        final = served_bundle(
            network,
            tokenizer,
            material,
            eight_bits=eight_bits,
            method=method,
            length=length,
            origin=origin,
            begun=begun,
        )
        classifier = Classifier(final)
        evaluation[variant] = judge(classifier, material.split.test)
        if classifier.entity_labels:
            towards[variant] = judge_entities(classifier, material.split.test)
    entity = final.manifest.entity
    manifest = msgspec.structs.replace(
        final.manifest,
        evaluation={variant: list(scores) for variant, scores in evaluation.items()},
        data=_learnt(material, begun),
        code=_code(origin),
        languages=begun.languages if begun is not None else _languages(material),
        self_test=_self_test(classifier),
        entity=msgspec.structs.replace(entity, evaluation=towards) if entity is not None else None,
        reference=measure_reference(classifier, [example.text for example in material.split.validation]),
        unseen=_unseen(classifier, material, unseen),
        streams=judge_streams(classifier, material.split.test, material.streams),
    )
    card = model_card(
        manifest, material.removed, origin.summary, material.options, begun.name if begun is not None else ""
    )
    bundle = write_bundle(path, manifest, final.model, final.tokenizer, card)
    Classifier(bundle).self_test()
    return bundle


def _learnt(material: Material, begun: Manifest | None) -> list[DataSource]:
    """Sources of `material`, and those that only the bundle it `begun` with has learnt from. Of a source without a text
    to learn from here, what that bundle learnt counts."""
    before = {source.name: source for source in (begun.data if begun is not None else [])}
    own = [
        source
        if source.train or source.name not in before
        else msgspec.structs.replace(source, train=before[source.name].train)
        for source in material.sources()
    ]
    names = {source.name for source in own}
    return own + [source for name, source in before.items() if name not in names]


def _languages(material: Material) -> list[str]:
    return [material.language] if material.language else languages_of([e.text for e in material.split.train])


def _self_test(classifier: Classifier) -> list[SelfTest]:
    """What `classifier` says of texts of our own, and of a company in each where it has the head for that."""
    spans = [occurrences(text, name)[0] for text, name in zip(SELF_TEST_TEXTS, SELF_TEST_COMPANIES, strict=True)]
    read = classifier.read(SELF_TEST_TEXTS, [[(span,)] for span in spans])
    tests = []
    for row, text in enumerate(SELF_TEST_TEXTS):
        scores = {task: [round(float(p), 6) for p in table[row]] for task, table in read.scores.items()}
        (towards,) = read.mentions[row]
        if towards is None:
            tests.append(SelfTest(text, scores))
        else:
            tests.append(SelfTest(text, scores, spans[row], [round(float(p), 6) for p in towards]))
    return tests


def served_bundle(
    network: Network,
    tokenizer: Tokenizer,
    material: Material,
    *,
    eight_bits: bool = True,
    method: Method = "minmax",
    length: int = SERVING_LENGTH,
    origin: Origin | None = None,
    begun: Manifest | None = None,
) -> Bundle:
    """`network` as it would serve, in memory: calibrated on training texts, its temperatures fitted on validation.

    Where it went on from the bundle of `begun`, that one's temperatures and thresholds stay: in the validation part of
    another dataset are texts that it learnt from, of which any network is surer than of others.
    """
    length = min(length, network.architecture.positions)
    ranges = None
    if eight_bits:
        ranges = measure_ranges(network, calibration_texts(material, tokenizer, length), method)
    plain = plain_bundle(network, tokenizer, length, ranges, origin)
    if begun is None:
        return tempered(plain, material.split.validation)
    entity = msgspec.structs.replace(begun.entity, evaluation={}) if begun.entity is not None else None
    kept = msgspec.structs.replace(plain.manifest, tasks=begun.tasks, entity=entity)
    return msgspec.structs.replace(plain, manifest=kept)


def plain_bundle(
    network: Network, tokenizer: Tokenizer, length: int, ranges: Ranges | None, origin: Origin | None = None
) -> Bundle:
    """`network` as a bundle in memory, without temperatures: eight bits with `ranges`, else 32-bit floats."""
    graph = write_graph(network, length, ranges).SerializeToString()
    tasks = {task: TaskSpec(list(names)) for task, names in network.labels.items()}
    name, backbone = (origin.name, origin.backbone) if origin else ("unnamed", "unnamed")
    entity = EntitySpec(list(network.entity_labels)) if network.entity_labels else None
    manifest = Manifest(FORMAT_VERSION, name, tasks, length, backbone, entity=entity)
    return Bundle(manifest, graph, tokenizer.to_str().encode())


def tempered(bundle: Bundle, examples: Sequence[Example]) -> Bundle:
    """`bundle` with the temperature of each task fitted on `examples`."""
    classifier = Classifier(bundle)
    predicted = classifier.predict([example.text for example in examples])
    tasks = {}
    for task, spec in bundle.manifest.tasks.items():
        rows = [row for row, example in enumerate(examples) if task in example.labels]
        truth = np.array([spec.labels.index(examples[row].labels[task]) for row in rows], dtype=np.int64)
        logits = _logits(predicted[task][rows])
        temperature = round(fit_temperature(logits, truth), 4)
        tasks[task] = TaskSpec(spec.labels, temperature, _uses(spec.labels, truth, softmax(logits, temperature)))
    entity = bundle.manifest.entity
    if entity is not None:
        named = [example for example in examples if example.entities]
        truth = np.array([entity.labels.index(one.label) for e in named for one in e.entities], dtype=np.int64)
        scores, _ = entity_scores(classifier, named)
        entity = EntitySpec(entity.labels, round(fit_temperature(_logits(scores), truth), 4))
    manifest = msgspec.structs.replace(bundle.manifest, tasks=tasks, entity=entity)
    return Bundle(manifest, bundle.model, bundle.tokenizer)


def _logits(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits up to a constant per row, which no softmax sees."""
    return np.log(np.maximum(scores, 1e-30))


def _uses(labels: Sequence[str], truth: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[str, OperatingPoint]:
    """Thresholds on bad news by use, for a task that tells it: none for alerts where none is precise enough."""
    if NEGATIVE not in labels or not len(truth):
        return {}
    names, label = tuple(labels), labels.index(NEGATIVE)
    alerts = best_recall(names, label, truth, scores)
    found = {} if alerts is None else {"alerts": alerts}
    return found | {"dashboards": best_accuracy(names, label, truth, scores)}


def judge_choice(classifier: Classifier, material: Material) -> list[TaskScore]:
    """Figures that variants are chosen by: on the validation part, or, where sources were left out to choose by, those
    of all their texts with accuracy, macro-F1 and ECE as the mean over them."""
    if not material.unseen:
        return judge(classifier, material.split.validation)
    means = {mean.task: mean for mean in mean_scores(judge_sources(classifier, material.unseen), language=None)}
    return [
        msgspec.structs.replace(score, accuracy=mean.accuracy, macro_f1=mean.macro_f1, ece=mean.ece)
        for score in judge(classifier, material.unseen)
        if (mean := means.get(score.task)) is not None
    ]


def calibration_texts(material: Material, tokenizer: Tokenizer, length: int) -> Encoded:
    """A fixed sample of the training texts, to measure ranges on."""
    texts = list(material.split.train)
    random.Random(SPLIT_SEED).shuffle(texts)
    labels: Labels = material.labels
    return encode(texts[:CALIBRATION_TEXTS], tokenizer, labels, length)


def _unseen(classifier: Classifier, material: Material, by_recipe: Sequence[SourceScore]) -> Unseen | None:
    if material.unseen:
        return Unseen("model", judge_sources(classifier, material.unseen))
    return Unseen("recipe", list(by_recipe)) if by_recipe else None


def _code(origin: Origin) -> dict[str, str]:
    versions = {
        module.__name__: str(module.__version__) for module in (torch, transformers, onnx, onnxruntime, tokenizers)
    }
    return {"command": origin.command, "recipe": origin.recipe, "python": platform.python_version(), **versions}
