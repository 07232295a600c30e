"""Upper tails: of the negative binomial for counts, of the beta-binomial for shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

Floats = NDArray[np.float64]

_LEAST = 1e-290


def tail_scores(observed: Floats, expected: Floats, alpha: Floats) -> Floats:
    """-log10 P(X >= observed) for X negative binomial with mean `expected` and variance mean + alpha mean^2.

    All arrays have one shape. P(X >= k) = I_q(k, 1/alpha) with q = alpha mean / (1 + alpha mean): the regularised
    incomplete beta function (DLMF 8.17.5). Counts within one standard deviation of the mean score 0 and cost nothing:
    most do, and only the far tail is ever used.
    """
    scores = np.zeros_like(expected)
    beyond = np.nonzero((observed > expected) & ((observed - expected) ** 2 > expected + alpha * expected**2))
    mean, spread = expected[beyond], alpha[beyond]
    tail = betainc(observed[beyond], 1.0 / spread, spread * mean / (1.0 + spread * mean))
    scores[beyond] = -np.log10(np.maximum(tail, _LEAST))
    return scores


def share_scores(observed: Floats, total: Floats, share: Floats, rho: Floats) -> Floats:
    """-log10 P(X >= observed) for X of `total` beta-binomial with mean `share` and correlation `rho` within a window.

    All arrays have one shape. The tail is that of a binomial of the effective size total / (1 + (total - 1) rho) (Rao
    and Scott 1992), P(X >= k) = I_share(k, size - k + 1): close in the middle, and ranked by each series' past anyway.
    """
    scores = np.zeros_like(share)
    beyond = np.nonzero(observed > total * share)
    size = total[beyond] / (1.0 + np.maximum(total[beyond] - 1.0, 0.0) * rho[beyond])
    found = observed[beyond] / total[beyond] * size
    tail = betainc(found, size - found + 1.0, share[beyond])
    scores[beyond] = -np.log10(np.maximum(tail, _LEAST))
    return scores
