"""Joint priors of bilby as maps between standard normal coordinates and physical parameters.

bilby's ``rescale`` of a Gaussian mixture picks the mode at random. That of a single Gaussian multiplies by
eigenvectors that are not orthogonal if eigenvalues coincide (equal correlations). Exact maps replace both
here. Bounds are not part of these maps. As in bilby's density, they truncate without renormalisation.
"""

from __future__ import annotations

import numpy as np
from bilby.core.prior import BaseJointPriorDist, MultivariateGaussianDist
from scipy.special import log_ndtr, logsumexp, ndtr

from nbi_sampler.priors.column_function import Conditions, agree, works_at_once
from nbi_sampler.priors.maps import clip_unit
from nbi_sampler.priors.tails import normal_quantile

__all__ = ["GaussianMap", "GaussianMixtureMap", "JointMap", "make_joint_map"]

# More bisections than a double has bits.
_N_BISECTIONS = 64


def make_joint_map(dist: BaseJointPriorDist, z: np.ndarray) -> JointMap | GaussianMap | GaussianMixtureMap:
    """Choose the map of a joint distribution.

    Parameters
    ----------
    dist : bilby.core.prior.BaseJointPriorDist
    z : ndarray, shape (n_probes, n_names)
        Probes, in the order of ``dist.names``.
    """
    own_rescale = getattr(type(dist), "_rescale", None) is not MultivariateGaussianDist._rescale
    if own_rescale or not isinstance(dist, MultivariateGaussianDist):
        return JointMap(dist, z)
    return GaussianMap(dist) if dist.nmodes == 1 else GaussianMixtureMap(dist)


