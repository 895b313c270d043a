"""Tail shape of importance weights, which shows how far their mean and its error can be trusted.

Pure functions of log weights (float64).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from nbi_sampler.core.types import Array

__all__ = ["pareto_k", "tail_size"]


def pareto_k(log_weights: Array) -> float:
    """Shape of the generalised Pareto tail of the largest weights (PSIS k-hat).

    Parameters
    ----------
    log_weights : ndarray, shape (n_samples,)

    Returns
    -------
    float
        Below 0.5 the variance is finite and the errors are reliable. Above 0.7 they cannot be trusted. The
        value is infinity with fewer than 5 distinct tail weights, and minus infinity if all weights are
        equal.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), JMLR 25(72); tail fit of Zhang & Stephens (2009),
    Technometrics 51, 316, with the weakly informative prior of the former's appendix.
    """
    finite = np.sort(log_weights[np.isfinite(log_weights)])
    n_samples = len(log_weights)
    n_tail = tail_size(n_samples)
    if len(finite) > 1 and finite[-1] - finite[0] < 1e-10:
        return -math.inf
    if n_tail < 5 or len(finite) <= n_tail:
        return math.inf
    shifted = np.exp(finite - finite[-1])
    excess = shifted[-n_tail:] - shifted[-n_tail - 1]
    excess = excess[excess > 0.0]
    if len(excess) < 5:
        return math.inf
    return _generalised_pareto_shape(excess)


def tail_size(n_samples: int) -> int:
    """Number of the largest weights that form the tail, by the same reference."""
    return math.ceil(min(0.2 * n_samples, 3.0 * math.sqrt(n_samples)))


def _generalised_pareto_shape(excess: Array) -> float:
    """Posterior mean of the shape (Zhang & Stephens 2009) for sorted positive excesses, shape (n_tail,)."""
    n_tail = len(excess)
    n_grid = 30 + int(math.sqrt(n_tail))
    quartile = excess[int(n_tail / 4 + 0.5) - 1]
    grid = 1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    b = grid / (3.0 * quartile) + 1.0 / excess[-1]
    k = np.mean(np.log1p(-b[:, None] * excess[None, :]), axis=1)
    log_profile = n_tail * (np.log(-b / k) - k - 1.0)
    weights = np.exp(log_profile - logsumexp(log_profile))
    shape = float(np.mean(np.log1p(-np.sum(weights * b) * excess)))
    return (n_tail * shape + 10.0 * 0.5) / (n_tail + 10.0)
