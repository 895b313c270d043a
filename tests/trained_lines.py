"""Models trained on straight lines, once for each process of the tests, and targets to put them at."""

from __future__ import annotations

import functools

import numpy as np
from bilby.core.likelihood import GaussianLikelihood
from bilby.core.prior import PriorDict, Uniform
from small_runs import weighted

from nbi_sampler import NBI

X = np.linspace(0, 1, 25)
PRIORS = {"m": Uniform(-3, 3), "c": Uniform(-3, 3)}
SIGMA = 0.5


def priors():
    return PriorDict(dict(PRIORS))


def line(x, m, c):
    return m * x + c


def even(x, m, c):
    """A line that is the same for both signs of its slope: two modes."""
    return np.abs(m) * x + c


def noise(predictions, rng):
    """White noise of a level of its own for each target."""
    level = rng.uniform(0.3, 0.7, size=(*predictions.shape[:-1], 1)) * np.ones_like(predictions)
    return predictions + level * rng.normal(size=predictions.shape), level


@functools.cache
def model(shift=0.0):
    """A model of lines, or of lines that are shifted: the wrong model of ours."""
    engine = NBI("maf", "mlp", lambda p: line(X, p["m"], p["c"]) + shift, noise, priors(), seed=1)
    return engine.fit(n_sims=1500, n_epochs=15)


def data(seed=4, m=1.5, c=0.3):
    return line(X, m, c) + SIGMA * np.random.default_rng(seed).normal(size=len(X))


def likelihood(seed=4, m=1.5, c=0.3, function=line):
    return GaussianLikelihood(X, data(seed, m, c), function, sigma=SIGMA)


def exact(target):
    """Evidence, means and spreads by quadrature."""
    m, c = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-3, 3, 401)]))
    residuals = (target.y - target.func(X, m[:, None], c[:, None])) / SIGMA
    log_likelihood = -0.5 * (residuals**2).sum(1) - len(X) * np.log(SIGMA * np.sqrt(2 * np.pi))
    return weighted({"m": m, "c": c}, log_likelihood, np.ones_like(m))
