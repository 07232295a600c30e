"""Constants that make a trained network fit to serve: ranges of activations for eight bits, temperatures for scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from core.errors import InputError
from trainer.compress.graph import Ranges, product_names
from trainer.learn.batches import Encoded, bucketed
from trainer.learn.network import Network

TEMPERATURES = (0.05, 20.0)
Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)

_BINS = 2048
_TAIL = 1e-5  # share of values that `percentile` cuts off at either end
_SHRINKAGES = np.linspace(1.0, 0.3, 36)
_LEVELS = 255

Histograms = dict[str, NDArray[np.float64]]


def measure_ranges(network: Network, data: Encoded, method: Method = "minmax") -> Ranges:
    """The range to cover at the input of each matrix product over all tokens of `data`, padding left out.

    `minmax` covers every value; `percentile` cuts off one in 100,000 at either end; `mse` takes the range at which
    rounding and cutting off together have the least squared error (Banner, Nahshan and Soudry 2019 derive it; here it
    is searched). Raises InputError for another method.
    """
    if method not in METHODS:
        raise InputError(f"there is no calibration {method!r}; there are {', '.join(METHODS)}")
    widest: Ranges = {}

    def widen(name: str, values: Tensor) -> None:
        low, high = widest.get(name, (0.0, 0.0))
        widest[name] = (min(low, float(values.min())), max(high, float(values.max())))

    _visit(network, data, widen)
    if method == "minmax":
        return widest
    histograms: Histograms = {name: np.zeros(_BINS) for name in widest}

    def count(name: str, values: Tensor) -> None:
        low, high = widest[name]
        histograms[name] += torch.histc(values.float(), _BINS, low, high).numpy()

    _visit(network, data, count)
    narrowed = _percentile if method == "percentile" else _least_error
    return {name: narrowed(counts, *widest[name]) for name, counts in histograms.items()}


@torch.no_grad()
def _visit(network: Network, data: Encoded, see: Callable[[str, Tensor], None]) -> None:
    """Show `see` the inputs of every product, batch by batch."""
    network.eval()
    mask = torch.empty(0)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: see(name, inputs[0][mask == 1])

    modules = dict(network.encoder.named_modules())
    names = product_names(network.architecture)
    handles = [modules[name].register_forward_pre_hook(watch(name)) for name in names]
    try:
        for batch in bucketed(data, 32):
            mask = batch.mask
            network(batch.ids, batch.mask)
    finally:
        for handle in handles:
            handle.remove()


def _percentile(counts: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    edges = np.linspace(low, high, _BINS + 1)
    below = counts.cumsum() / max(counts.sum(), 1)
    first = int(np.searchsorted(below, _TAIL, side="right"))
    last = int(np.searchsorted(below, 1 - _TAIL, side="left"))
    return float(edges[min(first, _BINS - 1)]), float(edges[min(last, _BINS - 1) + 1])


def _least_error(counts: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    edges = np.linspace(low, high, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2

    def error(shrunk: tuple[float, float]) -> float:
        step = max(shrunk[1] - shrunk[0], 1e-8) / _LEVELS
        cut = np.clip(centres, *shrunk)
        # Inside the range, rounding leaves an error that is uniform over one step.
        return float((counts * ((centres - cut) ** 2 + step**2 / 12)).sum())

    best = min(((low * s, high) for s in _SHRINKAGES), key=error)
    return min(((best[0], high * s) for s in _SHRINKAGES), key=error)


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
