"""Structural pruning: what is taken out is gone from the matrices, so every runtime is faster for it.

Heads and inner neurons go by their first-order importance, the mean over batches of |dL/dg| for a gate g = 1 on each
(Michel, Levy and Neubig 2019; Molchanov et al. 2019); layers one by one, each time the one whose absence raises the
loss least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import InputError
from trainer.learn.batches import Encoded, bucketed
from trainer.learn.encoder import Encoder, LayerShape, rebuilt
from trainer.learn.network import Network

Loss = Callable[[Network, Encoded], float]
Scores = list[tuple[NDArray[np.float64], NDArray[np.float64]]]  # per layer: of its heads, of its inner neurons


def importance(network: Network, data: Encoded, batch_loss: Callable[[Network, Any], Tensor], size: int = 32) -> Scores:
    """Importance of every head and inner neuron of `network` on `data`; larger is dearer. Runs where `network` is."""
    network.eval()
    device = next(network.parameters()).device
    gates: list[tuple[Tensor, Tensor]] = []
    handles = []
    modules = dict(network.encoder.named_modules())
    for number, shape in enumerate(network.architecture.layers):
        heads, inner = (torch.ones(n, device=device, requires_grad=True) for n in (shape.heads, shape.inner))
        gates.append((heads, inner))
        for name, gate in (("attention", heads), ("narrow", inner)):
            repeat = network.architecture.depth if gate is heads else 1
            handles.append(modules[f"layers.{number}.{name}"].register_forward_pre_hook(_gated(gate, repeat)))
    sums = [(np.zeros(len(heads)), np.zeros(len(inner))) for heads, inner in gates]
    try:
        for batch in bucketed(data, size):
            flat = [gate for pair in gates for gate in pair]
            found = torch.autograd.grad(batch_loss(network, batch.to(device)), flat)
            for (heads_sum, inner_sum), heads, inner in zip(sums, found[::2], found[1::2], strict=True):
                heads_sum += heads.abs().double().cpu().numpy()
                inner_sum += inner.abs().double().cpu().numpy()
    finally:
        for handle in handles:
            handle.remove()
    return sums


def prune_layers(network: Network, scores: Scores, heads: int, inner: int) -> Network:
    """`network` with the `heads` and the `inner` neurons of each layer that are dearest.

    Raises InputError for a number below 1; one that is larger than what is there leaves all.
    """
    if heads < 1 or inner < 1:
        raise InputError(f"{heads} heads and {inner} inner neurons are asked for; each layer needs at least one")
    state = network.encoder.state_dict()
    depth = network.architecture.depth
    shapes = []
    for number, (head_scores, inner_scores) in enumerate(scores):
        kept_heads = _dearest(head_scores, heads)
        kept_inner = _dearest(inner_scores, inner)
        rows = torch.cat([torch.arange(head * depth, (head + 1) * depth) for head in kept_heads.tolist()])
        whole = len(head_scores) * depth
        triple = torch.cat([rows + part * whole for part in range(3)])
        prefix = f"layers.{number}."
        _keep_rows(state, f"{prefix}projection", triple)
        _keep_columns(state, f"{prefix}attention", rows)
        _keep_rows(state, f"{prefix}widen", kept_inner)
        _keep_columns(state, f"{prefix}narrow", kept_inner)
        if network.architecture.relative_positions:
            state[f"{prefix}position_bias"] = state[f"{prefix}position_bias"][kept_heads]
        shapes.append(LayerShape(len(kept_heads), len(kept_inner)))
    architecture = msgspec.structs.replace(network.architecture, layers=shapes)
    return with_encoder(network, rebuilt(architecture, state))


def drop_layers(network: Network, keep: int, data: Encoded, loss: Loss) -> Network:
    """`network` with `keep` of its layers: the one whose absence costs least goes first, then the next."""
    if not 1 <= keep <= len(network.architecture.layers):
        raise InputError(f"{keep} layers are asked for; the network has {len(network.architecture.layers)}")
    members = list(range(len(network.architecture.layers)))
    while len(members) > keep:
        costs = {out: loss(only_layers(network, [m for m in members if m != out]), data) for out in members}
        members.remove(min(members, key=lambda member: (costs[member], member)))
    return only_layers(network, members)


def only_layers(network: Network, members: Sequence[int]) -> Network:
    """`network` with the layers at `members` alone, in that order."""
    state = {name: value for name, value in network.encoder.state_dict().items() if not name.startswith("layers.")}
    for new, old in enumerate(members):
        for name, value in network.encoder.layers[old].state_dict().items():
            state[f"layers.{new}.{name}"] = value
    shapes = [network.architecture.layers[member] for member in members]
    return with_encoder(network, rebuilt(msgspec.structs.replace(network.architecture, layers=shapes), state))


def with_encoder(network: Network, encoder: Encoder) -> Network:
    """A network of `encoder` and copies of the heads of `network`."""
    result = Network(encoder, network.labels, network.dropout.p, network.entity_labels)
    result.heads.load_state_dict(network.heads.state_dict())
    if result.entity is not None and network.entity is not None:
        result.entity.load_state_dict(network.entity.state_dict())
    return result


def _gated(gate: Tensor, repeat: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """A hook that multiplies a module's input by `gate`, each value standing for `repeat` columns."""

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * gate.repeat_interleave(repeat), *inputs[1:])

    return hook


def _dearest(scores: NDArray[np.float64], count: int) -> Tensor:
    """Positions of the `count` largest, in their old order."""
    order = np.lexsort((np.arange(len(scores)), -scores))[:count]
    return torch.from_numpy(np.sort(order))


def _keep_rows(state: dict[str, Tensor], name: str, rows: Tensor) -> None:
    if f"{name}.up.weight" in state:
        name = f"{name}.up"
    for kind in ("weight", "bias"):
        state[f"{name}.{kind}"] = state[f"{name}.{kind}"][rows]


def _keep_columns(state: dict[str, Tensor], name: str, columns: Tensor) -> None:
    if f"{name}.down.weight" in state:
        name = f"{name}.down"
    state[f"{name}.weight"] = state[f"{name}.weight"][:, columns]
