"""Likelihoods of bilby with data, one table of cases for every test of the forward models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from bilby.core import likelihood as bl
from scipy import stats

from nbi_sampler.forward import ForwardModel, forward_model_for

N_DATA = 12

X = np.linspace(0.1, 1.0, N_DATA)

SIGMAS = np.linspace(0.2, 0.9, N_DATA)

COV = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, -0.3], [0.1, -0.3, 0.5]])

MEAN_1, MEAN_2 = np.array([1.0, -1.0, 0.0]), np.array([-2.0, 2.0, 1.0])


def line(x, m, c):
    return m * x + c


def line_with_keyword(x, m, c, power=1.0):
    return m * x**power + c


def constant(x, c):
    return c


def rate(x, m, c):
    return np.exp(m * x + c)


def line_of_sigma(x, m, sigma):
    return m * x + sigma


class Renamed(bl.GaussianLikelihood):
    """Own constructor, own method, bilby's log-likelihood."""

    def __init__(self, y):
        super().__init__(X, y, line, sigma=0.4)
        self.label = "mine"

    def plot(self):
        return self.label


@dataclass(frozen=True)
class Case:
    """A likelihood as a function of its data, a box of parameters, and the law of each datum."""

    make: Callable[[np.ndarray], Any]
    data: np.ndarray
    box: dict[str, tuple[float, float]]
    law: Callable[[np.ndarray, dict], Any] | None
    noise_parameters: tuple[str, ...] = ()
    white: bool = False
    # How far apart the parameters of two likelihoods may be whose ratio has a finite variance.
    step: float = 0.02


BOX = {"m": (-1.0, 2.0), "c": (0.5, 1.5)}

REAL = np.sin(5 * X) + 1 + np.random.default_rng(7).normal(0, 0.7, N_DATA)

COUNTS = np.arange(N_DATA) % 5


LIKELIHOODS = {
    "gaussian": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, sigma array": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=SIGMAS),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, SIGMAS),
        white=True,
    ),
    "gaussian, unknown sigma": Case(
        lambda y: bl.GaussianLikelihood(X, y, line),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        noise_parameters=("sigma",),
        white=True,
    ),
    "gaussian, parameter wins over known sigma": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=0.3),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        white=True,
    ),
    "gaussian, parameter wins over sigma array": Case(
        lambda y: bl.GaussianLikelihood(X, y, line, sigma=SIGMAS),
        REAL,
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
    ),
    "gaussian, sigma in the function too": Case(
        lambda y: bl.GaussianLikelihood(X, y, line_of_sigma),
        REAL,
        {"m": (-1.0, 2.0), "sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        white=True,
    ),
    "gaussian, keyword": Case(
        lambda y: bl.GaussianLikelihood(X, y, line_with_keyword, sigma=0.3, power=2.0),
        REAL,
        BOX,
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, scalar prediction": Case(
        lambda y: bl.GaussianLikelihood(X, y, constant, sigma=0.3),
        REAL,
        {"c": (0.5, 1.5)},
        lambda m, p: stats.norm(m, 0.3),
        white=True,
    ),
    "gaussian, harmless subclass": Case(Renamed, REAL, BOX, lambda m, p: stats.norm(m, 0.4), white=True),
    "poisson": Case(
        lambda y: bl.PoissonLikelihood(X, y.astype(int), rate), COUNTS, BOX, lambda m, p: stats.poisson(m)
    ),
    "exponential": Case(
        lambda y: bl.ExponentialLikelihood(X, y, rate), np.abs(REAL), BOX, lambda m, p: stats.expon(scale=m)
    ),
    "student-t": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, nu=5.0, sigma=0.5),
        REAL,
        BOX,
        lambda m, p: stats.t(5.0, m, 0.5),
    ),
    "student-t, unknown nu": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, sigma=2.0),
        REAL,
        BOX | {"nu": (2.0, 9.0)},
        lambda m, p: stats.t(p["nu"], m, 2.0),
        noise_parameters=("nu",),
    ),
    "student-t, sigma is no parameter": Case(
        lambda y: bl.StudentTLikelihood(X, y, line, nu=5.0, sigma=0.5),
        REAL,
        BOX | {"sigma": (1.0, 2.0)},
        lambda m, p: stats.t(5.0, m, 0.5),
    ),
    "multinomial": Case(
        lambda y: bl.Multinomial(y, 4, base="p"),
        np.array([5, 0, 9, 16]),
        {f"p{k}": (0.1, 0.3) for k in range(3)},
        lambda m, p: stats.binom(30, m / 30),
    ),
    "covariant": Case(
        lambda y: bl.AnalyticalMultidimensionalCovariantGaussian(y, COV),
        MEAN_1,
        {f"x{k}": (-2.0, 2.0) for k in range(3)},
        lambda m, p: stats.norm(m, np.sqrt(np.diag(COV))),
        white=True,
    ),
    "bimodal": Case(
        # The observed datum is zero; another datum moves both means by as much.
        lambda y: bl.AnalyticalMultidimensionalBimodalCovariantGaussian(MEAN_1 + y, MEAN_2 + y, COV),
        np.zeros(3),
        {f"x{k}": (-2.0, 2.0) for k in range(3)},
        None,
    ),
    "joint": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line, sigma=0.3),
            bl.PoissonLikelihood(X[:5], y[N_DATA:].astype(int), rate),
        ),
        np.concatenate([REAL, COUNTS[:5]]),
        BOX,
        None,
    ),
    "joint, whitened": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line, sigma=0.3),
            bl.GaussianLikelihood(X, y[N_DATA:], line, sigma=SIGMAS),
        ),
        np.concatenate([REAL, REAL]),
        BOX,
        lambda m, p: stats.norm(m, np.concatenate([np.full(N_DATA, 0.3), SIGMAS])),
        white=True,
    ),
    "joint, shared sigma": Case(
        lambda y: bl.JointLikelihood(
            bl.GaussianLikelihood(X, y[:N_DATA], line),
            bl.GaussianLikelihood(X, y[N_DATA:], line, sigma=0.1),
        ),
        np.concatenate([REAL, REAL]),
        BOX | {"sigma": (0.5, 2.0)},
        lambda m, p: stats.norm(m, p["sigma"]),
        noise_parameters=("sigma",),
    ),
}


def model_of(case: Case) -> ForwardModel:
    model = forward_model_for(case.make(case.data))
    assert model is not None
    return model


def rows(columns: dict[str, np.ndarray]) -> list[dict[str, float]]:
    n = len(next(iter(columns.values())))
    return [{key: float(value[i]) for key, value in columns.items()} for i in range(n)]


def tensors(columns: dict[str, np.ndarray], dtype=torch.float64) -> dict[str, torch.Tensor]:
    return {key: torch.tensor(value, dtype=dtype) for key, value in columns.items()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
