"""The Gaussian by regression on values of a log density: exact where it is one, absent where it is none."""

import numpy as np
import pytest

from nbi_sampler.algorithm.proposals.paraboloid import gaussian_by_regression


def draws(rng, n, n_dim):
    z = rng.normal(size=(n, n_dim))
    return z, np.full(n, 1.0 / n)


@pytest.mark.parametrize("n_dim", [1, 2, 15])
def test_a_gaussian_is_found_exactly_from_draws_that_are_not_its_own(n_dim):
    rng = np.random.default_rng(n_dim)
    root = 0.4 * np.eye(n_dim) + 0.1 * rng.normal(size=(n_dim, n_dim))
    covariance, mean = root @ root.T + 0.05 * np.eye(n_dim), 0.3 * rng.normal(size=n_dim)
    z, weights = draws(rng, 60 + 300 * (n_dim > 2), n_dim)
    offsets = z - mean
    log_target = -0.5 * np.sum(offsets * np.linalg.solve(covariance, offsets.T).T, axis=1) + 1234.5
    found = gaussian_by_regression(z, log_target, weights)
    np.testing.assert_allclose(found.centres[0], mean, atol=1e-6)
    np.testing.assert_allclose(found.factors[0] @ found.factors[0].T / 0.98, covariance, atol=1e-6)


@pytest.mark.parametrize(
    "log_target",
    [
        pytest.param(lambda z: 0.5 * z[:, 0] ** 2, id="a valley"),
        pytest.param(lambda z: 5.0 * z[:, 0], id="a slope"),
        pytest.param(lambda z: -0.5 * ((z[:, 0] - 20.0) / 2.0) ** 2, id="its top far off"),
    ],
)
def test_what_has_no_top_among_the_draws_is_no_gaussian(log_target):
    z, weights = draws(np.random.default_rng(0), 200, 2)
    assert gaussian_by_regression(z, log_target(z), weights) is None


def test_too_few_draws_tell_none():
    z, weights = draws(np.random.default_rng(0), 8, 2)
    assert gaussian_by_regression(z, -0.5 * np.sum(z**2, axis=1), weights) is None
    z, weights = draws(np.random.default_rng(0), 40, 2)
    weights[8:] = 0.0
    assert gaussian_by_regression(z, -0.5 * np.sum(z**2, axis=1), weights / weights.sum()) is None
