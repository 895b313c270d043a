"""Terms of a polynomial of second degree in several variables. Called by `scouting` and `climbing`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["n_terms", "terms"]

Array = NDArray[np.float64]


def n_terms(n_dim: int) -> int:
    """How many terms there are, mixed ones included."""
    return (n_dim + 1) * (n_dim + 2) // 2


def terms(x: Array, first: NDArray[np.intp], second: NDArray[np.intp]) -> Array:
    """One, linear terms, and the products of the coordinates of two lists, shape (..., n_terms).

    Parameters
    ----------
    x : ndarray, shape (..., n_dim)
    first, second : ndarray of int, shape (n_products,)
        Of ``np.triu_indices(n_dim)`` for all products.
    """
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, x[..., first] * x[..., second]], axis=-1)