class GaussianMap:
    """Multivariate Gaussian, theta = mu + A z with A A^T the covariance.

    A is bilby's scaled matrix of eigenvectors if it is a root of the covariance, otherwise Cholesky's factor.

    Parameters
    ----------
    dist : bilby.core.prior.MultivariateGaussianDist
        A distribution with one mode.
    """

    def __init__(self, dist: MultivariateGaussianDist) -> None:
        self.names = tuple(dist.names)
        self._mean = np.asarray(dist.mus[0], dtype=float)
        sigma = np.asarray(dist.sigmas[0], dtype=float)
        correlation = np.asarray(dist.corrcoefs[0], dtype=float)
        root = np.real(dist.eigvectors[0] * dist.sqeigvalues[0])
        if not np.allclose(root @ root.T, correlation, rtol=0.0, atol=1e-9):
            root = np.linalg.cholesky(correlation)
        self._root = sigma[:, None] * root

    def to_theta(self, z: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Map standard normal to physical, shapes (n, n_names); joint priors have no conditions."""
        return self._mean + z @ self._root.T

    def to_z(self, theta: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Invert :meth:`to_theta`, same shapes."""
        return np.linalg.solve(self._root, (theta - self._mean).T).T


class GaussianMixtureMap:
    """Gaussian mixture by the Rosenblatt transform, one coordinate after the other.

    z_j = ndtri(F(theta_j | theta_1 ... theta_(j-1))), with F the mixture of the conditional normal
    distributions of the modes. Continuous and one to one, unlike a choice of the mode by one coordinate.

    Parameters
    ----------
    dist : bilby.core.prior.MultivariateGaussianDist

    References
    ----------
    Rosenblatt 1952, Ann. Math. Statist. 23, 470.
    """

    def __init__(self, dist: MultivariateGaussianDist) -> None:
        self.names = tuple(dist.names)
        self._means = np.asarray(dist.mus, dtype=float)
        sigmas = np.asarray(dist.sigmas, dtype=float)
        self._factors = sigmas[:, :, None] * np.linalg.cholesky(np.asarray(dist.corrcoefs, dtype=float))
        weights = np.asarray(dist.weights, dtype=float)
        with np.errstate(divide="ignore"):
            self._log_weights = np.log(weights / weights.sum())

    def to_theta(self, z: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Map standard normal to physical, shapes (n, n_names); joint priors have no conditions."""
        return self._transform(z, inverse=False)

    def to_z(self, theta: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Invert :meth:`to_theta`, same shapes."""
        return self._transform(theta, inverse=True)

    def _transform(self, values: np.ndarray, inverse: bool) -> np.ndarray:
        n, n_names = values.shape
        log_weights = np.repeat(self._log_weights[:, None], n, axis=1)
        whitened = np.zeros((len(self._means), n, n_names))
        result = np.empty((n, n_names))
        for j in range(n_names):
            shift = np.einsum("kni,ki->kn", whitened[:, :, :j], self._factors[:, j, :j])
            location = self._means[:, j, None] + shift
            scale = self._factors[:, j, j, None]
            if inverse:
                theta = values[:, j]
                result[:, j] = _mixture_normal_quantile(theta, log_weights, location, scale)
            else:
                theta = result[:, j] = _mixture_value(values[:, j], log_weights, location, scale)
            whitened[:, :, j] = (theta - location) / scale
            log_weights = log_weights - 0.5 * whitened[:, :, j] ** 2 - np.log(scale)
            log_weights = log_weights - logsumexp(log_weights, axis=0)
        return result


def _mixture_normal_quantile(
    theta: np.ndarray, log_weights: np.ndarray, location: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Find the normal quantile of a mixture's distribution function, shapes (n,) and (n_modes, n)."""
    standardized = (theta - location) / scale
    lower = logsumexp(log_weights + log_ndtr(standardized), axis=0)
    upper = logsumexp(log_weights + log_ndtr(-standardized), axis=0)
    return normal_quantile(lower, upper)


def _mixture_value(
    z: np.ndarray, log_weights: np.ndarray, location: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Find where a mixture's distribution function is ndtr(z), shapes (n,) and (n_modes, n)."""
    weights = np.exp(log_weights)
    # A quantile of a mixture lies between the quantiles of its modes for the same probability.
    quantiles = location + scale * z
    low, high = quantiles.min(axis=0), quantiles.max(axis=0)
    sign = np.where(z > 0.0, -1.0, 1.0)
    tail = ndtr(-np.abs(z))
    for _ in range(_N_BISECTIONS):
        middle = 0.5 * (low + high)
        mass = np.sum(weights * ndtr(sign * (middle - location) / scale), axis=0)
        below = sign * (mass - tail) < 0.0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


class JointMap:
    """Any other joint prior, by its own ``rescale``; it has no inverse.

    Parameters
    ----------
    dist : bilby.core.prior.BaseJointPriorDist
    z : ndarray, shape (n_probes, n_names)

    Raises
    ------
    ValueError
        If ``rescale`` gives values that are not finite or differ from call to call.
    """

    def __init__(self, dist: BaseJointPriorDist, z: np.ndarray) -> None:
        self.names = tuple(dist.names)
        self._dist = dist
        rows = self._by_row(ndtr(z))
        self._vectorized = works_at_once(lambda: self._at_once(ndtr(z)), rows)
        if not np.all(np.isfinite(rows)) or not agree(self.to_theta(z, {}), rows):
            raise ValueError(
                f"joint prior {type(dist).__name__} over {list(self.names)}: expected rescale() to give "
                "finite values, the same at every call; got values that are not finite or change (bilby's "
                "sky maps draw the place within a pixel at random). Use priors without random "
                "numbers inside rescale()."
            )

    def to_theta(self, z: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Map standard normal to physical, shapes (n, n_names); joint priors have no conditions."""
        u = clip_unit(ndtr(z))
        return self._at_once(u) if self._vectorized else self._by_row(u)

    def to_z(self, theta: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Raise, because bilby's joint priors do not define an inverse."""
        raise NotImplementedError(
            f"to_z: the joint prior {type(self._dist).__name__} over {list(self.names)} has no inverse of "
            "rescale(). Keep z beside theta, or use a MultivariateGaussian or conditional priors."
        )

    def _at_once(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(self._dist.rescale(u.copy()), dtype=float).reshape(u.shape)

    def _by_row(self, u: np.ndarray) -> np.ndarray:
        return np.array([np.ravel(self._dist.rescale(row.copy())) for row in u], dtype=float).reshape(u.shape)
