"""The simulators of the tasks, for networks that learn from simulations alone.

They draw from the likelihoods of `tasks`: a simulator takes the wheel, theta of shape (n_dim, n) and a
generator, and returns data of shape (n, n_data).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nbi_sampler_benchmark.sbibm.dynamics import lotka_volterra_populations, sir_infected
from nbi_sampler_benchmark.sbibm.tasks import LOTKA_VOLTERRA_SIGMA, N_TESTED
from nbi_sampler_benchmark.sbibm.wheel import Wheel

__all__ = ["SIMULATORS", "Simulator"]

Simulator = Callable[[Wheel, np.ndarray, np.random.Generator], np.ndarray]
N_POINTS = 4


def _gaussian(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return theta.T + np.sqrt(0.1) * rng.normal(size=theta.T.shape)


def _gaussian_mixture(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sigma = np.where(rng.random(theta.shape[1]) < 0.5, 1.0, 0.1)[:, None]
    return theta.T + sigma * rng.normal(size=theta.T.shape)


def _two_moons(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first, second = theta
    angle = rng.uniform(-np.pi / 2, np.pi / 2, size=len(first))
    radius = rng.normal(0.1, 0.01, size=len(first))
    x = radius * np.cos(angle) + 0.25 - np.abs(first + second) / np.sqrt(2)
    y = radius * np.sin(angle) - (first - second) / np.sqrt(2)
    return np.stack([x, y], axis=1)


def _slcp(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points with the variances of version 1.1.0, by the Cholesky factor of their covariance."""
    mean, (sigma_x, sigma_y), correlation = theta[:2], np.square(theta[2:4]), np.tanh(theta[4])
    variance_x, variance_y = np.square(sigma_x) + 1e-6, np.square(sigma_y) + 1e-6
    covariance = correlation * sigma_x * sigma_y
    normal = rng.normal(size=(2, N_POINTS, theta.shape[1]))
    x = np.sqrt(variance_x) * normal[0]
    rest = np.sqrt(variance_y - covariance**2 / variance_x)
    y = covariance / np.sqrt(variance_x) * normal[0] + rest * normal[1]
    # Points one after the other, each with its two coordinates.
    points = np.stack([mean[0] + x, mean[1] + y], axis=1)
    return points.reshape(2 * N_POINTS, -1).T


def _glm(wheel: Wheel, theta: np.ndarray, rng: np.random.Generator, raw: bool) -> np.ndarray:
    design = wheel.tensor("bernoulli_glm", "design_matrix.pt").astype(float)
    probability = 1.0 / (1.0 + np.exp(-(design @ theta)))
    answers = (rng.random(probability.shape) < probability).astype(float)
    return answers.T if raw else (design.T @ answers).T


def _sir(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = np.exp(np.minimum(sir_infected(*theta), 0.0))
    return rng.binomial(N_TESTED, share).astype(float).T


def _lotka_volterra(_: Wheel, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    logs = lotka_volterra_populations(*theta)
    expected = np.clip(logs.reshape(-1, theta.shape[1]), np.log(1e-10), np.log(1e4))
    return np.exp(expected + LOTKA_VOLTERRA_SIGMA * rng.normal(size=expected.shape)).T


# Not those with distractors, whose density the wheel holds as code.
SIMULATORS: dict[str, Simulator] = {
    "two_moons": _two_moons,
    "slcp": _slcp,
    "gaussian_linear": _gaussian,
    "gaussian_linear_uniform": _gaussian,
    "gaussian_mixture": _gaussian_mixture,
    "bernoulli_glm": partial(_glm, raw=False),
    "bernoulli_glm_raw": partial(_glm, raw=True),
    "sir": _sir,
    "lotka_volterra": _lotka_volterra,
}
