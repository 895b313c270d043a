"""A straight line and a bowl of known evidence, for runs through bilby."""

from __future__ import annotations

import numpy as np
from bilby.core.likelihood import Likelihood

SIGMA = 0.4
BOX = 10.0


def line(x, m, c):
    return m * x + c


def line_data():
    x = np.linspace(0, 1, 40)
    return x, line(x, 1.5, 0.3) + 0.5 * np.random.default_rng(4).normal(size=40)


class Bowl(Likelihood):
    """A Gaussian of width SIGMA in two parameters, known evidence in a wide box, and a noise evidence."""

    def log_likelihood(self, parameters):
        residual = np.array([parameters["a"] - 1.0, parameters["b"] + 0.5]) / SIGMA
        return float(-0.5 * residual @ residual)

    def noise_log_likelihood(self):
        return -7.0

    def log_likelihood_ratio(self, parameters):
        return self.log_likelihood(parameters) + 7.0


BOWL_EVIDENCE = np.log(2 * np.pi * SIGMA**2) - 2 * np.log(BOX)
