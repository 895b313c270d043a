"""A map of each coordinate after which the marginal distributions of draws are nearly normal."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from nbi_sampler.algorithm.proposals.affine import spread_of
from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.types import Array

__all__ = ["MarginalMap"]

# Guard against overflow: the hyperbolic sine of this is 2e8 standard deviations.
FARTHEST = 20.0


class MarginalMap:
    r"""The sinh-arcsinh map of each coordinate.

    .. math:: y = \sinh(\delta\, \mathrm{arsinh}\, t - \varepsilon), \qquad t = (z - \xi) / \eta

    It is linear for :math:`\varepsilon = 0` and :math:`\delta = 1`. A distribution with positive
    :math:`\varepsilon` has its longer tail to the right, and one with small :math:`\delta` has heavy tails.

    Parameters
    ----------
    location, scale, skewness, lightness : ndarray, shape (n_dim,)
        :math:`\xi`, :math:`\eta`, :math:`\varepsilon` and :math:`\delta`.

    References
    ----------
    Jones & Pewsey (2009), Biometrika 96, 761.
    """

    def __init__(self, location: Array, scale: Array, skewness: Array, lightness: Array) -> None:
        self.location = location
        self.scale = scale
        self.skewness = skewness
        self.lightness = lightness

    @classmethod
    def fitted(cls, z: Array) -> MarginalMap:
        """The map of largest likelihood for draws of equal weight, shape (n, n_dim).

        Examples
        --------
        >>> normal = np.random.default_rng(0).normal(size=(2000, 1))
        >>> y, _ = MarginalMap.fitted(np.exp(normal)).forward(np.exp(np.array([[-1.0], [0.0], [1.0]])))
        >>> y.round().T
        array([[-1.,  0.,  1.]])
        """
        centre, spread = z.mean(axis=0), spread_of(z)
        fits = np.array([_fitted(column) for column in ((z - centre) / spread).T])
        location, log_scale, skewness, log_lightness = fits.T
        return cls(centre + spread * location, spread * np.exp(log_scale), skewness, np.exp(log_lightness))

    def forward(self, z: Array) -> tuple[Array, Array]:
        """Map z to y, both of shape (n, n_dim); also the log determinant of dy/dz, shape (n,)."""
        t = (z - self.location) / self.scale
        angle = _angle(t, self.skewness, self.lightness)
        slopes = np.log(self.lightness / self.scale) + np.log(np.cosh(angle)) - np.log(np.hypot(1.0, t))
        return np.sinh(angle), np.asarray(slopes.sum(axis=1))

    def backward(self, y: Array) -> Array:
        """Map y to z, both of shape (n, n_dim)."""
        t = np.sinh((np.arcsinh(y) + self.skewness) / self.lightness)
        return np.asarray(self.location + self.scale * t)

    def gain(self, z: Array) -> float:
        """Mean log density of draws if their marginals are normal after the map, less that before it.

        The marginals before it have the means and standard deviations of the draws, shape (n, n_dim).
        """
        y, log_jacobian = self.forward(z)
        mapped = log_jacobian.mean() - 0.5 * (y**2).sum(axis=1).mean()
        return float(mapped + 0.5 * z.shape[1] + np.log(spread_of(z)).sum())


def _angle(t: Array, skewness: Array | float, lightness: Array | float) -> Array:
    """The value whose hyperbolic sine is y."""
    return np.asarray(np.clip(lightness * np.arcsinh(t) - skewness, -FARTHEST, FARTHEST))


def _fitted(x: Array) -> Array:
    """Location, log scale, skewness and log lightness of standardised draws, shape (n,)."""
    linear = np.zeros(4)
    bounds = [(-limit, limit) for limit in MIXTURE.marginal_limits]
    options = {"maxiter": MIXTURE.marginal_steps}
    found = minimize(_loss, linear, (x,), "L-BFGS-B", jac=True, bounds=bounds, options=options)
    return np.asarray(found.x if found.fun < _loss(linear, x)[0] else linear)


def _loss(parameters: Array, x: Array) -> tuple[float, Array]:
    """Minus the mean log density, up to a constant, with a weak penalty, and the gradient."""
    location, log_scale, skewness, log_lightness = parameters
    scale, lightness = math.exp(log_scale), math.exp(log_lightness)
    t = (x - location) / scale
    angle = _angle(t, skewness, lightness)
    y, slope, length = np.sinh(angle), np.cosh(angle), np.hypot(1.0, t)
    log_density = np.log(slope) - 0.5 * y**2 + log_lightness - log_scale - np.log(length)
    by_angle = np.tanh(angle) - y * slope
    by_t = by_angle * lightness / length - t / length**2
    by_each = (-by_t / scale, -by_t * t - 1.0, -by_angle, by_angle * (angle + skewness) + 1.0)
    gradient = -np.array([each.mean() for each in by_each])
    penalised = np.array([0.0, 0.0, skewness, log_lightness])
    gradient += 2.0 * MIXTURE.marginal_penalty * penalised
    return -float(log_density.mean()) + MIXTURE.marginal_penalty * float(penalised @ penalised), gradient
