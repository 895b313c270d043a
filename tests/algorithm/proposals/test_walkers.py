"""Walkers: they follow the prior times a power of the likelihood, periodic parameters among them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from nbi_sampler.algorithm.proposals.walkers import Walkers

N = 3000


def log_likelihood(z):
    """Two correlated coordinates, and one around the edge of a circle."""
    turn = 2 * np.pi * ndtr(z[:, 2])
    return -0.5 * (((z[:, 0] - 1.0) / 0.5) ** 2 + ((z[:, 1] - z[:, 0]) / 0.1) ** 2) + 8.0 * np.cos(turn)


def settled(power, rng, n_steps=60):
    z = rng.normal(size=(N, 3))
    walkers = Walkers(z, log_likelihood(z), np.array([False, False, True]))
    while walkers.power < power:
        walkers = walkers.at_next_power(power, rng)
        *_, walkers = walkers.moved(log_likelihood, n_steps, rng)
    return walkers


@pytest.mark.takes_seconds
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_they_have_the_moments_of_the_tempered_posterior(power):
    walkers = settled(power, np.random.default_rng(1))
    # The closed form: Gaussian likelihoods under N(0, I), and a von Mises density of the angle.
    precision = np.array([[1 + power * (4 + 100), -100 * power], [-100 * power, 1 + 100 * power]])
    covariance = np.linalg.inv(precision)
    mean = covariance @ [power * 4.0, 0.0]
    found = walkers.z[:, :2]
    error = np.sqrt(np.diag(covariance) / N)
    np.testing.assert_allclose(found.mean(0), mean, atol=5 * error.max())
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=5 * np.sqrt(2 / N) * covariance.max())
    turn = 2 * np.pi * ndtr(walkers.z[:, 2])
    grid = 2 * np.pi * (np.arange(4000) + 0.5) / 4000
    density = np.exp(8.0 * power * (np.cos(grid) - 1))
    expected = (density * np.cos(grid)).sum() / density.sum()
    assert np.cos(turn).mean() == pytest.approx(expected, abs=5 * np.cos(turn).std() / np.sqrt(N))
    assert abs(np.sin(turn).mean()) < 5 * np.sin(turn).std() / np.sqrt(N)


def test_values_belong_to_the_points():
    walkers = settled(0.5, np.random.default_rng(2), n_steps=3)
    np.testing.assert_array_equal(walkers.log_likelihood, log_likelihood(walkers.z))


def test_no_walker_stays_where_the_likelihood_is_zero():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(N, 2))

    def half(z):
        return np.where(z[:, 0] > 0.0, 0.0, -np.inf)

    walkers = Walkers(z, half(z), np.zeros(2, bool)).at_next_power(1.0, rng)
    *_, walkers = walkers.moved(half, 5, rng)
    assert walkers.power == 1.0 and (walkers.z[:, 0] > 0.0).all()


def test_one_seed_gives_the_same_walkers():
    first, second = (settled(0.3, np.random.default_rng(4), n_steps=3) for _ in range(2))
    np.testing.assert_array_equal(first.z, second.z)
