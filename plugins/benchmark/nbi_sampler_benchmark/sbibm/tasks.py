"""The ten tasks: priors, and exact likelihoods of an observation.

The published description is Lueckmann et al. 2021, arXiv:2101.04653, appendix T, whose sections are cited.
Constants that it does not give are those of version 1.1.0. A log-likelihood function takes theta of shape
(n_dim, ...) and returns shape (...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from bilby.core.prior import (
    LogNormal,
    MultivariateGaussian,
    MultivariateGaussianDist,
    Normal,
    PriorDict,
    Uniform,
)
from scipy.special import gammaln

from nbi_sampler_benchmark.problems.models import FunctionLikelihood
from nbi_sampler_benchmark.sbibm.dynamics import lotka_volterra_populations, sir_infected
from nbi_sampler_benchmark.sbibm.wheel import Wheel

__all__ = ["TASKS", "Task"]

LogLikelihood = Callable[[np.ndarray], Any]
N_GLM, N_SLCP = 10, 8
N_TESTED = 1000
LOTKA_VOLTERRA_SIGMA = 0.1


@dataclass(frozen=True, kw_only=True)
class Task:
    """Priors of a task, and its likelihood for an observation.

    Attributes
    ----------
    folder : str
        Folder of its files in the wheel.
    priors : callable
        ``() -> PriorDict``, in the order of the reference's columns.
    log_likelihood_of : callable
        ``(wheel, data) -> log_likelihood``, with ``data`` of shape (n_data,).
    observation_file : str
    vectorized : {True, "auto"}
        Keyword of the sampler. ``True`` would be refused if a few draws from the prior may all be impossible,
        because then nothing shows that batched calls agree with single ones.
    """

    folder: str
    priors: Callable[[], PriorDict]
    log_likelihood_of: Callable[[Wheel, np.ndarray], LogLikelihood]
    observation_file: str = "observation.csv"
    vectorized: Literal["auto", True] = True

    def likelihood(self, wheel: Wheel, observation: int) -> FunctionLikelihood:
        """Likelihood of an observation for bilby; parameters may be numbers or arrays of shape (n,)."""
        data = wheel.numbers(self.folder, observation, self.observation_file)[0]
        return FunctionLikelihood(list(self.priors()), self.log_likelihood_of(wheel, data))

    def reference(self, wheel: Wheel, observation: int) -> np.ndarray:
        """Draws of the reference posterior, shape (10000, n_dim)."""
        return wheel.numbers(self.folder, observation, "reference_posterior_samples.csv.bz2")


def _names(n_dim: int) -> list[str]:
    return [f"theta_{number}" for number in range(1, n_dim + 1)]


def _uniform(n_dim: int, bound: float) -> PriorDict:
    return PriorDict({name: Uniform(-bound, bound) for name in _names(n_dim)})


def _normal_log_density(residuals: np.ndarray, sigma: float) -> np.ndarray:
    """Log density of a normal distribution."""
    return -0.5 * np.square(residuals / sigma) - np.log(sigma * np.sqrt(2 * np.pi))


def _column(data: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Data in a shape that broadcasts against theta of shape (n_dim, ...)."""
    return data.reshape(-1, *(1 for _ in theta.shape[1:]))


def _gaussian_priors() -> PriorDict:
    return PriorDict({name: Normal(0.0, np.sqrt(0.1)) for name in _names(10)})


