"""Reference scale of data whose noise level is not known beforehand; pure numpy, used by the adapters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["robust_scale"]

# Standard deviation of a normal law in units of its median absolute deviation.
_NORMAL_MAD = 1.4826


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
