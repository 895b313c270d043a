"""Mixtures of Student-t kernels over z: cheap members of a refinement proposal.

Fitted in two ways: by expectation maximisation, a compact description of a few modes; and with one kernel
on each of many draws, shaped by its neighbours, which follows curved ridges, reaches beyond their ends and
bounds the importance weights where everything else is too thin. Called by `refinement`.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from nbi_sampler.affine import AffineMap
from nbi_sampler.importance import effective_sample_size
from nbi_sampler.periodic import apply_cut, remove_cut

__all__ = ["StudentMixture", "fitted_by_em", "local_kernels"]

Array = NDArray[np.float64]

CHUNK = 500
EM_DRAWS = (3_000, 10_000)


class StudentMixture:
    r"""Mixture of multivariate Student-t kernels in cut coordinates.

    .. math:: q(z) = \sum_m \pi_m\, t_\nu(z; c_m, \Sigma_m)

    Parameters
    ----------
    shares : ndarray, shape (n_kernels,)
        Summing to 1.
    centres : ndarray, shape (n_kernels, n_dim)
    factors : ndarray, shape (n_kernels, n_dim, n_dim)
        Lower-triangular square roots of the scale matrices.
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    degrees : float
        Degrees of freedom.
    """

    def __init__(self, shares: Array, centres: Array, factors: Array, cut: Array, degrees: float) -> None:
        self.shares = shares
        self.centres = centres
        self.factors = factors
        self.cut = cut
        self.degrees = degrees
        n_dim = centres.shape[1]
        self._inverses = np.linalg.inv(factors)
        self._shifts = np.einsum("mij,mj->mi", self._inverses, centres)
        self._log_norm = (
            np.log(shares)
            + gammaln(0.5 * (degrees + n_dim))
            - gammaln(0.5 * degrees)
            - 0.5 * n_dim * math.log(degrees * math.pi)
            - np.log(np.abs(np.diagonal(factors, axis1=1, axis2=2))).sum(axis=1)
        )

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        pick = rng.choice(len(self.shares), size=n, p=self.shares)
        normal = rng.normal(size=(n, self.centres.shape[1]))
        divisor = np.sqrt(rng.chisquare(self.degrees, size=(n, 1)) / self.degrees)
        steps = np.einsum("nij,nj->ni", self.factors[pick], normal / divisor)
        return remove_cut(self.centres[pick] + steps, self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        z = apply_cut(z, self.cut)
        n_dim = z.shape[1]
        parts = [self._log_density(part) for part in np.split(z, range(CHUNK, len(z), CHUNK))]
        return np.concatenate(parts) + 0.5 * np.sum(z**2, axis=1) + 0.5 * n_dim * math.log(2.0 * math.pi)

    def _log_density(self, z: Array) -> Array:
        n_dim = z.shape[1]
        standard = np.einsum("mij,nj->mni", self._inverses, z, optimize=True) - self._shifts[:, None]
        square = np.einsum("mni,mni->mn", standard, standard)
        terms = self._log_norm[:, None] - 0.5 * (self.degrees + n_dim) * np.log1p(square / self.degrees)
        return np.asarray(logsumexp(terms, axis=0))


def local_kernels(
    z: Array,
    log_weights: Array,
    cut: Array,
    rng: np.random.Generator,
    *,
    n_kernels: int = 200,
    n_pool: int = 1500,
    degrees: float = 4.0,
) -> StudentMixture:
    """Kernels on a weighted sample without repeats, each with the spread of its neighbours.

    Parameters
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut coordinates.
    log_weights : ndarray, shape (n,)
        Of the distribution to cover.
    cut : ndarray, shape (n_dim,)
    rng : numpy.random.Generator
    n_kernels, n_pool : int
        Kernels, and draws among which neighbours are looked for.
    degrees : float

    References
    ----------
    West (1993), J. R. Stat. Soc. B 55, 409: kernels on weighted draws; Cappé et al. (2008, arXiv:0710.4242).
    """
    keys = log_weights + rng.gumbel(size=len(log_weights))
    n_pool = min(n_pool, int(np.isfinite(keys).sum()))
    pool = apply_cut(z[np.argsort(-keys)[:n_pool]], cut)
    n_dim = z.shape[1]
    n_neighbours = min(2 * n_dim + 12, len(pool))
    spread = pool.std(axis=0) + 1e-12
    centres = pool[:n_kernels]
    _, index = cKDTree(pool / spread).query(centres / spread, k=n_neighbours)
    near = pool[index.reshape(len(centres), n_neighbours)] - centres[:, None]
    covariance = np.einsum("mki,mkj->mij", near, near) / max(n_neighbours - 1, 1)
    diagonal = np.einsum("mii->mi", covariance)
    diagonal += 1e-3 * diagonal.copy() + 1e-6 * spread**2
    shares = np.full(len(centres), 1.0 / len(centres))
    return StudentMixture(shares, centres, np.linalg.cholesky(covariance), cut, degrees)


def fitted_by_em(
    z: Array,
    weights: Array,
    cut: Array,
    n_kernels: int,
    rng: np.random.Generator,
    *,
    degrees: float = 100.0,
) -> StudentMixture:
    """Gaussian mixture of weighted draws, its tails made a little heavier.

    Parameters
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut coordinates.
    weights : ndarray, shape (n,)
        Summing to 1.
    cut : ndarray, shape (n_dim,)
    n_kernels : int
    rng : numpy.random.Generator
    degrees : float
        Of the kernels, which keep the covariances of the Gaussians.
    """
    if n_kernels == 1:
        affine = AffineMap.standardising(apply_cut(z, cut), weights)
        factor = affine.factor * math.sqrt((degrees - 2.0) / degrees)
        return StudentMixture(np.ones(1), affine.mean[None], factor[None], cut, degrees)
    n_draws = int(np.clip(4.0 * effective_sample_size(np.log(weights[weights > 0.0])), *EM_DRAWS))
    points = apply_cut(z[rng.choice(len(z), size=n_draws, p=weights)], cut)
    mean, spread = points.mean(axis=0), points.std(axis=0) + 1e-12
    mixture = GaussianMixture(
        min(n_kernels, len(np.unique(points[:, 0]))), reg_covar=1e-5, random_state=int(rng.integers(2**31))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((points - mean) / spread)
    factors = np.linalg.cholesky(mixture.covariances_) * math.sqrt((degrees - 2.0) / degrees)
    kept = mixture.weights_ > 0.0
    return StudentMixture(
        mixture.weights_[kept] / mixture.weights_[kept].sum(),
        mixture.means_[kept] * spread + mean,
        factors[kept] * spread[None, :, None],
        cut,
        degrees,
    )
