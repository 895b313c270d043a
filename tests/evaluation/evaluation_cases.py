"""A straight line and a bowl to evaluate, and a function that counts its calls."""

from __future__ import annotations

import bilby
import numpy as np
from bilby.core.prior import Constraint, PriorDict, Uniform

from nbi_sampler.priors.space import ParameterSpace

X = np.linspace(0.0, 1.0, 8)
DATA = 1.5 * X + 0.3


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function = function
        self.n_calls = 0

    def __call__(self, *arguments, **keywords):
        self.n_calls += 1
        return self.function(*arguments, **keywords)


def line(x, m, c):
    return m * x + c


def sum_of_squares(parameters):
    return -0.5 * (parameters["m"] ** 2 + parameters["c"] ** 2)


def gaussian(model):
    likelihood = bilby.core.likelihood.GaussianLikelihood(X, DATA, model, sigma=0.2)

    def log_likelihood(parameters):
        likelihood.parameters = dict(parameters)
        return likelihood.log_likelihood()

    return likelihood, log_likelihood


def constrained():
    def with_sum(parameters):
        return {**parameters, "total": parameters["m"] + parameters["c"]}

    priors = {"m": Uniform(0.0, 3.0, "m"), "c": Uniform(-1.0, 1.0, "c"), "total": Constraint(0.5, 2.0)}
    return ParameterSpace(PriorDict(priors, conversion_function=with_sum))


def probes_below(space, rng, limit):
    """Return whether the first use of a generator gives probes that do not fail; leave it unused."""
    state = rng.bit_generator.state
    below = (space.to_theta(rng.normal(size=(48, 2)))[:, 0] < limit).all()
    rng.bit_generator.state = state
    return below
