"""A small engine on a straight line with N(0, 1) priors, and the exact answers to it."""

from __future__ import annotations

import bilby.core.prior as bp
import numpy as np
from scipy import stats

from nbi_sampler import NBI

T = np.linspace(-1.0, 1.0, 10)
QUICK = {"n_threads": 1, "batch_size": 64, "n_batches": 10}
LONGER = {**QUICK, "n_batches": 20}
SMALL = {"type": "mlp", "hidden": 32, "dim_out": 8}


def line(parameters):
    return parameters["c"] + parameters["m"] * T


def own_level(x, rng):
    sigma = rng.uniform(0.3, 1.0, size=(*x.shape[:-1], 1))
    return x + sigma * rng.normal(size=x.shape), sigma * np.ones_like(x)


def with_gaps(x, rng):
    noisy, x_err = own_level(x, rng)
    return noisy, x_err, rng.random(x.shape) < 0.7


def normal_priors():
    return bp.PriorDict({"m": bp.Gaussian(0.0, 1.0), "c": bp.Gaussian(0.0, 1.0)})


def an_engine(noise=own_level, **changes):
    arguments = {"seed": 3, "device": "cpu", "simulator": line, "priors": normal_priors(), **changes}
    return NBI({"flow_hidden": 32, "num_blocks": 1, "n_mog": 2}, SMALL, noise=noise, **arguments)


def targets(n, noise=own_level, seed=11):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    return theta, *noise(theta[:, 1:] + theta[:, :1] * T, rng)


def exact(x, x_err, mask=None):
    """Mean and covariance of (m, c), and log evidence, of N(0, 1) priors."""
    keep = slice(None) if mask is None else mask
    design, x, x_err = np.stack([T, np.ones(10)], 1)[keep], x[keep], x_err[keep]
    covariance = np.linalg.inv(np.eye(2) + design.T @ (design / x_err[:, None] ** 2))
    total = np.diag(x_err**2) + design @ design.T
    mean = covariance @ design.T @ (x / x_err**2)
    return mean, covariance, stats.multivariate_normal(np.zeros(len(x)), total).logpdf(x)
