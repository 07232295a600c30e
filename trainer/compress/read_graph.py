"""A bundle's graph read back into the network that it was written of, so that a training can go on from it.

Only constants are read, by the names that `trainer.compress.graph` gives them; nothing of the graph is run. That they
make up the network that the bundle serves is proven on the bundle's own texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import BundleError
from trainer.compress.graph import product_names, write_graph
from trainer.learn.encoder import Architecture, Encoder, LayerShape
from trainer.learn.network import Network

_PRODUCTS = ("projection", "attention", "widen", "narrow")

Array = NDArray[Any]


def read_network(bundle: Bundle) -> Network:
    """The network of `bundle` with all of its heads, in 32-bit floats; weights in eight bits as they are rounded.

    Raises BundleError for a graph that `write_graph` did not write, one with constants in files beside it, or one whose
    constants make up a network that fails the bundle's self-test.
    """
    where = str(bundle.path or bundle.name)
    manifest = bundle.manifest
    labels = {task: tuple(spec.labels) for task, spec in manifest.tasks.items()}
    entity = tuple(manifest.entity.labels) if manifest.entity is not None else ()
    try:
        constants = _Constants(onnx.load_model_from_string(bundle.model).graph)
        architecture = constants.architecture()
        with torch.device("meta"):
            network = Network(Encoder(architecture), labels, entity_labels=entity)
        weights = dict(constants.weights(architecture, list(labels), bool(entity)))
        state = {name: torch.from_numpy(np.array(value, np.float32, order="C")) for name, value in weights.items()}
        network.load_state_dict(state, assign=True)
        graph = write_graph(network.eval(), manifest.max_length).SerializeToString()
    except Exception as error:  # protobuf, NumPy and torch each raise their own for what is malformed
        raise BundleError(
            f"{where}: its network can't be read back ({type(error).__name__}: {str(error)[:200]}); newstide did not "
            "write this graph, or it is damaged: train anew from a backbone"
        ) from error
    if not manifest.self_test:
        raise BundleError(f"{where} brings no text to prove on what was read back; train anew from a backbone")
    Classifier(msgspec.structs.replace(bundle, model=graph)).self_test()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return network


class _Constants:
    """The constants of a graph, and what its nodes say beside them."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:  # `to_array` would open whatever file it names
                raise ValueError(f"the constant {tensor.name:.80} is kept in another file")
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._nodes = graph.node

    def __getitem__(self, name: str) -> Array:
        return numpy_helper.to_array(self._tensors[name])

    def architecture(self) -> Architecture:
        """What the encoder is, from the shapes of its constants."""
        shapes = (self[name] for name in self._tensors if name.startswith("i_0_0_"))
        depth = next(int(shape[3]) for shape in shapes if len(shape) == 4)  # batch, length, heads, depth
        layers: list[LayerShape] = []
        while f"encoder.layers.{len(layers)}.norm.weight" in self._tensors:
            layers.append(self._layer(f"layers.{len(layers)}", depth))
        norm = next(node for node in self._nodes if node.op_type == "LayerNormalization")
        vocabulary, width = self["words"].shape
        return Architecture(
            vocabulary,
            len(self["positions"]),
            width,
            depth,
            layers,
            "gelu" if any(node.op_type == "Gelu" for node in self._nodes) else "relu",
            next(float(one.f) for one in norm.attribute if one.name == "epsilon"),
            "layers.0.position_bias" in self._tensors,
        )

    def _layer(self, prefix: str, depth: int) -> LayerShape:
        thin = {name: f"{prefix}.{name}.down.weight" for name in _PRODUCTS}
        ranks = {name: self[down].shape[1] for name, down in thin.items() if down in self._tensors}
        outputs = {name: self[f"{prefix}.{name}{'.up' * (name in ranks)}.bias"].size for name in _PRODUCTS}
        return LayerShape(outputs["projection"] // (3 * depth), outputs["widen"], ranks)

    def weights(self, architecture: Architecture, tasks: list[str], entity: bool) -> Iterator[tuple[str, Array]]:
        """Names and values of a network's state."""
        words = self["words"]
        yield "encoder.words.weight", words * self["word_scales"] if words.dtype == np.int8 else words
        yield "encoder.positions.weight", self["positions"]
        for name in self._tensors:
            if name.startswith("encoder."):  # layer normalisations are called as in the state
                yield name, self[name]
            elif name.endswith(".position_bias"):
                yield f"encoder.{name}", self[name]
        for name in product_names(architecture):
            weight, bias = self._product(name)
            if ".projection" in name and not name.endswith(".down"):
                # The writer has put the 1 / sqrt(depth) of the scores into the query.
                undone = np.ones(len(weight), np.float32)
                undone[: len(weight) // 3] = np.sqrt(architecture.depth)
                weight, bias = weight * undone[:, np.newaxis], bias * undone
            yield f"encoder.{name}.weight", weight
            if not name.endswith(".down"):
                yield f"encoder.{name}.bias", bias
        for task in tasks:
            yield f"heads.{task}.weight", self[f"head.{task}.weight"][0]
            yield f"heads.{task}.bias", self[f"head.{task}.bias"]
        if entity:
            yield "entity.weight", np.concatenate([self["entity.mention"][0].T, self["entity.text"][0]], axis=1)
            yield "entity.bias", self["entity.bias"]

    def _product(self, name: str) -> tuple[Array, Array]:
        """Weights (outputs, inputs) and bias of the linear layer `name`; a thin one that leads down has no bias."""
        weight = self[f"{name}.weight"]
        if weight.dtype == np.int8:
            weight = weight * self[f"{name}.weight_scales"]
        bias = self[f"{name}.bias"] if f"{name}.bias" in self._tensors else np.zeros(weight.shape[1], np.float32)
        return weight.T, bias
