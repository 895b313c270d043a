"""Mixtures of Student-t kernels, and their fit to weighted draws by expectation maximisation."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import effective_sample_size

__all__ = ["StudentMixture", "fitted_by_em"]

# Distances of draws from kernels that are computed at a time. So many stay in the cache of a processor.
CACHED = 30_000
# Densities below this are summed as logarithms, because terms of the sum may have underflowed.
SMALLEST = math.sqrt(np.finfo(np.float64).tiny)


class StudentMixture:
    r"""Mixture of multivariate Student-t kernels.

    .. math:: q(y) = \sum_m \pi_m\, t_\nu(y; c_m, \Sigma_m)

    Parameters
    ----------
    shares : ndarray, shape (n_kernels,)
        Values that sum to 1.
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

    def widened(self, factor: float) -> StudentMixture:
        """The same mixture, with kernels that are wider by a factor."""
        return StudentMixture(self.shares, self.centres, factor * self.factors, self.degrees)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        pick = rng.choice(len(self.shares), size=n, p=self.shares)
        normal = rng.normal(size=(n, self.centres.shape[1]))
        divisor = np.sqrt(rng.chisquare(self.degrees, size=(n, 1)) / self.degrees)
        steps = np.einsum("nij,nj->ni", self.factors[pick], normal / divisor)
        return np.asarray(self.centres[pick] + steps)

    def log_prob(self, y: Array) -> Array:
        """Log density at y of shape (n, n_dim), shape (n,)."""
        chunk = max(CACHED // len(self.centres), 1)
        with np.errstate(over="ignore", under="ignore"):
            parts = [self._log_density(part) for part in np.split(y, range(chunk, len(y), chunk))]
        return np.concatenate(parts)

    def _log_density(self, y: Array) -> Array:
        n_kernels, n_dim = self.centres.shape
        standard = (self._inverses.reshape(-1, n_dim) @ y.T).reshape(n_kernels, n_dim, -1)
        standard -= self._shifts[:, :, None]
        base = np.einsum("mdn,mdn->mn", standard, standard)
        base /= self.degrees
        base += 1.0
        highest = self._log_norm.max()
        density = np.exp(self._log_norm - highest) @ _to_the_minus_half(base, self.degrees + n_dim)
        far = density < SMALLEST
        log_density = np.log(np.where(far, 1.0, density)) + highest
        if far.any():
            terms = self._log_norm[:, None] - 0.5 * (self.degrees + n_dim) * np.log(base[:, far])
            log_density[far] = logsumexp(terms, axis=0)
        return np.asarray(log_density)


def _to_the_minus_half(base: Array, power: float) -> Array:
    """``base ** (-power / 2)``. Products take a fifth of the time of powers, if ``power`` is whole."""
    if power != int(power):
        return np.asarray(base ** (-0.5 * power))
    whole, odd = divmod(int(power), 2)
    result = np.sqrt(base) if odd else np.ones_like(base)
    factor = base.copy()
    while whole:
        if whole % 2:
            result *= factor
        factor *= factor
        whole //= 2
    return np.asarray(np.reciprocal(result, out=result))


def fitted_by_em(y: Array, weights: Array, n_kernels: int, rng: np.random.Generator) -> StudentMixture:
    """Mixture with the covariances of a Gaussian mixture fitted to weighted draws, and heavier tails.

    ``y`` has shape (n, n_dim), and the weights sum to 1.
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
        reg_covar=MIXTURE.em_ridge,
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
