"""Bundles of a few kilobytes that fit the taxonomy that ships, each with labels of its own for the same texts."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from sqlalchemy import Engine
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from core.bundle import ENTITY, Bundle, EntitySpec, Manifest, SelfTest, TaskSpec, write_bundle
from core.classifier import Classifier
from core.settings import Settings
from core.shelf import Shelf
from core.store.models import register_model
from core.taxonomy import load_taxonomy

SELF_TEST = "Acme Bank shares plunge after fraud probe"


def write_tiny(
    path: Path,
    name: str,
    seed: int,
    labels: Mapping[str, Sequence[str]] | None = None,
    self_test: bool = True,
    padding: int = 0,
    languages: Sequence[str] = ("en",),
    companies: bool = False,
) -> Bundle:
    """A bundle that adds up a random row per character. `self_test` False makes one that fails its own; `padding`
    bytes make it larger; `languages` are those that it says it reads; with `companies` it has sentiments towards
    them."""
    tasks = {task: list(names) for task, names in (labels or load_taxonomy().tasks).items()}
    manifest = Manifest(1, name, {task: TaskSpec(names, 4.0) for task, names in tasks.items()}, 64, f"seed {seed}")
    manifest = msgspec.structs.replace(manifest, languages=list(languages))
    if companies:
        manifest = msgspec.structs.replace(manifest, entity=EntitySpec(tasks["sentiment"], 2.0))
    widths = {task: len(names) for task, names in tasks.items()}
    model = _network(widths, seed, padding, len(tasks["sentiment"]) if companies else 0)
    bundle = write_bundle(path, manifest, model, _tokenizer(), f"# {name}\n")
    scores = {task: table[0].tolist() for task, table in Classifier(bundle).predict([SELF_TEST]).items()}
    if not self_test:
        scores["sentiment"] = _wrong(scores["sentiment"])
    manifest = msgspec.structs.replace(manifest, self_test=[SelfTest(SELF_TEST, scores)])
    return write_bundle(path, manifest, model, _tokenizer(), f"# {name}\n")


def register_tiny(settings: Settings, engine: Engine, path: Path) -> str:
    """Shelve and register the bundle at `path`; its name. What `newstide promote` does before it judges."""
    shelved = Shelf(settings.shelf_location, settings.bundle_cache).put(path)
    register_model(
        engine,
        shelved.bundle.manifest,
        location=shelved.location,
        checksum=shelved.checksum,
        size_bytes=shelved.size_bytes,
        actor="test",
        reason="test",
    )
    return shelved.bundle.name


def _wrong(row: list[float]) -> list[float]:
    """All on the label that the bundle thinks least likely."""
    return [1.0 if score == min(row) else 0.0 for score in row]


def _characters() -> list[str]:
    return ["[UNK]", *string.ascii_letters, *string.digits, *" $%.,'-"]


def _tokenizer() -> bytes:
    vocabulary = {character: number for number, character in enumerate(_characters())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    return tokenizer.to_str().encode()


def _network(widths: Mapping[str, int], seed: int, padding: int, entity: int) -> bytes:
    random = np.random.default_rng(seed)
    nodes = [helper.make_node("Unsqueeze", ["mask", "two"], ["weights"])]
    constants = [numpy_helper.from_array(np.array([1]), "one"), numpy_helper.from_array(np.array([2]), "two")]
    for task, width in widths.items():
        # Eighths add up exactly in float32, in any order.
        table = (random.integers(-16, 17, (len(_characters()), width)) / 8).astype(np.float32)
        constants.append(numpy_helper.from_array(table, f"table_{task}"))
        nodes += [
            helper.make_node("Gather", [f"table_{task}", "ids"], [f"rows_{task}"]),
            helper.make_node("Mul", [f"rows_{task}", "weights"], [f"kept_{task}"]),
            helper.make_node("ReduceSum", [f"kept_{task}", "one"], [task], keepdims=0),
        ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "l"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["b", "l"]),
    ]
    outputs = [helper.make_tensor_value_info(task, TensorProto.FLOAT, ["b", width]) for task, width in widths.items()]
    if entity:
        table = (random.integers(-16, 17, (len(_characters()), entity)) / 8).astype(np.float32)
        constants.append(numpy_helper.from_array(table, "table_entity"))
        nodes.append(helper.make_node("Gather", ["table_entity", "ids"], [ENTITY]))
        outputs.append(helper.make_tensor_value_info(ENTITY, TensorProto.FLOAT, ["b", "l", entity]))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    model.doc_string = "." * padding
    content: bytes = model.SerializeToString()
    return content
