"""Mixtures of Student-t kernels: cheap densities of weighted draws, in whatever coordinates these have.

Fitted by expectation maximisation, a compact description of a few modes; or with one kernel on each of many
draws, shaped by its neighbours, which follows curved ridges and bounds the importance weights where
everything else is too thin.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from nbi_sampler.algorithm.proposals.affine import AffineMap, spread_of
from nbi_sampler.core.config import LOCAL_KERNELS, MIXTURE, KernelConfig
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights

__all__ = ["StudentMixture", "fitted_by_em", "weighted_kernels"]

Array = NDArray[np.float64]

# Coordinates that are standardised at a time: so many stay in the cache of a processor.
CACHED = 100_000


class StudentMixture:
    r"""Mixture of multivariate Student-t kernels.

    .. math:: q(y) = \sum_m \pi_m\, t_\nu(y; c_m, \Sigma_m)

    Parameters
    ----------
    shares : ndarray, shape (n_kernels,)
        Summing to 1.
    centres : ndarray, shape (n_kernels, n_dim)
    factors : ndarray, shape (n_kernels, n_dim, n_dim)
        Lower-triangular square roots of the scale matrices.
    degrees : float
        Degrees of freedom.
    """

    def __init__(self, shares: Array, centres: Array, factors: Array, degrees: float) -> None:
        self.shares = shares
        self.centres = centres
        self.factors = factors
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
        return np.asarray(self.centres[pick] + steps)

    def log_prob(self, y: Array) -> Array:
        """Log density at y of shape (n, n_dim), shape (n,)."""
        chunk = max(CACHED // self.centres.size, 1)
        parts = [self._log_density(part) for part in np.split(y, range(chunk, len(y), chunk))]
        return np.concatenate(parts)

    def _log_density(self, y: Array) -> Array:
        n_kernels, n_dim = self.centres.shape
        standard = self._inverses.reshape(-1, n_dim) @ y.T - self._shifts.reshape(-1, 1)
        square = np.square(standard, out=standard).reshape(n_kernels, n_dim, -1).sum(axis=1)
        terms = self._log_norm[:, None] - 0.5 * (self.degrees + n_dim) * np.log1p(square / self.degrees)
        # scipy's takes three times as long, and all terms are finite here.
        highest = terms.max(axis=0)
        return np.asarray(highest + np.log(np.exp(terms - highest).sum(axis=0)))


def weighted_kernels(
    y: Array, log_weights: Array, rng: np.random.Generator, settings: KernelConfig = LOCAL_KERNELS
) -> tuple[StudentMixture | None, float]:
    """Kernels on weighted draws, each with the spread of its neighbours.

    On a weighted sample without repeats, or where ``settings.least_excess`` is given, on the draws of largest
    weight of those that stand out: there all proposals so far are too thin.

    Parameters
    ----------
    y : ndarray, shape (n, n_dim)
    log_weights : ndarray, shape (n,)
        Of the distribution to cover.

    Returns
    -------
    StudentMixture or None
        None where no weight stands out.
    float
        Mass of the draws that stand out; 1 for a sample of all.

    References
    ----------
    West (1993), J. R. Stat. Soc. B 55, 409: kernels on weighted draws; Cappé et al. (2008, arXiv:0710.4242);
    Raftery & Bao (2010), Biometrics 66, 1162: incremental mixtures with a kernel on the largest weight.
    """
    if not settings.least_excess:
        pool = _without_repeats(y, log_weights, rng, settings)
        centres = pool[: settings.n_kernels]
        shares, mass = np.full(len(centres), 1.0 / len(centres)), 1.0
        return StudentMixture(shares, centres, _neighbourhoods(centres, pool), settings.degrees), mass
    weights = normalised_weights(log_weights)
    positive = weights[weights > 0.0]
    typical = math.exp(float(positive @ np.log(positive)))
    excess = np.flatnonzero(weights > settings.least_excess * typical)
    if not len(excess):
        return None, 0.0
    chosen = excess[np.argsort(-weights[excess])[: settings.n_kernels]]
    factors = _neighbourhoods(y[chosen], _without_repeats(y, log_weights, rng, settings))
    shares, mass = weights[chosen] / weights[chosen].sum(), float(weights[excess].sum())
    return StudentMixture(shares, y[chosen], factors, settings.degrees), mass


def _without_repeats(y: Array, log_weights: Array, rng: np.random.Generator, settings: KernelConfig) -> Array:
    """Weighted sample without repeats (Gumbel top-k), shape (at most n, n_dim).

    Of no more draws than a few times as many as are effective: a larger sample would be wider than what the
    weights describe.
    """
    keys = log_weights + rng.gumbel(size=len(log_weights))
    n_effective = effective_sample_size(log_weights)
    supported = max(settings.fewest_in_pool, int(settings.pool_per_effective * n_effective))
    n = min(settings.n_pool, supported, int(np.isfinite(keys).sum()))
    return y[np.argsort(-keys)[:n]]


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


def fitted_by_em(y: Array, weights: Array, n_kernels: int, rng: np.random.Generator) -> StudentMixture:
    """Gaussian mixture of weighted draws with its covariances, its tails made a little heavier.

    ``y`` is of shape (n, n_dim); the weights sum to 1.
    """
    degrees = MIXTURE.em_degrees
    if n_kernels == 1:
        affine = AffineMap.standardising(y, weights)
        factor = affine.factor * math.sqrt((degrees - 2.0) / degrees)
        return StudentMixture(np.ones(1), affine.mean[None], factor[None], degrees)
    ess = effective_sample_size(np.log(weights[weights > 0.0]))
    n_draws = int(np.clip(MIXTURE.em_draws_per_effective * ess, *MIXTURE.em_draws))
    points = y[rng.choice(len(y), size=n_draws, p=weights)]
    mean, spread = points.mean(axis=0), points.std(axis=0) + 1e-12
    mixture = GaussianMixture(
        min(n_kernels, len(np.unique(points, axis=0))),
        reg_covar=1e-5,
        tol=MIXTURE.em_tolerance,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((points - mean) / spread)
    factors = np.linalg.cholesky(mixture.covariances_) * math.sqrt((degrees - 2.0) / degrees)
    kept = mixture.weights_ > 0.0
    shares, centres = mixture.weights_[kept], mixture.means_[kept] * spread + mean
    return StudentMixture(shares / shares.sum(), centres, factors[kept] * spread[None, :, None], degrees)
