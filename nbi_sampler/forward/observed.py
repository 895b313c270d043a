"""Observed data: checked once, and laid out in channels; pure numpy, used by the adapters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "as_observed", "data_layout"]

Array = NDArray[np.float64]


def as_observed(values: ArrayLike, argument: str) -> Array:
    """Check observed data and copy them to float64.

    Parameters
    ----------
    values : array_like
        Observed data, of any shape.
    argument : str
        What the user calls them, for the message.

    Returns
    -------
    ndarray
        A copy in the shape of ``values``, at least one-dimensional.

    Raises
    ------
    ValueError
        If there are no data, or they are complex, masked, or not all finite.
    """
    n_masked = int(np.ma.count_masked(values)) if np.ma.isMaskedArray(values) else 0
    if n_masked:
        raise ValueError(
            f"{argument}: expected complete data, got {n_masked} masked point(s); leave them out of the data "
            "and of what the model is evaluated at (array[~array.mask])."
        )
    if np.iscomplexobj(values):
        raise ValueError(
            f"{argument}: expected real data, got complex; stack the real and imaginary parts instead."
        )
    observed = np.atleast_1d(np.array(values, dtype=np.float64))
    if observed.size == 0:
        raise ValueError(f"{argument}: expected at least one data point, got none.")
    n_bad = int(np.count_nonzero(~np.isfinite(observed)))
    if n_bad:
        raise ValueError(
            f"{argument}: expected finite data, got {n_bad} non-finite point(s) of {observed.size}; "
            "mask them: leave them out of the data, of the noise scale and of what the model is evaluated at."
        )
    return observed


def data_layout(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and length of data of some shape: two-dimensional data keep their rows as channels.

    Parameters
    ----------
    shape : tuple of int
        Shape of the observed data.

    Returns
    -------
    tuple of int
        ``(n_channels, length)``; one channel unless the data are two-dimensional.

    Examples
    --------
    >>> data_layout((100,)), data_layout((3, 100))
    ((1, 100), (3, 100))
    """
    return (shape[0], shape[1]) if len(shape) == 2 else (1, int(np.prod(shape)))
