"""Parameters by name: rows and columns of theta as the dictionaries that the user's code takes.

Fixed parameters come first, then the sampled ones: bilby's order, on which its likelihoods of Gaussian
processes rely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_names", "named_columns", "named_row"]

Array = NDArray[np.float64]

# Columns that the result adds to those of the parameters.
COLUMNS = ("log_likelihood", "log_prior", "weights")


def check_names(names: Iterable[str]) -> None:
    """Refuse parameters that would be overwritten in the result, or make its file unreadable.

    Sampled and fixed ones and those of constraints; the ValueError names them.
    """
    # bilby marks what is not plain in its files by names like "__array__".
    bad = [name for name in names if name in COLUMNS or (name[:2] == name[-2:] == "__")]
    if bad:
        raise ValueError(
            f"priors: expected parameters of other names than the columns that the result adds "
            f"({', '.join(COLUMNS)}) and the marks in bilby's files (__array__ and the like), got "
            f"{', '.join(map(repr, bad))}; rename it in the priors and in the likelihood"
        )


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
