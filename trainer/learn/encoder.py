"""The encoder every stage works on: a post-norm transformer whose layers may differ in heads and inner width.

A backbone of the Hugging Face kind is read into it (see `trainer.learn.backbone`). Pruning, factorizing and writing the
graph then deal with one set of names instead of one per model family.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import torch
from torch import Tensor, nn

Activation = Literal["gelu", "relu"]


class LayerShape(msgspec.Struct, frozen=True):
    """Attention heads and width of the feed-forward part of one layer; ranks of factorized products, by their name."""

    heads: int
    inner: int
    ranks: dict[str, int] = {}


class Architecture(msgspec.Struct, frozen=True):
    """What the weights of an encoder alone do not say. `depth` is the width of one attention head.

    With `relative_positions`, a bias per layer, head and distance of two tokens joins the attention scores.
    """

    vocabulary: int
    positions: int
    width: int
    depth: int
    layers: list[LayerShape]
    activation: Activation = "gelu"
    epsilon: float = 1e-12
    relative_positions: bool = False

    @property
    def parameters(self) -> int:
        """Number of weights of the encoder."""
        count = (self.vocabulary + self.positions + 2) * self.width
        for layer in self.layers:
            for name, (inputs, outputs) in product_sizes(self, layer).items():
                rank = layer.ranks.get(name)
                count += (inputs * outputs if rank is None else rank * (inputs + outputs)) + outputs
            count += 4 * self.width + self.relative_positions * layer.heads * (2 * self.positions - 1)
        return count


def product_sizes(architecture: Architecture, layer: LayerShape) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the four matrix products of `layer`, by name."""
    mixed = layer.heads * architecture.depth
    return {
        "projection": (architecture.width, 3 * mixed),
        "attention": (mixed, architecture.width),
        "widen": (architecture.width, layer.inner),
        "narrow": (layer.inner, architecture.width),
    }


class Factored(nn.Module):
    """A linear layer as the product of two thin ones: x -> (x S) V + b, with S (inputs, rank) and V (rank, outputs)."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs)

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = self.up(self.down(values))
        return result


class Layer(nn.Module):
    """Self-attention and feed-forward, each followed by a residual sum and a layer normalisation."""

    def __init__(self, architecture: Architecture, shape: LayerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.depth = architecture.depth
        products = {
            name: Factored(inputs, outputs, shape.ranks[name]) if name in shape.ranks else nn.Linear(inputs, outputs)
            for name, (inputs, outputs) in product_sizes(architecture, shape).items()
        }
        self.projection = products["projection"]  # query, key and value side by side
        self.attention = products["attention"]
        self.attention_norm = nn.LayerNorm(architecture.width, eps=architecture.epsilon)
        self.widen = products["widen"]
        self.narrow = products["narrow"]
        self.norm = nn.LayerNorm(architecture.width, eps=architecture.epsilon)
        self.activation = nn.ReLU() if architecture.activation == "relu" else nn.GELU()
        if architecture.relative_positions:  # by distance from 1 - positions to positions - 1
            self.position_bias = nn.Parameter(torch.zeros(shape.heads, 2 * architecture.positions - 1))

    def forward(self, hidden: Tensor, bias: Tensor, distance: Tensor) -> Tensor:
        """`bias` (batch, 1, 1, length) masks padding; `distance` (length, length) of each pair counts from 0."""
        batch, length, _ = hidden.shape
        parts = self.projection(hidden).view(batch, length, 3, self.heads, self.depth).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        # Written out: the fused kernel's backward pass in bfloat16 is slow on a CPU.
        scores = query @ key.transpose(-1, -2) * self.depth**-0.5 + bias
        if hasattr(self, "position_bias"):
            scores = scores + self.position_bias[:, distance]
        mixed = (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2).reshape(batch, length, -1)
        hidden = self.attention_norm(hidden + self.attention(mixed))
        result: Tensor = self.norm(hidden + self.narrow(self.activation(self.widen(hidden))))
        return result


class Encoder(nn.Module):
    """Token ids and mask (batch, length) to hidden states (batch, length, width)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.words = nn.Embedding(architecture.vocabulary, architecture.width)
        self.positions = nn.Embedding(architecture.positions, architecture.width)
        self.norm = nn.LayerNorm(architecture.width, eps=architecture.epsilon)
        self.layers = nn.ModuleList(Layer(architecture, shape) for shape in architecture.layers)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.states(ids, mask)[-1]

    def states(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Hidden states after the embedding and after each layer."""
        bias = (1.0 - mask[:, None, None, :].to(self.positions.weight.dtype)) * -10_000.0
        places = torch.arange(ids.shape[1], device=ids.device)
        distance = places - places[:, None] + self.architecture.positions - 1
        states = [self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])]
        for layer in self.layers:
            states.append(layer(states[-1], bias, distance))
        return states


def rebuilt(architecture: Architecture, weights: dict[str, Tensor]) -> Encoder:
    """An encoder of `architecture` with `weights` by their names in its state. Raises RuntimeError if they differ."""
    with torch.device("meta"):
        encoder = Encoder(architecture)
    encoder.load_state_dict({name: value.detach().clone().contiguous() for name, value in weights.items()}, assign=True)
    for parameter in encoder.parameters():
        parameter.requires_grad_(True)
    return encoder
