"""The ONNX graph of a fine-tuned network, written node by node so that the CPU runs it fast.

Against a generic export: one fused projection for query, key and value; plain MatMul and Softmax for attention;
Add and LayerNormalization kept apart; in eight bits, constant activation scales, so that no text's scores depend on
the others in its batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from core.bundle import ENTITY
from core.classifier import EMBEDDING
from core.errors import InputError
from trainer.learn.encoder import Architecture, LayerShape, product_sizes
from trainer.learn.network import Network

OPSET = 17
IR_VERSION = 9
MICROSOFT = "com.microsoft"
MASKED = -10_000.0  # added to attention scores of padding: their softmax is exactly 0 in 32-bit floats

Array = NDArray[Any]
# Smallest and largest value expected at each matrix product's input, by the product's name.
Ranges = dict[str, tuple[float, float]]


def network_weights(network: Network) -> dict[str, Array]:
    """Weights of `network` as 32-bit arrays, by their name in its state."""
    return {name: value.detach().cpu().numpy().astype(np.float32) for name, value in network.state_dict().items()}


def write_graph(network: Network, max_length: int, ranges: Ranges | None = None) -> onnx.ModelProto:
    """The graph: inputs `ids` int64 and `mask` float32, both (batch, length); one output (batch, labels) per task,
    `embedding` (batch, width), the pooled vectors, and, of a network with that head, `entity` (batch, length, labels),
    logits of a mention at each token.

    Without `ranges` all is in 32-bit floats. With the ranges of the products' inputs, encoder products are in eight
    bits (inputs unsigned with one scale, weights signed with one scale per column) and word vectors have eight bits
    with one scale per word. Raises InputError where texts of `max_length` tokens have no positions.
    """
    architecture, labels = network.architecture, network.labels
    if max_length > architecture.positions:
        raise InputError(f"max_length {max_length} is over the backbone's {architecture.positions} positions")
    writer = _Writer(network_weights(network), architecture, max_length, ranges)
    hidden = writer.embed()
    bias = writer.attention_bias()
    distances = writer.distances() if architecture.relative_positions else None
    for number, layer in enumerate(architecture.layers):
        hidden = writer.layer(number, layer, hidden, bias, distances)
    pooled = writer.pool(hidden)
    writer.embedding(pooled)
    for task in labels:
        writer.head(task, pooled)
    towards = []
    if network.entity_labels:
        writer.entity(hidden, pooled)
        shape: list[str | int | None] = ["batch", "length", len(network.entity_labels)]
        towards = [helper.make_tensor_value_info(ENTITY, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(
        writer.nodes,
        "newstide",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", "length"]),
        ],
        [
            helper.make_tensor_value_info(task, TensorProto.FLOAT, ["batch", len(names)])
            for task, names in labels.items()
        ]
        + [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", architecture.width])]
        + towards,
        writer.constants,
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="newstide")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def product_names(architecture: Architecture) -> list[str]:
    """Every matrix product of the encoder, in order: the name of its torch module below `encoder.`."""
    names = []
    for number, layer in enumerate(architecture.layers):
        for product in product_sizes(architecture, layer):
            name = f"layers.{number}.{product}"
            names += [f"{name}.down", f"{name}.up"] if product in layer.ranks else [name]
    return names


class _Writer:
    """Nodes and constants under construction. Methods return the name of the tensor they produce."""

    def __init__(
        self, weights: dict[str, Array], architecture: Architecture, max_length: int, ranges: Ranges | None
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: set[str] = set()
        self._weights = weights
        self._architecture = architecture
        self._max_length = max_length
        self._ranges = ranges

    def embed(self) -> str:
        vocabulary = self._weights["encoder.words.weight"]
        if self._ranges is None:
            words = self.node("Gather", self.constant("words", vocabulary), "ids")
        else:
            quantized, scales = _quantize_rows(vocabulary)
            codes = self.node("Gather", self.constant("words", quantized), "ids")
            scale = self.node("Gather", self.constant("word_scales", scales), "ids")
            words = self.node("Mul", self.node("Cast", codes, to=TensorProto.FLOAT), scale)
        positions = self.constant("positions", self._weights["encoder.positions.weight"][: self._max_length])
        length = self.length()
        row = self.node("Slice", positions, self.integers(0), length, self.integers(0))
        return self.normalise("encoder.norm", self.node("Add", words, row))

    def attention_bias(self) -> str:
        inverse = self.node("Sub", self.constant("one", np.float32(1)), "mask")
        bias = self.node("Mul", inverse, self.constant("masked", np.float32(MASKED)))
        return self.node("Unsqueeze", bias, self.integers(1, 2))

    def length(self) -> str:
        """Tokens of the texts in the batch, padding included, (1,)."""
        return str(
            self.node("Gather", self.node("Shape", "ids"), self.constant("axis_length", np.array([1], np.int64)))
        )

    def distances(self) -> str:
        """Distance of each pair of tokens, (length, length), counted from 0."""
        places = np.arange(self._max_length)
        pairs = self.constant("pairs", places - places[:, np.newaxis] + self._max_length - 1)
        length = self.length()
        square = self.node("Concat", length, length, axis=0)
        return str(self.node("Slice", pairs, self.integers(0, 0), square, self.integers(0, 1)))

    def layer(self, number: int, shape: LayerShape, hidden: str, bias: str, distances: str | None) -> str:
        prefix = f"layers.{number}"
        mixed = self.attend(prefix, shape.heads, hidden, bias, distances)
        mixed = self.product(f"{prefix}.attention", mixed)
        hidden = self.normalise(f"encoder.{prefix}.attention_norm", self.node("Add", mixed, hidden))
        wide = self.product(f"{prefix}.widen", hidden)
        if self._architecture.activation == "gelu":
            wide = self.node("Gelu", wide, domain=MICROSOFT)
        elif self._ranges is None:
            wide = self.node("Relu", wide)
        # In eight bits a ReLU costs nothing: codes start at zero, and what lies below is cut off there.
        narrow = self.product(f"{prefix}.narrow", wide)
        return self.normalise(f"encoder.{prefix}.norm", self.node("Add", narrow, hidden))

    def attend(self, prefix: str, heads: int, hidden: str, bias: str, distances: str | None) -> str:
        depth = self._architecture.depth
        # The 1/sqrt(depth) of the scores costs nothing inside the query's weights.
        scale = np.ones(3 * heads * depth, np.float32)
        scale[: heads * depth] = 1 / np.sqrt(depth)
        fused = self.product(f"{prefix}.projection", hidden, scale)
        separate = self.node("Split", fused, outputs=3, axis=-1)
        query, key, value = (self.node("Reshape", part, self.integers(0, 0, heads, depth)) for part in separate)
        query = self.node("Transpose", query, perm=[0, 2, 1, 3])
        key = self.node("Transpose", key, perm=[0, 2, 3, 1])
        value = self.node("Transpose", value, perm=[0, 2, 1, 3])
        scores = self.node("Add", self.node("MatMul", query, key), bias)
        if distances is not None:
            most, middle = self._max_length, self._architecture.positions - 1
            table = self._weights[f"encoder.{prefix}.position_bias"][:, middle - most + 1 : middle + most]
            table_name = self.constant(f"{prefix}.position_bias", table)
            scores = self.node("Add", scores, self.node("Gather", table_name, distances, axis=1))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
        mixed = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.node("Reshape", mixed, self.integers(0, 0, heads * depth))

    def pool(self, hidden: str) -> str:
        # As a product, not a sum over the tokens: the runtime sums a single text in another order than many.
        count = self.node("ReduceSum", "mask", self.integers(1), keepdims=1)
        weights = self.node("Unsqueeze", self.node("Div", "mask", count), self.integers(1))
        return self.node("MatMul", weights, hidden)

    def embedding(self, pooled: str) -> None:
        self.nodes.append(helper.make_node("Squeeze", [pooled, self.integers(1)], [EMBEDDING]))

    def head(self, task: str, pooled: str) -> None:
        # A matrix product takes another kernel for one row than for many, and rounds differently; a sum of products
        # treats every text alike.
        weight = self.constant(f"head.{task}.weight", self._weights[f"heads.{task}.weight"][np.newaxis])
        sums = self.node("ReduceSum", self.node("Mul", pooled, weight), self.integers(2), keepdims=0)
        self.nodes.append(
            helper.make_node(
                "Add", [sums, self.constant(f"head.{task}.bias", self._weights[f"heads.{task}.bias"])], [task]
            )
        )

    def entity(self, hidden: str, pooled: str) -> None:
        # One product per text, as in `pool`: of all tokens at once, rounding would depend on how many texts there are.
        width = self._architecture.width
        weight, bias = self._weights["entity.weight"], self._weights["entity.bias"]
        count = self.node("Gather", self.node("Shape", "ids"), self.integers(0))
        shape = self.node("Concat", count, self.integers(1, 1), axis=0)
        own = self.node("Expand", self.constant("entity.mention", weight[np.newaxis, :, :width].swapaxes(1, 2)), shape)
        text = self.constant("entity.text", weight[np.newaxis, :, width:])
        sums = self.node("ReduceSum", self.node("Mul", pooled, text), self.integers(2), keepdims=0)
        offset = self.node("Unsqueeze", self.node("Add", sums, self.constant("entity.bias", bias)), self.integers(1))
        self.nodes.append(helper.make_node("Add", [self.node("MatMul", hidden, own), offset], [ENTITY]))

    def product(self, name: str, left: str, scale: Array | None = None) -> str:
        """`left` through the linear layer `name`, its outputs multiplied by `scale`."""
        if f"encoder.{name}.down.weight" in self._weights:
            left = self.linear(f"{name}.down", left)
            name = f"{name}.up"
        return self.linear(name, left, scale)

    def linear(self, name: str, left: str, scale: Array | None = None) -> str:
        """`left` times one matrix (inputs, outputs) plus its bias, in eight bits where ranges are known."""
        weight = self._weights[f"encoder.{name}.weight"].T
        offset = self._weights.get(f"encoder.{name}.bias")
        if scale is not None:
            weight, offset = weight * scale, None if offset is None else offset * scale
        bias = "" if offset is None else self.constant(f"{name}.bias", offset)
        if self._ranges is None:
            result = self.node("MatMul", left, self.constant(f"{name}.weight", weight))
            return self.node("Add", result, bias) if bias else str(result)
        left_scale, left_zero = quantization(*self._ranges[name])
        left_scale_name = self.constant(f"{name}.input_scale", np.float32(left_scale))
        left_zero_name = self.constant(f"{name}.input_zero", np.uint8(left_zero))
        codes, scales = _quantize_rows(weight.T)
        return str(
            self.node(
                "MatMulIntegerToFloat",
                self.node("QuantizeLinear", left, left_scale_name, left_zero_name),
                self.constant(f"{name}.weight", np.ascontiguousarray(codes.T)),
                left_scale_name,
                self.constant(f"{name}.weight_scales", scales[:, 0]),
                left_zero_name,
                "",
                bias,
                domain=MICROSOFT,
            )
        )

    def normalise(self, name: str, value: str) -> str:
        weight = self.constant(f"{name}.weight", self._weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self.node("LayerNormalization", value, weight, bias, axis=-1, epsilon=self._architecture.epsilon)

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; the name of its output, or a list of names where it has several."""
        names = [f"{kind.lower()}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, name: str, value: Any) -> str:
        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))


def quantization(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point that map [low, high], widened to hold 0, onto the unsigned eight-bit codes."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-8) / 255
    return scale, int(np.clip(round(-low / scale), 0, 255))


def _quantize_rows(values: Array) -> tuple[Array, Array]:
    """Signed eight-bit codes of `values` (rows, n) and one scale per row, (rows, 1); zero stays exactly zero."""
    scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-8) / 127
    return np.clip(np.rint(values / scales), -127, 127).astype(np.int8), scales.astype(np.float32)
