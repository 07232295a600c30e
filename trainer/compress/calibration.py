"""Constants that make a trained network fit to serve: ranges of activations for eight bits, temperatures for scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from trainer.compress.graph import Ranges, product_names
from trainer.learn.batches import Encoded, bucketed
from trainer.learn.network import Network

TEMPERATURES = (0.05, 20.0)


@torch.no_grad()
def measure_ranges(network: Network, data: Encoded) -> Ranges:
    """Smallest and largest input of each matrix product over all tokens of `data`, padding left out."""
    network.eval()
    ranges: Ranges = {}
    mask = torch.empty(0)

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0][mask == 1]
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))

        return hook

    modules = dict(network.named_modules())
    names = product_names(network.architecture)
    handles = [modules[f"encoder.{name}"].register_forward_pre_hook(watch(name)) for name in names]
    try:
        for batch in bucketed(data, 32):
            mask = batch.mask
            network(batch.ids, batch.mask)
    finally:
        for handle in handles:
            handle.remove()
    return ranges


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood of `truth` (n,) under `logits` (n, labels).

    Guo, Pleiss, Sun and Weinberger 2017. 1.0 where there is nothing to fit on.
    """
    if not len(truth):
        return 1.0
    values = logits.astype(np.float64)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        top = scaled.max(axis=1)
        return float(np.mean(top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - scaled[rows, truth]))

    bounds = (np.log(TEMPERATURES[0]), np.log(TEMPERATURES[1]))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
