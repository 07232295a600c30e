"""The upper tail of the negative binomial."""

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
