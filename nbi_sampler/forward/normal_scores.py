"""Residuals that are standard normal where a model is right, whatever its noise law.

Used by the adapters. Pure numpy and scipy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from nbi_sampler.forward.observed import Array

__all__ = ["normal_scores"]

# Smallest probability that has a quantile; a residual of 37.
_SMALLEST = 1e-300


def normal_scores(below: ArrayLike, above: ArrayLike, share: ArrayLike | None = None) -> Array:
    r"""Randomised quantile residuals, of data whose distribution functions are known.

    .. math:: r = \Phi^{-1}\left( P(Y < y) + u P(Y = y) \right)

    Both tails are asked for, so that a datum far out keeps its precision on either side.

    Parameters
    ----------
    below, above : array_like
        Probabilities of less and of more than each datum. What they leave is the probability of the datum
        itself, zero for continuous laws.
    share : array_like, optional
        For discrete laws, u, uniform in [0, 1].

    Returns
    -------
    ndarray
        At most 37 in size; NaN where a probability is.

    References
    ----------
    Dunn & Smyth (1996), Journal of Computational and Graphical Statistics 5, 236, section 2.

    Examples
    --------
    >>> normal_scores([0.975, 1.0], [0.025, 1e-20]).round(2)
    array([1.96, 9.26])
    """
    left, right = np.asarray(below, dtype=np.float64), np.asarray(above, dtype=np.float64)
    if share is not None:
        u = np.asarray(share, dtype=np.float64)
        at = np.clip(1.0 - left - right, 0.0, 1.0)
        left, right = left + u * at, right + (1.0 - u) * at
    from_left, from_right = ndtri(np.maximum(left, _SMALLEST)), -ndtri(np.maximum(right, _SMALLEST))
    return np.where(left < right, from_left, from_right)
