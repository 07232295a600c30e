"""Population stability: how far a sample's distribution lies from a reference, as an effect size.

The index is PSI = sum over bins of (p - q) ln(p / q), with p the sample's shares and q the reference's: the symmetric
Kullback-Leibler divergence (Jeffreys 1946), read in credit scoring as below 0.1 stable, 0.1 to 0.25 worth a look,
above 0.25 shifted (Siddiqi 2006, "Credit Risk Scorecards"). Without any shift it is about (1/n + 1/m) times a
chi-squared variable of bins - 1 degrees of freedom, for n values against m (Yurdakul and Naranjo 2020, "Statistical
properties of the population stability index"). That mean is taken off here, so the size of the sample does not show in
the figure, and the tail gives the level that chance alone reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

MODERATE, LARGE = 0.1, 0.25
LEAST_EXPECTED = 5.0  # values a bin must expect, or the approximation fails (Cochran 1954)


class Stability(msgspec.Struct, frozen=True):
    """`psi` less what chance alone gives on average; `chance` is what `psi` stays below without a shift, but for the
    chosen probability of a false alarm."""

    psi: float
    chance: float

    @property
    def shifted(self) -> bool:
        """Large, and not by chance."""
        return self.psi >= LARGE and self.psi > self.chance


def compare(shares: Sequence[float], counts: ArrayLike, reference_size: int, false_alarm: float = 1e-3) -> Stability:
    """Stability of `counts` (k,) of a sample against a reference's `shares` (k,) over `reference_size` values.

    Bins that expect fewer than 5 of the sample's values are taken together as one, since logarithms of tiny shares
    would swamp the sum. `false_alarm` is the probability that an unshifted sample exceeds `chance`. Raises ValueError
    for an empty sample, or counts of another length than the shares.
    """
    observed = np.asarray(counts, dtype=np.float64)
    expected = np.asarray(shares, dtype=np.float64)
    if observed.shape != expected.shape or not observed.sum() > 0:
        raise ValueError(f"counts of shape {observed.shape} against {len(expected)} shares: nothing to compare")
    size = observed.sum()
    expected, observed = _pooled(expected / expected.sum(), observed)
    bins = len(observed)
    if bins < 2:
        return Stability(0.0, 0.0)
    p, q = _smoothed(observed), _smoothed(expected * reference_size)
    unit = 1 / size + 1 / reference_size
    raw = float(np.sum((p - q) * np.log(p / q)))
    level = float(chi2.isf(false_alarm, bins - 1))
    return Stability(raw - float((bins - 1) * unit), float((level - (bins - 1)) * unit))


def count_bins(values: ArrayLike, edges: Sequence[float]) -> NDArray[np.int64]:
    """How many `values` lie between the inner `edges` (k - 1, increasing): (k,). One on an edge belongs above it."""
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), np.asarray(values, dtype=np.float64), side="right")
    return np.bincount(places, minlength=len(edges) + 1)


def _smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    # Half a value more in each bin keeps an empty one finite (Krichevsky and Trofimov 1981).
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def _pooled(
    expected: NDArray[np.float64], observed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bins that expect enough, and one of all others; shares (b,) and counts (b,)."""
    size = observed.sum()
    rare = expected * size < LEAST_EXPECTED
    if not rare.any():
        return expected, observed
    # One value at least, so that a single surprise is none, while many in what never occurred before still tell.
    rest = max(float(expected[rare].sum()), 1 / size)
    return np.append(expected[~rare], rest), np.append(observed[~rare], observed[rare].sum())
