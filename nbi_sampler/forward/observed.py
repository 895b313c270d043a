"""Observed data: checked once, and laid out in channels; pure numpy, used by the adapters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.forward.arrays import as_numbers, data_layout

__all__ = ["Array", "as_observed", "data_layout", "robust_scale"]


Array = NDArray[np.float64]

# Standard deviation of a normal law in units of its median absolute deviation.
_NORMAL_MAD = 1.4826


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


def robust_scale(values: NDArray[np.float64]) -> float:
    """Rough noise level of a data set, never zero.

    The smaller of the scales of the data and of the differences of neighbours: where the signal varies
    smoothly along the data, the differences do not see it.

    Parameters
    ----------
    values : ndarray, shape (length,)
        Finite data.

    Returns
    -------
    float
        Positive; 1 for data that give no hint.

    Examples
    --------
    >>> robust_scale(np.zeros(5))
    1.0
    """
    differences = np.diff(values) / np.sqrt(2.0)
    candidates = [
        _NORMAL_MAD * float(np.median(np.abs(part - np.median(part))))
        for part in (values, differences)
        if part.size > 1
    ]
    usable = [scale for scale in candidates if scale > 0 and np.isfinite(scale)]
    if usable:
        return min(usable)
    fallbacks = (float(np.std(values)), float(np.max(np.abs(values))), 1.0)
    return next(scale for scale in fallbacks if scale > 0 and np.isfinite(scale))
