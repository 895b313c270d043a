"""Shapes along straight lines: skewed modes, heavy tails, a needle, an unconstrained direction."""

from __future__ import annotations

import math

import numpy as np
from bilby.core.prior import Prior, Uniform
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm, t

from nbi_sampler_benchmark.problems.hard_shapes.shape import Array, Shape, shape_of

__all__ = ["correlated", "flat", "log_gamma", "student"]

LOG_2_PI = math.log(2.0 * math.pi)
# The log-gamma mixtures, in units of the prior.
MODES, WIDTH = (1.0 / 3.0, 2.0 / 3.0), 1.0 / 30.0
# The tails: degrees of freedom, and half width of the prior in scales.
DEGREES, STUDENT_WITHIN = 2.0, 50.0
# The needle: correlation of every pair, and half width of the prior in standard deviations.
CORRELATION, NEEDLE_WITHIN = 0.999, 5.0
# The flat direction: half width of a sum, and standard deviation of this sum and of the other parameters.
SUM, KNOWN_TO = 0.3, 0.01


def log_gamma(n_dim: int) -> Shape:
    """Mixture of log-gamma and normal densities of Beaujean & Caldwell (2013, arXiv:1304.7808, section 4.2).

    It has four modes, because the first two parameters have two each. Half of the other parameters are
    log-gamma with an exponential tail to the left, and the other half are normal.
    """
    n_skewed = n_dim // 2 + 1 - 2

    def log_likelihood(x: Array) -> Array:
        first = np.logaddexp(*(_log_gamma_density(x[..., 0], mode) for mode in MODES)) - math.log(2.0)
        second = np.logaddexp(*(_log_normal_density(x[..., 1], mode) for mode in MODES)) - math.log(2.0)
        skewed = _log_gamma_density(x[..., 2 : 2 + n_skewed], MODES[1]).sum(axis=-1)
        return first + second + skewed + _log_normal_density(x[..., 2 + n_skewed :], MODES[1]).sum(axis=-1)

    skewed = [_log_gamma_mass(mode) for mode in MODES]
    normal = [float(ndtr((1.0 - mode) / WIDTH) - ndtr(-mode / WIDTH)) for mode in MODES]
    masses = [sum(skewed) / 2.0, sum(normal) / 2.0, *[skewed[1]] * n_skewed]
    masses += [normal[1]] * (n_dim - len(masses))
    return shape_of(log_likelihood, [Uniform(0.0, 1.0)] * n_dim, float(np.log(masses).sum()))


def _log_gamma_density(x: Array, mode: float) -> Array:
    y = (x - mode) / WIDTH
    return y - np.exp(y) - math.log(WIDTH)


def _log_gamma_mass(mode: float) -> float:
    """Mass within the prior; 1 - exp(-exp(y)) is below y."""
    below, above = math.exp(-mode / WIDTH), math.exp((1.0 - mode) / WIDTH)
    return math.exp(-below) - math.exp(-above)


def _log_normal_density(x: Array, mode: float) -> Array:
    return -0.5 * (((x - mode) / WIDTH) ** 2 + LOG_2_PI) - math.log(WIDTH)


def student(n_dim: int) -> Shape:
    """Product of Student t with two degrees of freedom: it has no variance, and an arm along each axis."""

    def log_likelihood(x: Array) -> Array:
        return log_peak - 0.5 * (DEGREES + 1.0) * np.log1p(x**2 / DEGREES).sum(axis=-1)

    log_peak = n_dim * float(t.logpdf(0.0, DEGREES))
    inside = 1.0 - 2.0 * float(t.cdf(-STUDENT_WITHIN, DEGREES))
    log_evidence = n_dim * math.log(inside / (2.0 * STUDENT_WITHIN))
    return shape_of(log_likelihood, [Uniform(-STUDENT_WITHIN, STUDENT_WITHIN)] * n_dim, log_evidence)


def correlated(n_dim: int) -> Shape:
    """Gaussian of unit variances in which every pair of parameters has a correlation of 0.999.

    Given a common variable, the parameters are independent. The mass within the prior is an integral over it.
    """
    noise, shared = 1.0 - CORRELATION, 1.0 - CORRELATION + n_dim * CORRELATION
    log_determinant = (n_dim - 1) * math.log(noise) + math.log(shared)

    def log_likelihood(x: Array) -> Array:
        mean = x.mean(axis=-1)
        squares = ((x - mean[..., None]) ** 2).sum(axis=-1) / noise + n_dim * mean**2 / shared
        return -0.5 * (squares + n_dim * LOG_2_PI + log_determinant)

    def density(common: float) -> float:
        ends = (np.array([-1.0, 1.0]) * NEEDLE_WITHIN - math.sqrt(CORRELATION) * common) / math.sqrt(noise)
        return float(norm.pdf(common) * (ndtr(ends[1]) - ndtr(ends[0])) ** n_dim)

    mass = quad(density, -8.0, 8.0, epsabs=0.0, limit=500, points=[-NEEDLE_WITHIN, NEEDLE_WITHIN])[0]
    log_evidence = math.log(mass) - n_dim * math.log(2.0 * NEEDLE_WITHIN)
    return shape_of(log_likelihood, [Uniform(-NEEDLE_WITHIN, NEEDLE_WITHIN)] * n_dim, log_evidence)


def flat(n_dim: int) -> Shape:
    """Gaussian in the sum of the first two parameters and in each other parameter; one direction is free.

    The ridge runs from edge to edge of the prior, a square of side 2, on which the sum has the density
    (2 - |s|) / 4.
    """

    def log_likelihood(x: Array) -> Array:
        squares = (x[..., 0] + x[..., 1] - SUM) ** 2 + (x[..., 2:] ** 2).sum(axis=-1)
        return -0.5 * (squares / KNOWN_TO**2 + (n_dim - 1) * LOG_2_PI) - (n_dim - 1) * math.log(KNOWN_TO)

    # The next kink in the density of the sum is thirty deviations away.
    log_evidence = math.log((2.0 - SUM) / 4.0) - (n_dim - 2) * math.log(2.0)
    priors: list[Prior] = [Uniform(-1.0, 1.0) for _ in range(n_dim)]
    return shape_of(log_likelihood, priors, log_evidence)
