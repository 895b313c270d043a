"""Kernels as proposals, and the charts in which they are fitted: the latent space, or the unit cube.

The latent space has no edges, but it stretches the edges of a bounded prior to infinity. In the unit cube of
prior quantiles, a mode that is cut by the edge of the prior keeps its shape. Each class of kernels is also
the chart in which they are fitted. It gives the coordinates of draws, and it turns a `StudentMixture` in
these coordinates into a proposal over z.

Kernels on many draws, each with the spread of its neighbours, follow curved ridges. They bound the importance
weights where all other densities are too thin.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr, ndtri

from nbi_sampler.algorithm.proposals.affine import spread_of
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.algorithm.proposals.proposal import log_normal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.core.config import MIXTURE, KernelConfig

__all__ = ["CHARTS", "Chart", "LatentKernels", "UnitCubeKernels", "kernels_on_draws"]

Array = NDArray[np.float64]


class LatentKernels:
    """Kernels over cut latent coordinates.

    Parameters
    ----------
    mixture : StudentMixture
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    """

    def __init__(self, mixture: StudentMixture, cut: Array) -> None:
        self.mixture = mixture
        self.cut = cut

    @classmethod
    def of(cls, mixture: StudentMixture, cut: Array, rng: np.random.Generator) -> LatentKernels:
        """A mixture in these coordinates as a proposal."""
        del rng
        return cls(mixture, cut)

    @staticmethod
    def coordinates(z: Array, cut: Array) -> Array:
        """Cut latent coordinates of draws, shape (n, n_dim)."""
        return apply_cut(z, cut)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        return remove_cut(self.mixture.sample(n, rng), self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        z = apply_cut(z, self.cut)
        return self.mixture.log_prob(z) - log_normal(z)


class UnitCubeKernels:
    r"""Kernels over the cut unit cube, truncated to it.

    .. math:: q(u) = q_0(u) / P, \qquad P = \int_{[0, 1]^D} q_0

    The prior is uniform in these coordinates, so ``log q - log prior`` is :math:`\log q(u)`.

    Parameters
    ----------
    mixture : StudentMixture
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    log_inside : float
        :math:`\log P`.
    """

    def __init__(self, mixture: StudentMixture, cut: Array, log_inside: float) -> None:
        self.mixture = mixture
        self.cut = cut
        self.log_inside = log_inside

    @classmethod
    def of(cls, mixture: StudentMixture, cut: Array, rng: np.random.Generator) -> UnitCubeKernels | None:
        """A mixture in these coordinates as a proposal. None if most of it lies outside the cube."""
        chunk, n_parts = MIXTURE.inside_chunk, MIXTURE.n_inside // MIXTURE.inside_chunk
        share = float(_is_inside(mixture.sample(chunk, rng)).mean())
        if 0.0 < share < 1.0:
            share = float(np.mean([_is_inside(mixture.sample(chunk, rng)).mean() for _ in range(n_parts)]))
        return cls(mixture, cut, math.log(share)) if share > MIXTURE.least_inside else None

    @staticmethod
    def coordinates(z: Array, cut: Array) -> Array:
        """Cut quantiles of draws, shape (n, n_dim)."""
        return np.asarray(ndtr(apply_cut(z, cut)))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        drawn = np.zeros((0, len(self.cut)))
        while len(drawn) < n:
            wanted = math.ceil(1.1 * (n - len(drawn)) / math.exp(self.log_inside)) + 10
            u = self.mixture.sample(min(wanted, MIXTURE.inside_chunk), rng)
            drawn = np.concatenate([drawn, u[_is_inside(u)]])
        return remove_cut(ndtri(drawn[:n]), self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        return self.mixture.log_prob(ndtr(apply_cut(z, self.cut))) - self.log_inside


Chart: TypeAlias = type[LatentKernels] | type[UnitCubeKernels]
CHARTS: tuple[Chart, ...] = (LatentKernels, UnitCubeKernels)


def kernels_on_draws(
    draws: WeightedDraws, chart: Chart, cut: Array, rng: np.random.Generator, settings: KernelConfig
) -> tuple[LatentKernels | UnitCubeKernels | None, float]:
    """Kernels on weighted draws, each with the spread of its neighbours.

    The centres are a weighted sample without repeats. With ``settings.least_excess`` they are the draws of
    largest weight among those whose weight stands out, because all proposals so far are too thin there.

    Parameters
    ----------
    draws : WeightedDraws
        Of the distribution to cover, in uncut latent coordinates.
    chart : Chart
        The coordinates of the kernels.
    cut : ndarray, shape (n_dim,)
        See `periodic`.

    Returns
    -------
    LatentKernels, UnitCubeKernels or None
        None if no weight stands out, or if most of the kernels lie outside the chart.
    float
        Mass of the draws that stand out; 1 for a sample of all draws.

    References
    ----------
    West (1993), J. R. Stat. Soc. B 55, 409: kernels on weighted draws; Cappé et al. (2008, arXiv:0710.4242);
    Raftery & Bao (2010), Biometrics 66, 1162: incremental mixtures with a kernel on the largest weight.
    """
    draws = replace(draws, z=chart.coordinates(draws.z, cut))
    mass, excess = 1.0, np.zeros(0, dtype=np.intp)
    if settings.least_excess:
        weights = draws.weights
        positive = weights[weights > 0.0]
        typical = math.exp(float(positive @ np.log(positive)))
        excess = np.flatnonzero(weights > settings.least_excess * typical)
        if not len(excess):
            return None, 0.0
        mass = float(weights[excess].sum())
    # A larger sample would be wider than what the effective draws describe.
    supported = max(settings.fewest_in_pool, int(settings.pool_per_effective * draws.ess))
    pool = draws.without_repeats(min(settings.n_pool, supported), rng)
    if settings.least_excess:
        chosen = excess[np.argsort(-draws.weights[excess])[: settings.n_kernels]]
        centres, shares = draws.z[chosen], draws.weights[chosen] / draws.weights[chosen].sum()
    else:
        centres = pool[: settings.n_kernels]
        shares = np.full(len(centres), 1.0 / len(centres))
    mixture = StudentMixture(shares, centres, _neighbourhoods(centres, pool), settings.degrees)
    return chart.of(mixture, cut, rng), mass


def _neighbourhoods(centres: Array, pool: Array) -> Array:
    """Lower-triangular square roots of the spread of the nearest of ``pool`` about each centre."""
    n_dim = pool.shape[1]
    n_neighbours = min(2 * n_dim + 12, len(pool))
    spread = np.maximum(spread_of(pool), 1e-12)
    _, index = cKDTree(pool / spread).query(centres / spread, k=n_neighbours)
    near = pool[index.reshape(len(centres), n_neighbours)] - centres[:, None]
    covariance = np.einsum("mki,mkj->mij", near, near) / max(n_neighbours - 1, 1)
    diagonal = np.einsum("mii->mi", covariance)
    diagonal += 1e-3 * diagonal.copy() + 1e-6 * spread**2
    return np.asarray(np.linalg.cholesky(covariance))


def _is_inside(u: Array) -> NDArray[np.bool_]:
    return np.asarray(((u > 0.0) & (u < 1.0)).all(axis=1))
