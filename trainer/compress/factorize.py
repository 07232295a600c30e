"""Low-rank products: W ~ S V, chosen so that the outputs on real texts change least, not the weights.

The input's second moments C = E[x x'] weigh the error: with C = L L', the best rank-r map is the truncated singular
value decomposition of L' W' (Hsu et al. 2022 weigh by Fisher information; Yuan et al. 2023 by activations, as here).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from core.errors import InputError
from trainer.compress.prune import with_encoder
from trainer.learn.batches import Encoded, bucketed
from trainer.learn.encoder import LayerShape, product_sizes, rebuilt
from trainer.learn.network import Network

_DAMPING = 1e-4  # share of the mean second moment added to the diagonal, so that it can be inverted


@torch.no_grad()
def factorize(network: Network, data: Encoded, share: float, products: Collection[str]) -> Network:
    """`network` with the named `products` of every layer (see `product_sizes`) at low rank.

    The rank is `share` of the one at which the two thin matrices hold as many weights as the whole one. Products that
    are factorized already stay. Raises InputError for a share outside (0, 1] or an unknown product.
    """
    if not 0 < share <= 1:
        raise InputError(f"a share of {share} is asked for; expected a number above 0 and at most 1")
    known = set(product_sizes(network.architecture, network.architecture.layers[0]))
    if unknown := sorted(set(products) - known):
        raise InputError(f"there is no product {unknown[0]!r}; there are {', '.join(sorted(known))}")
    moments = _second_moments(network, data, products)
    state = network.encoder.state_dict()
    shapes = []
    for number, shape in enumerate(network.architecture.layers):
        ranks = dict(shape.ranks)
        for product, (inputs, outputs) in product_sizes(network.architecture, shape).items():
            if product not in products or product in ranks:
                continue
            ranks[product] = rank_of(share, inputs, outputs)
            name = f"layers.{number}.{product}"
            down, up = _factors(state.pop(f"{name}.weight"), moments[name], ranks[product])
            state[f"{name}.down.weight"], state[f"{name}.up.weight"] = down, up
            state[f"{name}.up.bias"] = state.pop(f"{name}.bias")
        shapes.append(LayerShape(shape.heads, shape.inner, ranks))
    return with_encoder(network, rebuilt(msgspec.structs.replace(network.architecture, layers=shapes), state))


def rank_of(share: float, inputs: int, outputs: int) -> int:
    """Rank at which two thin matrices hold `share` of the weights of one of `inputs` by `outputs`."""
    return max(1, int(share * inputs * outputs / (inputs + outputs)))


def _factors(weight: Tensor, moment: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`weight` (outputs, inputs) as down (rank, inputs) and up (outputs, rank), best for inputs of that `moment`."""
    moment = moment.double()
    moment += torch.eye(len(moment), dtype=torch.float64) * moment.diagonal().mean().clamp(min=1e-12) * _DAMPING
    lower = torch.linalg.cholesky(moment)
    left, values, right = torch.linalg.svd(weight.double() @ lower, full_matrices=False)
    up = left[:, :rank] * values[:rank].sqrt()
    thin = values[:rank].sqrt()[:, None] * right[:rank]
    down = torch.linalg.solve_triangular(lower.T, thin.T, upper=True).T
    return down.float().contiguous(), up.float().contiguous()


def _second_moments(network: Network, data: Encoded, products: Collection[str]) -> dict[str, Tensor]:
    network.eval()
    sums: dict[str, Tensor] = {}
    mask = torch.empty(0)

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0][mask == 1].double()
            sums[name] = sums.get(name, torch.zeros(values.shape[1], values.shape[1])) + values.T @ values

        return hook

    handles = []
    for number, layer in enumerate(network.encoder.layers):
        for product in products:
            handles.append(getattr(layer, product).register_forward_pre_hook(watch(f"layers.{number}.{product}")))
    try:
        for batch in bucketed(data, 32):
            mask = batch.mask
            network(batch.ids, batch.mask)
    finally:
        for handle in handles:
            handle.remove()
    return sums
