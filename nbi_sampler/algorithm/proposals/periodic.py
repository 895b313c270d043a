"""The cut of periodic parameters: the point at which the circle is opened to an interval.

Draws are kept in uncut coordinates. Each proposal has its own cut, which is a shift of the unit interval for
each periodic parameter. The prior is uniform in its quantiles, so it is N(0, I) under any cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import MIXTURE

__all__ = ["apply_cut", "remove_cut", "thinnest_cut"]

Array = NDArray[np.float64]

# Keeps quantiles of the normal distribution away from 0 and 1.
SMALLEST = 1e-15


def apply_cut(z: Array, cut: Array) -> Array:
    """Latent coordinates, shape (n, n_dim), after a cut at the quantiles ``cut``, shape (n_dim,).

    The quantiles are in [0, 1). Zero leaves a coordinate exactly as it is.
    """
    turned = np.flatnonzero(cut)
    if not len(turned):
        return z
    z = z.copy()
    u = (ndtr(z[:, turned]) - cut[turned]) % 1.0
    z[:, turned] = ndtri(np.clip(u, SMALLEST, 1.0 - SMALLEST))
    return z


def remove_cut(z: Array, cut: Array) -> Array:
    """Inverse of `apply_cut`."""
    return apply_cut(z, -cut)


def thinnest_cut(z: Array, weights: Array, periodic: NDArray[np.bool_]) -> Array:
    """Quantile of each periodic parameter at which the weighted draws are thinnest.

    The cut is in the middle of the longest run of empty bins.

    Parameters
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut coordinates.
    weights : ndarray, shape (n,)
        Weights that sum to 1.
    periodic : ndarray of bool, shape (n_dim,)

    Returns
    -------
    ndarray, shape (n_dim,)
        Zero for parameters that are not periodic.
    """
    cut, n_bins = np.zeros(len(periodic)), MIXTURE.cut_bins
    for d in np.flatnonzero(periodic):
        mass, _ = np.histogram(ndtr(z[:, d]), bins=n_bins, range=(0.0, 1.0), weights=weights)
        smooth = mass + 0.5 * (np.roll(mass, 1) + np.roll(mass, -1))
        cut[d] = (_middle_of_longest_run(smooth <= smooth.min() + 1e-3 / n_bins) + 0.5) / n_bins % 1.0
    return cut


def _middle_of_longest_run(empty: NDArray[np.bool_]) -> float:
    """Index at the middle of the longest circular run of True."""
    if empty.all():
        return -0.5
    first = int(np.argmin(empty))
    rolled = np.roll(empty, -first)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rolled, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return (starts[longest] + ends[longest] - 1) / 2.0 + first
