"""Test quantities of residuals and their distributions under N(0, I), for predictive checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import chi2, norm

from nbi_sampler.core.config import RESIDUALS
from nbi_sampler.core.types import Array

__all__ = [
    "CHI_SQUARED",
    "DISCREPANCIES",
    "LARGEST",
    "NEIGHBOURS",
    "chi_squared",
    "correlation",
    "has_neighbours",
    "largest",
    "neighbours",
    "tail_probabilities",
]

Sequences = Sequence[NDArray[np.intp]]

CHI_SQUARED, LARGEST, NEIGHBOURS = "chi_squared", "largest_residual", "neighbouring_residuals"


def chi_squared(residuals: Array, sequences: Sequences = ()) -> Array:
    """Sum of squares of each row, shape (n,)."""
    return np.square(residuals).sum(axis=1)


def largest(residuals: Array, sequences: Sequences = ()) -> Array:
    """Largest absolute value in each row, shape (n,)."""
    return np.abs(residuals).max(axis=1)


def neighbours(residuals: Array, sequences: Sequences) -> Array:
    r"""Sum of the products of neighbours in each row, shape (n,).

    .. math:: \sum r_i r_{i+1}

    The sum is not divided by the sum of squares. The residuals of data without noise are smooth but smaller
    than any noise, and they are no misfit.

    Parameters
    ----------
    residuals : ndarray, shape (n, n_data)
    sequences : sequence of ndarray of int
        Sequences of columns whose neighbours are adjacent data points.
    """
    products = np.zeros(len(residuals))
    for sequence in sequences:
        ordered = residuals[:, sequence]
        products += (ordered[:, :-1] * ordered[:, 1:]).sum(axis=1)
    return products


def correlation(residuals: Array, sequences: Sequences) -> Array:
    r"""Correlation of neighbours in each row, shape (n,); zero if there are too few of them.

    .. math:: \frac{N}{M} \, \frac{\sum r_i r_{i+1}}{\sum r_i^2}

    There are M pairs in N data. The correlation measures the size of an effect, and the p-value its
    significance.

    Parameters
    ----------
    residuals : ndarray, shape (n, n_data)
    sequences : sequence of ndarray of int
        See `neighbours`.
    """
    if not has_neighbours(sequences):
        return np.zeros(len(residuals))
    squares = np.maximum(chi_squared(residuals), np.finfo(float).tiny)
    return neighbours(residuals, sequences) / squares * residuals.shape[1] / _number_of_pairs(sequences)


DISCREPANCIES: dict[str, Callable[[Array, Sequences], Array]] = {
    CHI_SQUARED: chi_squared,
    LARGEST: largest,
    NEIGHBOURS: neighbours,
}


def tail_probabilities(residuals: Array, sequences: Sequences) -> dict[str, Array]:
    r"""Probabilities of larger test quantities than those of each row, if residuals are N(0, I), shape (n,).

    The results for chi-squared and for the largest residual are exact. The products of neighbours divided by
    the sum of squares have, in good approximation, a beta distribution on [-1, 1] with the exact variance
    :math:`M / (N (N + 2))` for M pairs in N data, whatever that sum is. The sum is integrated over.

    Parameters
    ----------
    residuals : ndarray, shape (n, n_residuals)
    sequences : sequence of ndarray of int
        See `neighbours`. With fewer than eight pairs, neighbours are not tested.

    References
    ----------
    Leipnik (1947), Annals of Mathematical Statistics 18, 80, for the beta distribution.

    Examples
    --------
    >>> tail_probabilities(np.array([[1.96]]), ())["largest_residual"].round(3)
    array([0.05])
    """
    n_data = residuals.shape[1]
    each = 2.0 * norm.sf(largest(residuals))
    with np.errstate(divide="ignore"):
        found = {
            CHI_SQUARED: chi2.sf(chi_squared(residuals), n_data),
            LARGEST: -np.expm1(n_data * np.log1p(-each)),
        }
    if has_neighbours(sequences):
        found[NEIGHBOURS] = _tail_of_products(neighbours(residuals, sequences), n_data, sequences)
    return found


def _tail_of_products(products: Array, n_data: int, sequences: Sequences) -> Array:
    """Probabilities of larger products of neighbours, shape (n,)."""
    shape = (n_data * (n_data + 2) / _number_of_pairs(sequences) - 1.0) / 2.0
    squares, mass = _sums_of_squares(n_data)
    correlations = np.clip(products[:, None] / squares, -1.0, 1.0)
    # The distribution is symmetric. `scipy.stats` takes ten times as long for the same digits.
    return np.asarray(betainc(shape, shape, (1.0 - correlations) / 2.0) @ mass)


@lru_cache(maxsize=100)
def _sums_of_squares(n_data: int) -> tuple[Array, Array]:
    """Sums of squares of residuals and their probabilities, shape (n_nodes,), for a quadrature."""
    low, high = chi2.ppf(RESIDUALS.negligible, n_data), chi2.isf(RESIDUALS.negligible, n_data)
    nodes, shares = np.polynomial.legendre.leggauss(RESIDUALS.n_nodes)
    squares = low + (high - low) * (nodes + 1.0) / 2.0
    mass = shares * chi2.pdf(squares, n_data)
    return squares, mass / mass.sum()


def has_neighbours(sequences: Sequences) -> bool:
    """True if there are enough neighbours to test their correlation."""
    return _number_of_pairs(sequences) >= RESIDUALS.fewest_pairs


def _number_of_pairs(sequences: Sequences) -> int:
    return sum(max(len(sequence) - 1, 0) for sequence in sequences)
