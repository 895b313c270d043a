"""Kernels as proposals, and the charts in which they are fitted.

The latent space has no edges, but it stretches the edges of a bounded prior to infinity. In the unit cube of
prior quantiles, a mode that is cut by the edge of the prior keeps its shape. These two classes of kernels are
also the charts in which they are fitted. A chart gives the coordinates of draws, and it turns a
`StudentMixture` in these coordinates into a proposal over z. `MarginalKernels` are fitted in coordinates that
depend on the draws: their marginal distributions are nearly normal in them.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nbi_sampler.algorithm.proposals.marginal_map import MarginalMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.algorithm.proposals.proposal import log_normal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.types import Array

__all__ = ["CHARTS", "Chart", "LatentKernels", "MarginalKernels", "UnitCubeKernels"]

# Probabilities that are not 0 and 1, at which normal quantiles are finite.
SMALLEST, LARGEST = 1e-300, 1.0 - 1e-16


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

    @staticmethod
    def log_prior(y: Array) -> Array:
        """Log density of the prior in these coordinates, shape (n,)."""
        return log_normal(y)

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
        chunk = MIXTURE.inside_chunk
        inside = _probabilities_inside(mixture, chunk, rng)
        share = float(inside.mean())
        if share > 0.0:
            wanted = (float(inside.std()) / (share * MIXTURE.inside_error)) ** 2
            n_parts = math.ceil(min(wanted, MIXTURE.n_inside) / chunk)
            more = [_probabilities_inside(mixture, chunk, rng).mean() for _ in range(n_parts - 1)]
            share = float(np.mean([share, *more]))
        return cls(mixture, cut, math.log(share)) if share > MIXTURE.least_inside else None

    @staticmethod
    def coordinates(z: Array, cut: Array) -> Array:
        """Cut quantiles of draws, shape (n, n_dim)."""
        return np.asarray(ndtr(apply_cut(z, cut)))

    @staticmethod
    def log_prior(y: Array) -> Array:
        """Log density of the prior in these coordinates, shape (n,)."""
        return np.zeros(len(y))

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


class MarginalKernels:
    """Kernels over cut latent coordinates after a map of each coordinate.

    Parameters
    ----------
    mixture : StudentMixture
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    marginal_map : MarginalMap
    """

    def __init__(self, mixture: StudentMixture, cut: Array, marginal_map: MarginalMap) -> None:
        self.mixture = mixture
        self.cut = cut
        self.marginal_map = marginal_map

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        return remove_cut(self.marginal_map.backward(self.mixture.sample(n, rng)), self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        z = apply_cut(z, self.cut)
        y, log_jacobian = self.marginal_map.forward(z)
        return self.mixture.log_prob(y) + log_jacobian - log_normal(z)


Chart: TypeAlias = type[LatentKernels] | type[UnitCubeKernels]
CHARTS: tuple[Chart, ...] = (LatentKernels, UnitCubeKernels)


def _is_inside(u: Array) -> NDArray[np.bool_]:
    return np.asarray(((u > 0.0) & (u < 1.0)).all(axis=1))


def _probabilities_inside(mixture: StudentMixture, n: int, rng: np.random.Generator) -> Array:
    """Estimates of the share of a mixture that lies in the unit cube, shape (n,), whose mean has no bias.

    Each is a product over the coordinates: the probability of a kernel to lie between 0 and 1 in one, given a
    draw that lies between them in those before. Of a kernel at a corner of the cube, 20,000 of them give the
    share to 1e-5. Counting 200,000 draws gives 1/256 (eight parameters) to 4 %, and all draws of a proposal
    have this error: log Z of a half-normal posterior was 16 errors too low.

    References
    ----------
    Geweke (1991); Hajivassiliou & McFadden (1998); Keane (1994): the simulator of all three.
    """
    # Kernels in proportion to their shares, which scatters less than a choice at random.
    edges = np.cumsum(mixture.shares)
    pick = np.searchsorted(edges / edges[-1], (np.arange(n) + rng.uniform(size=n)) / n)
    centres, factors = mixture.centres[pick], mixture.factors[pick]
    scale = np.sqrt(rng.chisquare(mixture.degrees, size=n) / mixture.degrees)
    steps, probability = np.zeros_like(centres), np.ones(n)
    for d in range(centres.shape[1]):
        at = centres[:, d] + np.einsum("nj,nj->n", factors[:, d, :d], steps[:, :d])
        width = factors[:, d, d] / scale
        low, high = -at / width, (1.0 - at) / width
        # In the lower tail, where differences of probabilities keep their digits.
        is_upper = low > 0.0
        low, high = np.where(is_upper, -high, low), np.where(is_upper, -low, high)
        below, within = ndtr(low), ndtr(high) - ndtr(low)
        normal = ndtri(np.clip(below + rng.uniform(size=n) * within, SMALLEST, LARGEST))
        steps[:, d] = np.where(is_upper, -normal, normal) / scale
        probability *= within
    return probability
