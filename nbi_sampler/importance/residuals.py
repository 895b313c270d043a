"""Discrepancies of residuals, and their distributions where these are N(0, I), for predictive checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2, norm

from nbi_sampler.core.config import RESIDUALS

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

Array = NDArray[np.float64]
Sequences = Sequence[NDArray[np.intp]]

CHI_SQUARED, LARGEST, NEIGHBOURS = "chi_squared", "largest_residual", "neighbouring_residuals"


def chi_squared(residuals: Array, sequences: Sequences = ()) -> Array:
    """Sum of squares of each row, shape (n,)."""
    return np.square(residuals).sum(axis=1)


def largest(residuals: Array, sequences: Sequences = ()) -> Array:
    """Largest size in each row, shape (n,)."""
    return np.abs(residuals).max(axis=1)


def neighbours(residuals: Array, sequences: Sequences) -> Array:
    r"""Sum of the products of neighbours in each row, shape (n,).

    .. math:: \sum r_i r_{i+1}

    Not divided by the sum of squares: of data without noise, what is left over is smooth, but smaller than
    any noise and no misfit.

    Parameters
    ----------
    residuals : ndarray, shape (n, n_data)
    sequences : sequence of ndarray of int
        Columns in an order in which neighbours mean something.
    """
    products = np.zeros(len(residuals))
    for sequence in sequences:
        ordered = residuals[:, sequence]
        products += (ordered[:, :-1] * ordered[:, 1:]).sum(axis=1)
    return products


def correlation(residuals: Array, sequences: Sequences) -> Array:
    r"""Correlation of neighbours in each row, shape (n,); zero where there are too few of them.

    .. math:: \frac{N}{M} \, \frac{\sum r_i r_{i+1}}{\sum r_i^2}

    for M pairs in N data. It is the size of an effect of which the p-value only says that there is one.

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
    r"""Chances of larger discrepancies than those of each row, where residuals are N(0, I).

    Exact for chi-squared and for the largest. The products of neighbours over the sum of squares have a beta
    distribution on [-1, 1] in good approximation, with the exact variance :math:`M / (N (N + 2))` for M pairs
    in N data, whatever that sum is, which is integrated over.

    Parameters
    ----------
    residuals : ndarray, shape (n, n_residuals)
    sequences : sequence of ndarray of int
        See `neighbours`; without eight pairs these are not looked at.

    Returns
    -------
    dict of str to ndarray of shape (n,)

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
    """Chances of larger products of neighbours, shape (n,)."""
    shape = (n_data * (n_data + 2) / _number_of_pairs(sequences) - 1.0) / 2.0
    low, high = chi2.ppf(RESIDUALS.negligible, n_data), chi2.isf(RESIDUALS.negligible, n_data)
    nodes, shares = np.polynomial.legendre.leggauss(RESIDUALS.n_nodes)
    squares = low + (high - low) * (nodes + 1.0) / 2.0
    mass = shares * chi2.pdf(squares, n_data)
    correlations = np.clip(products[:, None] / squares, -1.0, 1.0)
    return np.asarray(beta.sf((1.0 + correlations) / 2.0, shape, shape) @ (mass / mass.sum()))


def has_neighbours(sequences: Sequences) -> bool:
    """True where enough neighbours are known for their correlation to mean anything."""
    return _number_of_pairs(sequences) >= RESIDUALS.fewest_pairs


def _number_of_pairs(sequences: Sequences) -> int:
    return sum(max(len(sequence) - 1, 0) for sequence in sequences)
