"""Posteriors that pile up at an edge of their prior, and those that only look like it."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.prior import (
    Categorical,
    Exponential,
    Gaussian,
    LogUniform,
    PriorDict,
    Sine,
    TruncatedGaussian,
    Uniform,
)
from scipy.special import ndtr

from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.prior_edges import piled_up_edges


def edges(prior, log_likelihood, seed=0, n=200_000):
    """Edges found by draws from the prior with weights, as (side, value)."""
    priors = PriorDict({"a": prior})
    space = ParameterSpace(priors)
    # Broad in z, so that both ends of a prior have draws.
    z = 2.0 * np.random.default_rng(seed).normal(size=(n, 1))
    theta = space.to_theta(z)
    log_weights = log_likelihood(theta[:, 0]) - 0.375 * z[:, 0] ** 2
    found = piled_up_edges(priors, space.names, z, theta, log_weights)
    return [(edge.side, edge.value) for edge in found]


def normal(mean, sigma):
    return lambda a: -0.5 * np.square((a - mean) / sigma)


@pytest.mark.parametrize(
    ("prior", "mean", "sigma", "expected"),
    [
        (Uniform(5.0, 100.0), 130.0, 10.0, [("upper", 100.0)]),
        (Uniform(5.0, 100.0), 100.0, 5.0, [("upper", 100.0)]),
        (Uniform(5.0, 100.0), 0.0, 5.0, [("lower", 5.0)]),
        (LogUniform(1.0, 1e4), 0.5, 0.2, [("lower", 1.0)]),
        (Uniform(0.0, 1.0), 0.0, 0.05, [("lower", 0.0)]),
        (Exponential(1.0), 0.0, 0.1, [("lower", 0.0)]),
        (TruncatedGaussian(0.0, 1.0, -1.0, 1.0), 3.0, 0.3, [("upper", 1.0)]),
        (Sine(), 0.0, 0.1, [("lower", 0.0)]),
    ],
)
def test_a_posterior_that_wants_to_go_on_beyond_the_prior_names_the_edge(prior, mean, sigma, expected):
    assert edges(prior, normal(mean, sigma)) == expected


@pytest.mark.parametrize(
    ("prior", "mean", "sigma"),
    [
        (Uniform(5.0, 100.0), 50.0, 10.0),
        (Uniform(5.0, 100.0), 90.0, 5.0),
        (Uniform(5.0, 100.0), 50.0, 1e9),
        (LogUniform(1.0, 1e4), 5.0, 1.0),
        (Uniform(0.0, 1.0), 0.0, 0.5),
        (Exponential(1.0), 0.0, 100.0),
        (Gaussian(0.0, 1.0), 8.0, 0.5),
        (TruncatedGaussian(0.0, 1.0, -50.0, 50.0), 6.0, 0.5),
        (Uniform(0.0, 6.28, boundary="periodic"), 0.0, 0.1),
        (Categorical(4), 0.0, 0.1),
        (Sine(), 1.57, 1e9),
    ],
)
def test_a_posterior_within_its_prior_names_no_edge(prior, mean, sigma):
    assert edges(prior, normal(mean, sigma)) == []


def test_posteriors_as_wide_as_their_priors_give_no_false_alarm_with_few_samples():
    priors = PriorDict({f"a{i}": Uniform(0.0, 1.0) for i in range(500)})
    z = np.random.default_rng(3).normal(size=(150, 500))
    names = tuple(priors)
    assert not piled_up_edges(priors, names, z, ndtr(z), np.zeros(150))


def test_the_edge_is_said_in_words():
    priors = PriorDict({"period": Uniform(0.0, 100.0)})
    theta = 100.0 - np.random.default_rng(0).exponential(size=(500, 1))
    (edge,) = piled_up_edges(priors, ("period",), ParameterSpace(priors).to_z(theta), theta, np.zeros(500))
    assert edge.sentence == "the posterior of period piles up at the upper edge of its prior (100)"