def _gaussian(_: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.1 and T.2: ten means, each measured by one datum with a variance of 0.1."""
    return lambda theta: _normal_log_density(theta - _column(data, theta), np.sqrt(0.1)).sum(axis=0)


def _gaussian_mixture(_: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.7: a common mean of two circular Gaussians, one of which is a tenth as wide as the other."""

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        residuals = theta - _column(data, theta)
        wide, narrow = (_normal_log_density(residuals, sigma).sum(axis=0) for sigma in (1.0, 0.1))
        return np.logaddexp(wide, narrow) - np.log(2)

    return log_likelihood


def _two_moons(_: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.8: half a ring of radius 0.1 and width 0.01, shifted by a function of theta with two branches.

    The angle is uniform and the radius is normal. The density in the plane is their product over the radius.
    """

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        first, second = theta
        x = data[0] - 0.25 + np.abs(first + second) / np.sqrt(2)
        y = data[1] + (first - second) / np.sqrt(2)
        radius = np.hypot(x, y)
        with np.errstate(divide="ignore"):
            inside = _normal_log_density(radius - 0.1, 0.01) - np.log(np.pi * radius)
        return np.where((x > 0) & (radius > 0), inside, -np.inf)

    return log_likelihood


def _slcp_log_likelihood(data: np.ndarray) -> LogLikelihood:
    """T.3: four points of a Gaussian in the plane, whose deviations are squares of parameters."""
    points = data.reshape(-1, 2)

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        sigma_x, sigma_y = np.square(theta[2]), np.square(theta[3])
        covariance = np.tanh(theta[4]) * sigma_x * sigma_y
        # Version 1.1.0 adds 1e-6 to both variances.
        variance_x, variance_y = np.square(sigma_x) + 1e-6, np.square(sigma_y) + 1e-6
        determinant = variance_x * variance_y - np.square(covariance)
        total = -len(points) * (np.log(2 * np.pi) + 0.5 * np.log(determinant))
        for x, y in points:
            dx, dy = x - theta[0], y - theta[1]
            squares = variance_y * dx**2 - 2 * covariance * dx * dy + variance_x * dy**2
            total = total - 0.5 * squares / determinant
        return np.asarray(total)

    return log_likelihood


def _slcp(_: Wheel, data: np.ndarray) -> LogLikelihood:
    return _slcp_log_likelihood(data)


def _slcp_distractors(wheel: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.4: the eight numbers of SLCP; the density of its 92 uninformative numbers is left out."""
    order = wheel.tensor("slcp", "permutation_idx.torch")
    return _slcp_log_likelihood(data[np.argsort(order)[:N_SLCP]])


def _glm_priors() -> PriorDict:
    """T.5: an offset of variance 2, and a filter of nine values whose second differences are small."""
    n_filter = N_GLM - 1
    differences = np.eye(n_filter) - np.eye(n_filter, k=-1)
    root = differences @ differences + np.diag(np.sqrt(np.arange(n_filter) / n_filter))
    covariance = np.zeros((N_GLM, N_GLM))
    covariance[0, 0] = 2.0
    covariance[1:, 1:] = np.linalg.inv(root.T @ root)
    joint = MultivariateGaussianDist(_names(N_GLM), mus=[np.zeros(N_GLM)], covs=[covariance])
    return PriorDict({name: MultivariateGaussian(joint, name) for name in _names(N_GLM)})


def _glm(wheel: Wheel, data: np.ndarray, raw: bool) -> LogLikelihood:
    """T.5 and T.6: a hundred binary data of logistic probability, or their sums with columns of the design.

    These sums are sufficient, and both have the probability of the hundred data.
    """
    design = wheel.tensor("bernoulli_glm", "design_matrix.pt").astype(float)
    sums = design.T @ data if raw else data

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        return np.asarray(sums @ theta - np.logaddexp(0.0, design @ theta).sum(axis=0))

    return log_likelihood


def _sir_priors() -> PriorDict:
    return PriorDict({"beta": LogNormal(np.log(0.4), 0.5), "gamma": LogNormal(np.log(0.125), 0.2)})


def _sir(_: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.9: the number of infected among a thousand people at ten times."""

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        log_share = np.minimum(sir_infected(*theta), 0.0)
        infected = _column(data, log_share)
        ways = gammaln(N_TESTED + 1) - gammaln(infected + 1) - gammaln(N_TESTED - infected + 1)
        terms = ways + infected * log_share + (N_TESTED - infected) * np.log1p(-np.exp(log_share))
        return np.asarray(terms.sum(axis=0))

    return log_likelihood


def _lotka_volterra_priors() -> PriorDict:
    centres = {"alpha": -0.125, "beta": -3.0, "gamma": -0.125, "delta": -3.0}
    return PriorDict({name: LogNormal(centre, 0.5) for name, centre in centres.items()})


def _lotka_volterra(_: Wheel, data: np.ndarray) -> LogLikelihood:
    """T.10: prey and predators at ten times each, with log-normal noise."""

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        logs = lotka_volterra_populations(*theta)
        expected = np.clip(logs.reshape(-1, *logs.shape[2:]), np.log(1e-10), np.log(1e4))
        log_data = _column(np.log(data), expected)
        terms = _normal_log_density(log_data - expected, LOTKA_VOLTERRA_SIGMA) - log_data
        total = terms.sum(axis=0)
        return np.where(np.isnan(total), -np.inf, total)

    return log_likelihood


TASKS: dict[str, Task] = {
    "two_moons": Task(
        folder="two_moons",
        priors=partial(_uniform, 2, 1.0),
        log_likelihood_of=_two_moons,
        vectorized="auto",
    ),
    "slcp": Task(folder="slcp", priors=partial(_uniform, 5, 3.0), log_likelihood_of=_slcp),
    "slcp_distractors": Task(
        folder="slcp",
        priors=partial(_uniform, 5, 3.0),
        log_likelihood_of=_slcp_distractors,
        observation_file="observation_distractors.csv",
    ),
    "gaussian_linear": Task(folder="gaussian_linear", priors=_gaussian_priors, log_likelihood_of=_gaussian),
    "gaussian_linear_uniform": Task(
        folder="gaussian_linear_uniform", priors=partial(_uniform, 10, 1.0), log_likelihood_of=_gaussian
    ),
    "gaussian_mixture": Task(
        folder="gaussian_mixture", priors=partial(_uniform, 2, 10.0), log_likelihood_of=_gaussian_mixture
    ),
    "bernoulli_glm": Task(
        folder="bernoulli_glm", priors=_glm_priors, log_likelihood_of=partial(_glm, raw=False)
    ),
    "bernoulli_glm_raw": Task(
        folder="bernoulli_glm",
        priors=_glm_priors,
        log_likelihood_of=partial(_glm, raw=True),
        observation_file="observation_raw.csv",
    ),
    "sir": Task(folder="sir", priors=_sir_priors, log_likelihood_of=_sir),
    "lotka_volterra": Task(
        folder="lotka_volterra", priors=_lotka_volterra_priors, log_likelihood_of=_lotka_volterra
    ),
}
