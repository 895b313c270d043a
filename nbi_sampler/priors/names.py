"""Parameters by name: rows and columns of theta as the dictionaries that the user's code takes.

Fixed parameters come first, then the sampled ones: bilby's order, on which its likelihoods of Gaussian
processes rely. Called by `space` and, in worker processes too, by `calls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["named_columns", "named_row"]

Array = NDArray[np.float64]


def named_columns(theta: Array, names: Sequence[str], fixed: Mapping[str, float]) -> dict[str, Array]:
    """Copies of shape (n,) of the columns of theta, shape (n, n_dim), the fixed ones before them.

    Examples
    --------
    >>> named_columns(np.array([[1.0], [2.0]]), ["a"], {"b": 0.5})
    {'b': array([0.5, 0.5]), 'a': array([1., 2.])}
    """
    columns = {name: np.full(len(theta), value) for name, value in fixed.items()}
    return columns | {name: theta[:, i].copy() for i, name in enumerate(names)}


def named_row(theta_row: Array, names: Sequence[str], fixed: Mapping[str, float]) -> dict[str, float]:
    """Floats of one row of theta, shape (n_dim,), the fixed ones before them."""
    return {**fixed, **dict(zip(names, theta_row.tolist(), strict=True))}
