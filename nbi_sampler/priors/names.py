"""Parameters by name: conversions of rows and columns of theta to the dictionaries of the user's code.

Fixed parameters come before sampled ones. This is bilby's order, on which its likelihoods of Gaussian
processes rely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nbi_sampler.core.types import Array

__all__ = ["check_names", "named_columns", "named_row"]

# Columns that the result adds to the parameters.
COLUMNS = ("log_likelihood", "log_prior", "weights")


def check_names(names: Iterable[str]) -> None:
    """Refuse parameters that the result would overwrite, or that would make its file unreadable.

    This includes fixed parameters and constraints. The ValueError names them.
    """
    # bilby marks special values in its files by names like "__array__".
    bad = [name for name in names if name in COLUMNS or (name[:2] == name[-2:] == "__")]
    if bad:
        raise ValueError(
            f"priors: expected parameters with names other than the columns that the result adds "
            f"({', '.join(COLUMNS)}) and the marks in bilby's files (__array__ and the like), got "
            f"{', '.join(map(repr, bad))}; rename it in the priors and in the likelihood"
        )


def named_columns(theta: Array, names: Sequence[str], fixed: Mapping[str, float]) -> dict[str, Array]:
    """Fixed values and columns of theta, shape (n, n_dim), by name, as copies of shape (n,).

    Examples
    --------
    >>> named_columns(np.array([[1.0], [2.0]]), ["a"], {"b": 0.5})
    {'b': array([0.5, 0.5]), 'a': array([1., 2.])}
    """
    columns = {name: np.full(len(theta), value) for name, value in fixed.items()}
    return columns | {name: theta[:, i].copy() for i, name in enumerate(names)}


def named_row(theta_row: Array, names: Sequence[str], fixed: Mapping[str, float]) -> dict[str, float]:
    """Fixed values and one row of theta, shape (n_dim,), by name, as floats."""
    return {**fixed, **dict(zip(names, theta_row.tolist(), strict=True))}
