"""Shapes that no affine map makes round: a funnel, a banana, two shells, a ring on a torus."""

from __future__ import annotations

import math

import numpy as np
from bilby.core.prior import Normal, Prior, Uniform
from scipy.integrate import quad
from scipy.special import gammaln, ive, ndtr
from scipy.stats import norm

from nbi_sampler_benchmark.problems.hard_shapes.shape import Array, Shape, shape_of

__all__ = ["banana", "funnel", "ring", "shells"]

LOG_2_PI = math.log(2.0 * math.pi)
# The funnel: spread of the log variance, and half width of the prior of the other parameters.
SPREAD, FUNNEL_WITHIN = 3.0, 30.0
# The banana: its length, its bend, and the priors of its first two parameters and of the others.
LENGTH, BEND = 10.0, 0.1
BANANA_WITHIN = ((-50.0, 50.0), (-100.0, 30.0), (-10.0, 10.0))
# The shells: their centres on the first axis, radius, thickness and half width of the prior.
CENTRE, RADIUS, THICKNESS, SHELLS_WITHIN = 3.5, 2.0, 0.1, 6.0
# The ring: coupling of neighbours, and the number of terms of its sum.
COUPLING, MOST_WINDINGS = 10.0, 200


def funnel(n_dim: int) -> Shape:
    r"""Neal's funnel (2003, Annals of Statistics 31, 705, section 8).

    .. math:: v \sim N(0, 3^2), \quad L = \prod_{d > 0} N(x_d; 0, e^{v / 2})

    with :math:`v = x_0`, and a uniform prior of the others. Its neck, at v = -6, is 400 times thinner than
    its mouth, at v = 6.
    """

    def log_likelihood(x: Array) -> Array:
        v, others = x[..., 0], x[..., 1:]
        squares = (others**2).sum(axis=-1) * np.exp(-v)
        return -0.5 * (squares + (n_dim - 1) * (v + LOG_2_PI))

    def density(v: float) -> float:
        inside = 1.0 - 2.0 * ndtr(-FUNNEL_WITHIN * math.exp(-0.5 * v))
        return float(norm.pdf(v, scale=SPREAD) * inside ** (n_dim - 1))

    mass = quad(density, -12.0 * SPREAD, 12.0 * SPREAD, epsabs=0.0, limit=500, points=[0.0, 7.0])[0]
    log_evidence = math.log(mass) - (n_dim - 1) * math.log(2.0 * FUNNEL_WITHIN)
    others: list[Prior] = [Uniform(-FUNNEL_WITHIN, FUNNEL_WITHIN) for _ in range(n_dim - 1)]
    return shape_of(log_likelihood, [Normal(0.0, SPREAD), *others], log_evidence)


def banana(n_dim: int) -> Shape:
    r"""Strongly twisted ridge of Haario, Saksman & Tamminen (2001, Bernoulli 7, 223), their fourth target.

    A Gaussian with deviations 10, 1, 1, ... in :math:`(x_0, x_1 + b x_0^2 - 100 b, x_2, ...)`, b = 0.1. The
    map has unit Jacobian, so one integral over x_0 accounts for the truncation by the prior.
    """

    def log_likelihood(x: Array) -> Array:
        first, second = x[..., 0] / LENGTH, x[..., 1] + BEND * (x[..., 0] ** 2 - LENGTH**2)
        squares = first**2 + second**2 + (x[..., 2:] ** 2).sum(axis=-1)
        return -0.5 * (squares + n_dim * LOG_2_PI) - math.log(LENGTH)

    low, high = BANANA_WITHIN[1]

    def density(first: float) -> float:
        shift = BEND * (first**2 - LENGTH**2)
        return float(norm.pdf(first, scale=LENGTH) * (ndtr(high + shift) - ndtr(low + shift)))

    mass = quad(density, *BANANA_WITHIN[0], epsabs=0.0, limit=500)[0]
    inside = 1.0 - 2.0 * ndtr(BANANA_WITHIN[2][0])
    ranges = [*BANANA_WITHIN[:2], *[BANANA_WITHIN[2]] * (n_dim - 2)]
    log_volume = sum(math.log(above - below) for below, above in ranges)
    log_evidence = math.log(mass) + (n_dim - 2) * math.log(inside) - log_volume
    return shape_of(log_likelihood, [Uniform(*each) for each in ranges], log_evidence)


def shells(n_dim: int) -> Shape:
    r"""Two thin Gaussian shells (Feroz & Hobson 2008, arXiv:0704.3704, equation 32).

    .. math:: L = \sum_c N(|x - c|; r, w)

    with r = 2 and w = 0.1. log Z omits the mass beyond the prior, five thicknesses away, which is less than
    1e-6.
    """
    centres = np.zeros((2, n_dim))
    centres[:, 0] = -CENTRE, CENTRE

    def log_likelihood(x: Array) -> Array:
        radii = np.linalg.norm(x[..., None, :] - centres, axis=-1)
        terms = -0.5 * ((radii - RADIUS) / THICKNESS) ** 2
        return np.logaddexp.reduce(terms, axis=-1) - 0.5 * LOG_2_PI - math.log(THICKNESS)

    reach = 12.0 * THICKNESS
    moment = quad(
        lambda r: r ** (n_dim - 1) * norm.pdf(r, RADIUS, THICKNESS), RADIUS - reach, RADIUS + reach
    )[0]
    log_sphere = math.log(2.0) + 0.5 * n_dim * math.log(math.pi) - gammaln(0.5 * n_dim)
    log_evidence = math.log(2.0 * moment) + log_sphere - n_dim * math.log(2.0 * SHELLS_WITHIN)
    return shape_of(log_likelihood, [Uniform(-SHELLS_WITHIN, SHELLS_WITHIN)] * n_dim, float(log_evidence))


def ring(n_dim: int) -> Shape:
    r"""Ring of angles, each of which is coupled to its neighbours, and the last to the first.

    .. math:: \log L = \kappa \sum_d \cos(x_d - x_{d+1}), \quad Z = \sum_m I_m(\kappa)^D

    planar rotators. The posterior is a thin tube along the diagonal of a torus, and crosses the ends of all
    priors. The sum is over the Fourier modes of a bond, whose coefficients are Bessel functions (NIST Digital
    Library of Mathematical Functions, equation 10.35.2).
    """

    def log_likelihood(x: Array) -> Array:
        return COUPLING * np.cos(x - np.roll(x, 1, axis=-1)).sum(axis=-1)

    modes = ive(np.arange(-MOST_WINDINGS, MOST_WINDINGS + 1), COUPLING)
    log_evidence = n_dim * COUPLING + math.log(float(np.sum(modes**n_dim)))
    priors: list[Prior] = [Uniform(0.0, 2.0 * math.pi, boundary="periodic") for _ in range(n_dim)]
    return shape_of(log_likelihood, priors, log_evidence)
