"""The cut of periodic parameters: the point at which the circle is opened to an interval.

Draws are kept in uncut coordinates. Each proposal has its own cut, which is a shift of the unit interval for
each periodic parameter. The prior is uniform in its quantiles, so it is N(0, I) under any cut.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from nbi_sampler.core.types import Array

__all__ = ["apply_cut", "remove_cut"]

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
