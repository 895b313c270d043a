"""Observed data: checked once, and laid out in channels; pure numpy, used by the adapters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import as_numbers, data_layout

__all__ = ["Array", "as_observed", "data_layout"]

Array = NDArray[np.float64]


def as_observed(values: ArrayLike, argument: str, *, allow_complex: bool = False) -> NDArray[Any]:
    """Check observed data and copy them to double precision.

    Parameters
    ----------
    values : array_like
        Observed data, of any shape.
    argument : str
        What the user calls them, for the message.
    allow_complex : bool
        Whether complex data stay complex, or are refused.

    Returns
    -------
    ndarray
        A copy in the shape of ``values``, at least one-dimensional.

    Raises
    ------
    ValueError
        If there are no data, or they are complex, masked, or not all finite.
    TypeError
        If they are no numbers.
    """
    n_masked = int(np.ma.count_masked(values)) if np.ma.isMaskedArray(values) else 0
    if n_masked:
        raise ValueError(
            f"{argument}: expected complete data, got {n_masked} masked point(s); leave them out of the data "
            "and of what the model is evaluated at (array[~array.mask])."
        )
    array = as_numbers(values, argument)
    if np.iscomplexobj(array) and not allow_complex:
        raise ValueError(
            f"{argument}: expected real data, got complex; stack the real and imaginary parts instead."
        )
    observed = np.atleast_1d(np.array(array))
    if observed.size == 0:
        raise ValueError(f"{argument}: expected at least one data point, got none.")
    n_bad = int(np.count_nonzero(~np.isfinite(observed)))
    if n_bad:
        raise ValueError(
            f"{argument}: expected finite data, got {n_bad} non-finite point(s) of {observed.size}; "
            "mask them: leave them out of the data, of the noise scale and of what the model is evaluated at."
        )
    return observed
