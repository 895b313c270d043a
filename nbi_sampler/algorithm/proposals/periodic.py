"""The cut of periodic parameters: the place at which the circle is opened to become an interval.

Draws are kept in uncut coordinates; each proposal has its own cut, a shift of the unit interval for every
periodic parameter. The prior is uniform on the circle of its own quantiles: it stays N(0, I) under any cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import MIXTURE

__all__ = ["apply_cut", "remove_cut", "thinnest_cut"]

Array = NDArray[np.float64]

# Guards the quantile of the normal distribution from 0 and 1.
SMALLEST = 1e-15


def apply_cut(z: Array, cut: Array) -> Array:
    """Latent coordinates, shape (n, n_dim), after the circle is cut at quantiles ``cut``, shape (n_dim,).

    These are in [0, 1); zero leaves a coordinate exactly as it is.
    """
    return _rotate(z, -cut)


def remove_cut(z: Array, cut: Array) -> Array:
    """Inverse of `apply_cut`."""
    return _rotate(z, cut)


def thinnest_cut(
    z: Array, weights: Array, periodic: NDArray[np.bool_], n_bins: int = MIXTURE.cut_bins
) -> Array:
    """Quantile of every periodic parameter at which the weighted draws are thinnest.

    Parameters
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut coordinates.
    weights : ndarray, shape (n,)
        Summing to 1.
    periodic : ndarray of bool, shape (n_dim,)
    n_bins : int
        Resolution: the cut is put in the middle of the emptiest run of bins.

    Returns
    -------
    ndarray, shape (n_dim,)
        Zero where a parameter is not periodic.
    """
    cut = np.zeros(len(periodic))
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


def _rotate(z: Array, shift: Array) -> Array:
    turned = np.flatnonzero(shift)
    if not len(turned):
        return z
    z = z.copy()
    u = (ndtr(z[:, turned]) + shift[turned]) % 1.0
    z[:, turned] = ndtri(np.clip(u, SMALLEST, 1.0 - SMALLEST))
    return z
