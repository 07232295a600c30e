"""The graph written by hand computes what torch computes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch

from core.bundle import Bundle, Manifest, TaskSpec
from core.classifier import Classifier
from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.compress.calibration import fit_temperature, measure_ranges
from trainer.compress.graph import quantization, write_graph
from trainer.data.corpora import read_jsonl
from trainer.learn.averaging import predict_logits
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import encode
from trainer.learn.encoder import Encoder, rebuilt
from trainer.learn.network import Network
from trainer.learn.tokenizer import load_tokenizer


def run(model: bytes, ids: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["sentiment", "topic"], {"ids": ids, "mask": mask})


def with_position_bias(encoder: Encoder) -> Encoder:
    architecture = msgspec.structs.replace(encoder.architecture, relative_positions=True)
    weights = encoder.state_dict()
    for number, shape in enumerate(architecture.layers):
        weights[f"layers.{number}.position_bias"] = torch.randn(shape.heads, 2 * architecture.positions - 1)
    return rebuilt(architecture, weights)


@pytest.mark.parametrize("relative", [False, True])
def test_logits_equal_those_of_torch(
    tiny_backbone: Path, tiny_taxonomy: Taxonomy, tiny_data: Path, relative: bool
) -> None:
    torch.manual_seed(0)
    encoder = load_encoder(tiny_backbone)
    network = Network(with_position_bias(encoder) if relative else encoder, tiny_taxonomy.tasks).eval()
    data = encode(read_jsonl(tiny_data, tiny_taxonomy), load_tokenizer(tiny_backbone), tiny_taxonomy.tasks, 32)
    expected = predict_logits(network, data)
    length = max(map(len, data.ids)) + 5
    ids, mask = np.zeros((len(data.ids), length), np.int64), np.zeros((len(data.ids), length), np.float32)
    for row, tokens in enumerate(data.ids):
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    plain = run(write_graph(network, 32).SerializeToString(), ids, mask)
    ranges = measure_ranges(network, data)
    small = run(write_graph(network, 32, ranges).SerializeToString(), ids, mask)
    for task, exact, rounded in zip(tiny_taxonomy.tasks, plain, small, strict=True):
        assert np.abs(exact - expected[task]).max() < 1e-4
        assert np.corrcoef(rounded.ravel(), expected[task].ravel())[0, 1] > 0.99


def test_texts_longer_than_the_backbone_knows_are_refused(tiny_backbone: Path, tiny_taxonomy: Taxonomy) -> None:
    network = Network(load_encoder(tiny_backbone), tiny_taxonomy.tasks)
    with pytest.raises(InputError, match="40 positions"):
        write_graph(network, 41)


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (1.0, 2.0), (-2.0, -1.0), (0.0, 0.0)])
def test_zero_is_exact_and_the_range_is_covered(low: float, high: float) -> None:
    scale, zero = quantization(low, high)
    assert 0 <= zero <= 255
    assert (0 - zero) * scale <= min(low, 0) + scale
    assert (255 - zero) * scale >= max(high, 0) - scale


def test_the_temperature_undoes_a_known_sharpening() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20_000, 3)).astype(np.float32)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (chances.cumsum(1) < generator.random((len(logits), 1))).sum(1)
    assert fit_temperature(logits * 3, truth) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits[:0], truth[:0]) == 1.0


def test_embeddings_are_the_pooled_vectors(tiny_backbone: Path, tiny_taxonomy: Taxonomy) -> None:
    torch.manual_seed(0)
    network = Network(load_encoder(tiny_backbone), tiny_taxonomy.tasks).eval()
    graph = write_graph(network, 32)
    tokenizer = load_tokenizer(tiny_backbone)
    tasks = {task: TaskSpec(list(labels)) for task, labels in tiny_taxonomy.tasks.items()}
    manifest = Manifest(1, "tiny", tasks, 32, "tiny")
    classifier = Classifier(Bundle(manifest, graph.SerializeToString(), tokenizer.to_str().encode()))
    texts = ["acme1 bank fraud", "acme2 oil wins the . a"]
    found = classifier.embed(texts)
    for text, row in zip(texts, found, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        hidden = network.encoder(ids, torch.ones_like(ids))
        assert np.abs(hidden[0].mean(0).detach().numpy() - row).max() < 1e-4
    assert classifier.embed([]).shape == (0, 0)
