"""A mixture of local heavy-tailed kernels: the wide part of a refinement proposal.

Kernels sit on draws and take their shape from the neighbours there, so the mixture follows curved ridges and
separate modes, reaches beyond their ends, and bounds the importance weights where a flow is too thin.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln, logsumexp

from nbi_sampler.periodic import apply_cut, remove_cut

__all__ = ["LocalMixture"]

Array = NDArray[np.float64]

CHUNK = 4_000


class LocalMixture:
    r"""Equal mixture of multivariate Student-t kernels in cut coordinates.

    .. math:: q(z) = \frac1M \sum_m t_\nu(z; c_m, \Sigma_m)

    Parameters
    ----------
    centres : ndarray, shape (n_centres, n_dim)
    factors : ndarray, shape (n_centres, n_dim, n_dim)
        Lower-triangular square roots of the scale matrices.
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    degrees : float
        Degrees of freedom.

    References
    ----------
    Cappé et al. (2008, arXiv:0710.4242), adaptive importance sampling in mixture classes; West (1993),
    J. R. Stat. Soc. B 55, 409, for kernels on weighted draws.
    """

    def __init__(self, centres: Array, factors: Array, cut: Array, degrees: float = 4.0) -> None:
        self.centres = centres
        self.factors = factors
        self.cut = cut
        self.degrees = degrees
        n_dim = centres.shape[1]
        self._inverses = np.linalg.inv(factors)
        log_det = np.log(np.abs(np.diagonal(factors, axis1=1, axis2=2))).sum(axis=1)
        self._log_norm = (
            gammaln(0.5 * (degrees + n_dim))
            - gammaln(0.5 * degrees)
            - 0.5 * n_dim * math.log(degrees * math.pi)
            - log_det
            - math.log(len(centres))
        )

    @classmethod
    def fitted(
        cls,
        z: Array,
        log_weights: Array,
        cut: Array,
        rng: np.random.Generator,
        n_centres: int = 200,
        n_pool: int = 1500,
        width: float = 1.0,
    ) -> LocalMixture:
        """Kernels on a weighted sample without repeats.

        Parameters
        ----------
        z : ndarray, shape (n, n_dim)
            Uncut coordinates.
        log_weights : ndarray, shape (n,)
            Of the distribution to cover.
        cut : ndarray, shape (n_dim,)
        rng : numpy.random.Generator
        n_centres, n_pool : int
            Kernels, and draws among which neighbours are looked for.
        width : float
            Factor on the spread of the neighbours.
        """
        keys = log_weights + rng.gumbel(size=len(log_weights))
        pool = apply_cut(z[np.argsort(-keys)[: min(n_pool, int(np.isfinite(keys).sum()))]], cut)
        n_dim = z.shape[1]
        n_neighbours = min(2 * n_dim + 12, len(pool))
        spread = pool.std(axis=0) + 1e-12
        centres = pool[:n_centres]
        _, index = cKDTree(pool / spread).query(centres / spread, k=n_neighbours)
        near = pool[index.reshape(len(centres), n_neighbours)] - centres[:, None]
        covariance = np.einsum("mki,mkj->mij", near, near) / max(n_neighbours - 1, 1)
        diagonal = np.einsum("mii->mi", covariance)
        diagonal += 1e-3 * diagonal.copy() + 1e-6 * spread**2
        return cls(centres, width * np.linalg.cholesky(covariance), cut)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        pick = rng.integers(len(self.centres), size=n)
        normal = rng.normal(size=(n, self.centres.shape[1]))
        divisor = np.sqrt(rng.chisquare(self.degrees, size=(n, 1)) / self.degrees)
        steps = np.einsum("nij,nj->ni", self.factors[pick], normal / divisor)
        return remove_cut(self.centres[pick] + steps, self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        z = apply_cut(z, self.cut)
        n_dim = z.shape[1]
        log_q = np.concatenate([self._log_density(part) for part in np.split(z, range(CHUNK, len(z), CHUNK))])
        return log_q + 0.5 * np.sum(z**2, axis=1) + 0.5 * n_dim * math.log(2.0 * math.pi)

    def _log_density(self, z: Array) -> Array:
        n_dim = z.shape[1]
        shifted = np.einsum("mij,nj->mni", self._inverses, z, optimize=True)
        shifted -= np.einsum("mij,mj->mi", self._inverses, self.centres)[:, None]
        square = np.einsum("mni,mni->mn", shifted, shifted)
        terms = self._log_norm[:, None] - 0.5 * (self.degrees + n_dim) * np.log1p(square / self.degrees)
        return np.asarray(logsumexp(terms, axis=0))
