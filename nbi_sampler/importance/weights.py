"""Importance sampling with plain arrays: weights, effective sample sizes, evidence and resampling.

All functions are pure functions of log weights (float64), shape (n_samples,). A log weight of minus infinity
is a weight of zero, and its draw counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from nbi_sampler.core.types import Array

__all__ = [
    "Evidence",
    "effective_sample_size",
    "efficiency",
    "equal_weight_indices",
    "log_evidence",
    "mixture_log_ratio",
    "normalised_weights",
    "systematic_indices",
    "tempering_exponent",
    "weighted_quantiles",
    "whole_samples",
]

# Decimal logarithm of the smallest exponent of tempered weights that differs from zero in floating point.
LEAST_EXPONENT = -300.0


class Evidence(NamedTuple):
    """Natural logarithm of an evidence and its standard deviation; -inf and inf if every weight is zero."""

    log_evidence: float
    error: float


def effective_sample_size(log_weights: Array) -> float:
    r"""Kish's effective sample size.

    .. math:: \mathrm{ESS} = (\sum_i w_i)^2 / \sum_i w_i^2

    The result is between 1 and ``n_samples``, and does not depend on a constant in the log weights. It is 0
    if every weight is zero.

    References
    ----------
    Kish (1965). Equation 2 of Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824) is ESS - 1.

    Examples
    --------
    >>> effective_sample_size(np.zeros(10))
    10.0
    """
    log_weights = np.asarray(log_weights, dtype=np.float64)
    if log_weights.size == 0 or not np.isfinite(log_weights.max()):
        return 0.0
    # Relative to the largest: for |log w| of 1e17, the logarithm of a count is below the rounding error.
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / np.square(weights).sum())


def efficiency(log_weights: Array) -> float:
    """Effective sample size divided by the number of all draws: in [0, 1], and 0 without draws."""
    return effective_sample_size(log_weights) / max(len(log_weights), 1)


def log_evidence(log_weights: Array) -> Evidence:
    r"""Evidence and its error from independent draws.

    .. math::
        \log Z = \log\frac1N\sum_i w_i, \qquad
        \sigma_{\log Z} = \sqrt{\frac{N - \mathrm{ESS}}{N\,\mathrm{ESS}}}

    Parameters
    ----------
    log_weights : ndarray, shape (n_samples,)
        ``log L + log prior - log q`` of **all** draws, including those with zero weight.

    Notes
    -----
    The error is the delta-method error of the mean weight. It does not change if a constant is added to the
    log weights, and is computed in log space. It does not account for a mode without draws.

    Examples
    --------
    >>> log_evidence(np.full(4, -1000.0))
    Evidence(log_evidence=-1000.0, error=0.0)
    """
    n_samples = len(log_weights)
    ess = effective_sample_size(log_weights)
    if ess == 0.0:
        return Evidence(-math.inf, math.inf)
    mean = float(logsumexp(log_weights) - math.log(n_samples))
    return Evidence(mean, math.sqrt(max(n_samples - ess, 0.0) / (n_samples * ess)))


def normalised_weights(log_weights: Array) -> Array:
    """Weights that sum to one, shape (n_samples,); ValueError if every weight is zero."""
    total = logsumexp(log_weights) if len(log_weights) else -math.inf
    if not np.isfinite(total):
        raise ValueError("log_weights: expected at least one finite value, got none; every weight is zero")
    weights = np.exp(log_weights - total)
    return weights / weights.sum()


def mixture_log_ratio(log_ratios: Array, counts: Array) -> Array:
    r"""Log density of the mixture of all proposals (the balance heuristic), shape (n_samples,).

    .. math:: \log \frac{q_{mix}}{p}(z_i) = \log \sum_k \frac{n_k}{N} \frac{q_k}{p}(z_i)

    Parameters
    ----------
    log_ratios : ndarray, shape (n_proposals, n_samples)
        ``log q_k - log prior`` of every proposal at every draw.
    counts : ndarray, shape (n_proposals,)
        Number of draws from each proposal.

    References
    ----------
    Owen & Zhou (2000), Safe and effective importance sampling, JASA 95, 135.
    """
    log_fractions = np.log(np.asarray(counts, dtype=np.float64) / np.sum(counts))
    return np.asarray(logsumexp(log_ratios + log_fractions[:, None], axis=0), dtype=np.float64)


def tempering_exponent(log_weights: Array, minimum_ess: float, log_base: Array | None = None) -> float:
    """Largest exponent in [0, 1] that leaves at least ``minimum_ess`` effective samples.

    Parameters
    ----------
    log_weights : ndarray, shape (n_samples,)
        The term that the exponent multiplies.
    minimum_ess : float
        Required effective sample size of ``log_base + exponent * log_weights``.
    log_base : ndarray, shape (n_samples,), optional
        The term without an exponent; zero by default.

    Returns
    -------
    float
        1.0 if the weights need no tempering; 0.0 if the base alone has too small an effective sample size.
    """
    base = np.zeros_like(log_weights) if log_base is None else log_base
    finite = np.isfinite(log_weights)
    base, log_weights = base[finite], log_weights[finite]
    if effective_sample_size(base + log_weights) >= minimum_ess:
        return 1.0

    def enough(exponent: float) -> bool:
        return effective_sample_size(base + exponent * log_weights) >= minimum_ess

    low, high = _bisected(0.0, 1.0, enough)
    if low > 0.0 or not enough(10.0**LEAST_EXPONENT):
        return low
    # Bisection would not find so small an exponent: log weights may differ by 1e100.
    low, _ = _bisected(LEAST_EXPONENT, math.log10(high), lambda exponent: enough(10.0**exponent))
    return float(10.0**low)


def _bisected(low: float, high: float, holds: Callable[[float], bool]) -> tuple[float, float]:
    """Bracket of the point at which a condition becomes false, after 60 bisections."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def equal_weight_indices(log_weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Resample systematically to as many draws of equal weight as there are effective samples.

    A draw is repeated only if its weight exceeds the share of one row, 1 / ESS.

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Indices in random order. ``n_rows`` is the effective sample size, rounded down.

    Raises
    ------
    ValueError
        If every weight is zero.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> np.sort(equal_weight_indices(np.array([-np.inf, 0.0, 0.0, 0.0]), rng)).tolist()
    [1, 2, 3]
    """
    weights = normalised_weights(log_weights)
    return systematic_indices(weights, whole_samples(effective_sample_size(log_weights)), rng)


def whole_samples(ess: float) -> int:
    """Effective sample size, rounded down, with a tolerance for rounding errors of equal weights.

    Examples
    --------
    >>> whole_samples(99.9999999999999), whole_samples(99.7)
    (100, 99)
    """
    return math.floor(ess * (1.0 + 1e-9))


def systematic_indices(weights: Array, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of n draws of equal weight: each draw occurs as often as its weight requires, within one.

    The weights, shape (n_samples,), sum to 1. The indices are in random order and may repeat.

    References
    ----------
    Douc, Cappe & Moulines (2005, arXiv:cs/0507025), section 2.4.
    """
    positions = (rng.random() + np.arange(n)) / n
    cumulative = np.cumsum(weights)
    chosen = np.searchsorted(cumulative / cumulative[-1], positions, side="right")
    return rng.permutation(np.minimum(chosen, len(weights) - 1))


def weighted_quantiles(values: Array, weights: Array, probabilities: ArrayLike) -> Array:
    """Quantiles of weighted draws of shape (n_samples, n_dim), column by column, shape (n_dim, k).

    Each is the smallest draw at which the cumulative weight, of total 1, reaches one of ``k`` probabilities.

    Examples
    --------
    >>> weighted_quantiles(np.array([[3.0], [1.0], [2.0]]), np.array([0.2, 0.5, 0.3]), [0.4, 0.9])
    array([[1., 3.]])
    """
    quantiles = []
    for column in values.T:
        order = np.argsort(column)
        share = np.cumsum(weights[order])
        quantiles.append(column[order][np.searchsorted(share / share[-1], np.asarray(probabilities))])
    return np.array(quantiles)
