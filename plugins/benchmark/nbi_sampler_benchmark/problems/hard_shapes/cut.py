"""Shapes with edges: those of the prior, of a plateau, and between the states of switches."""

from __future__ import annotations

import itertools
import math

import numpy as np
from bilby.core.prior import Normal, Prior, SlabSpikePrior, Uniform
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

from nbi_sampler_benchmark.problems.hard_shapes.shape import Array, Shape, shape_of

__all__ = ["edges", "plateau", "step", "switches"]

LOG_2_PI = math.log(2.0 * math.pi)
# The edges: extent of the posterior in the prior, in units of the prior.
DEPTH = 0.01
# Plateau and step: share of the prior, centre, e-folding length of the slope, log L beyond the step.
SHARE, PLATEAU_AT, SLOPE, BELOW = 1e-4, 0.4, 0.002, -50.0
# The switches: noise and number of the data, probability of off, amplitudes of those that are on.
NOISE, DATA_PER_SWITCH, OFF, AMPLITUDE = 0.3, 4, 0.5, 0.9


def edges(n_dim: int) -> Shape:
    r"""Mass along three edges of the unit cube that do not meet.

    Each edge has one free parameter. All others fall exponentially from the corner on the edge. In three
    dimensions the edges are skew; with more parameters their corners are 0, 1 and 0.
    """
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    more = np.broadcast_to(np.array([[0.0], [1.0], [0.0]]), (3, n_dim - 3))
    corners = np.concatenate([corners, more], axis=1)
    across = np.ones((3, n_dim))
    across[[0, 1, 2], [0, 1, 2]] = 0.0

    def log_likelihood(x: Array) -> Array:
        depths = (np.abs(x[..., None, :] - corners) * across).sum(axis=-1)
        return np.logaddexp.reduce(-depths / DEPTH, axis=-1) - (n_dim - 1) * math.log(DEPTH) - math.log(3.0)

    log_evidence = (n_dim - 1) * math.log(-math.expm1(-1.0 / DEPTH))
    return shape_of(log_likelihood, [Uniform(0.0, 1.0)] * n_dim, log_evidence)


def plateau(n_dim: int) -> Shape:
    """Ball with 1e-4 of the prior on which the likelihood is one; outside it falls exponentially.

    The integral over radii extends beyond the prior, which adds less than 1e-9.
    """
    radius, log_sphere = _radius(n_dim), _log_sphere(n_dim)

    def log_likelihood(x: Array) -> Array:
        beyond = np.linalg.norm(x - PLATEAU_AT, axis=-1) - radius
        return -np.maximum(beyond, 0.0) / SLOPE

    def density(r: float) -> float:
        return float(r ** (n_dim - 1) * math.exp(-(r - radius) / SLOPE))

    outside = math.exp(log_sphere) * quad(density, radius, radius + 40.0 * SLOPE, epsabs=0.0)[0]
    return shape_of(log_likelihood, [Uniform(0.0, 1.0)] * n_dim, math.log(SHARE + outside))


def step(n_dim: int) -> Shape:
    """The same ball with e^-50 everywhere else, so that no slope leads to it."""
    radius = _radius(n_dim)

    def log_likelihood(x: Array) -> Array:
        return np.where(np.linalg.norm(x - PLATEAU_AT, axis=-1) <= radius, 0.0, BELOW)

    log_evidence = math.log(SHARE + (1.0 - SHARE) * math.exp(BELOW))
    return shape_of(log_likelihood, [Uniform(0.0, 1.0)] * n_dim, log_evidence)


def _log_sphere(n_dim: int) -> float:
    """Log of the surface of the unit sphere."""
    return float(math.log(2.0) + 0.5 * n_dim * math.log(math.pi) - gammaln(0.5 * n_dim))


def _radius(n_dim: int) -> float:
    """Radius of the ball with the share of the plateau."""
    return math.exp((math.log(SHARE * n_dim) - _log_sphere(n_dim)) / n_dim)


def switches(n_dim: int) -> Shape:
    r"""Linear model with a switch for each term, whose prior has a spike at zero and a normal slab.

    .. math:: y = X a + e, \quad Z = \sum_s 2^{-D} N(y; 0, \sigma^2 I + X_s X_s^T)

    over the states s of the switches, with the columns :math:`X_s` of those that are on. Columns overlap, so
    the data may mistake one term for another.
    """
    rng = np.random.default_rng([20231206, n_dim])
    n_data = DATA_PER_SWITCH * n_dim
    columns = rng.normal(size=(n_data, n_dim)) / math.sqrt(n_data)
    on = np.arange(n_dim) % 2 == 0
    data = columns @ (AMPLITUDE * on) + NOISE * rng.normal(size=n_data)

    def log_likelihood(x: Array) -> Array:
        residuals = (data - x @ columns.T) / NOISE
        return -0.5 * ((residuals**2).sum(axis=-1) + n_data * LOG_2_PI) - n_data * math.log(NOISE)

    terms = []
    for state in itertools.product([False, True], repeat=n_dim):
        chosen = columns[:, np.array(state)]
        covariance = NOISE**2 * np.eye(n_data) + chosen @ chosen.T
        log_prior = sum(math.log(1.0 - OFF if each else OFF) for each in state)
        terms.append(log_prior + float(multivariate_normal.logpdf(data, np.zeros(n_data), covariance)))
    priors: list[Prior] = [
        SlabSpikePrior(Normal(0.0, 1.0), spike_location=0.0, spike_height=OFF) for _ in range(n_dim)
    ]
    return shape_of(log_likelihood, priors, float(logsumexp(terms)))
