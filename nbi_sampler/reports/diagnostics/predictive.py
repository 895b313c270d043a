"""Posterior predictive checks, which test whether the fitted model reproduces the observed data."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_numbers, as_real_numbers

__all__ = ["Discrepancy", "PredictiveCheck", "chi_squared", "predictive_check"]

Discrepancy = Callable[[Array, Array], Array]


class PredictiveCheck(NamedTuple):
    """Test quantities of observed and of replicated data.

    Attributes
    ----------
    p_value : float
        Posterior probability that replicated data deviate more than the observed data.
    observed, replicated : ndarray, shape (n_samples,)
        Test quantities at every draw.
    """

    p_value: float
    observed: Array
    replicated: Array


def chi_squared(uncertainty: ArrayLike) -> Discrepancy:
    r"""The test quantity :math:`\sum_i ((x_i - m_i(\theta)) / \sigma_i)^2`.

    The uncertainty has the shape of the data and is infinite for missing points.
    """
    sigma = as_real_numbers(uncertainty, "uncertainty")
    present = np.isfinite(sigma)

    def discrepancy(data: Array, predictions: Array) -> Array:
        deviation = (data[:, present] - predictions[:, present]) / sigma[present]
        # The uncertainty of complex data applies to either part.
        return (np.abs(deviation) ** 2).sum(1)

    return discrepancy


def predictive_check(
    observed: ArrayLike,
    replicated: ArrayLike,
    predictions: ArrayLike,
    discrepancy: Discrepancy,
    weights: ArrayLike | None = None,
) -> PredictiveCheck:
    r"""Compare observed data with data replicated from the posterior.

    .. math:: p = P\left( T(x^{rep}, \theta) \geq T(x, \theta) \mid x \right)

    Parameters
    ----------
    observed : array_like, shape of the data
        Real or complex.
    replicated : array_like, shape (n_samples, ...)
        Predictions with noise at posterior draws.
    predictions : array_like, shape (n_samples, ...)
        Predictions without noise at the same draws.
    discrepancy : callable
        ``(data, predictions) -> ndarray``, shapes (n_samples, ...), (n_samples, ...) and (n_samples,). It is
        large if they differ; an example is `chi_squared`.
    weights : array_like, shape (n_samples,), optional
        Weights of the posterior draws.

    Notes
    -----
    The data are used twice. If the model is right, p is therefore not uniform but closer to 1/2. For any
    level a, p is below a in at most 2 a of the data sets, so a small value is trustworthy.

    References
    ----------
    Gelman, Meng & Stern (1996), Statistica Sinica 6, 733, section 2; Meng (1994), Annals of Statistics 22,
    1142, for the bound.
    """
    data, made = as_numbers(replicated, "replicated"), as_numbers(predictions, "predictions")
    seen = as_numbers(observed, "observed")
    if data.shape != made.shape or data.shape[1:] != seen.shape:
        raise ValueError(
            f"replicated, predictions: expected the shape (n_samples, *{seen.shape}) for observed data of "
            f"{seen.shape}, got {data.shape} and {made.shape}"
        )
    w = np.ones(len(data)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(data),) or not w.sum() > 0:
        raise ValueError(f"weights: expected {len(data)}, not all zero, got shape {w.shape}")
    of_observed = discrepancy(np.broadcast_to(seen, data.shape), made)
    of_replicated = discrepancy(data, made)
    p_value = np.average(of_replicated >= of_observed, weights=w)
    return PredictiveCheck(float(p_value), of_observed, of_replicated)
