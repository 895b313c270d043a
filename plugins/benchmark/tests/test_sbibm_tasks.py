"""The tasks of sbibm against densities of scipy, closed forms, and a solver of differential equations."""

from __future__ import annotations

import numpy as np
import pytest
from nbi_sampler_benchmark.sbibm.dynamics import lotka_volterra_populations, sir_infected
from nbi_sampler_benchmark.sbibm.tasks import TASKS
from nbi_sampler_benchmark.sbibm.wheel import Wheel
from sbibm_files import make_wheel
from scipy.integrate import solve_ivp
from scipy.special import expit
from scipy.stats import binom, lognorm, multivariate_normal, norm

from nbi_sampler.priors.space import ParameterSpace


def likelihood_of(name, tmp_path, data, tensors=()):
    task = TASKS[name]
    stem = task.observation_file.removesuffix(".csv")
    wheel = make_wheel(tmp_path / "w.whl", task.folder, tensors=tensors, **{stem: data})
    return task.likelihood(Wheel(wheel), 1)


def value(likelihood, theta):
    return float(likelihood.log_likelihood(dict(zip(likelihood.keys, theta, strict=True))))


@pytest.mark.parametrize("name", ["gaussian_linear", "gaussian_linear_uniform"])
def test_gaussian_tasks_have_a_variance_of_a_tenth(name, rng, tmp_path):
    data, theta = rng.normal(size=(2, 10))
    expected = multivariate_normal(theta, 0.1 * np.eye(10)).logpdf(data)
    assert value(likelihood_of(name, tmp_path, data), theta) == pytest.approx(expected)


def test_gaussian_mixture_is_the_sum_of_two(rng, tmp_path):
    data = np.array([1.0, -2.0])
    likelihood = likelihood_of("gaussian_mixture", tmp_path, data)
    for theta in data + rng.normal(size=(5, 2)) * 0.3:
        both = [multivariate_normal(theta, variance * np.eye(2)).pdf(data) for variance in (1.0, 0.01)]
        assert value(likelihood, theta) == pytest.approx(np.log(np.mean(both)))


def test_two_moons_has_the_density_of_its_simulator(rng, tmp_path):
    """The share of simulations in small squares about the data is their density times the area."""
    theta, n = np.array([0.3, -0.6]), 1_000_000
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    # By the paper's formula, with both terms divided by the square root of two.
    x = radius * np.cos(angle) + 0.25 - abs(theta.sum()) / np.sqrt(2)
    y = radius * np.sin(angle) + (theta[1] - theta[0]) / np.sqrt(2)
    for at in range(3):
        data, half = np.array([x[at], y[at]]), 0.003
        inside = np.sum((np.abs(x - data[0]) < half) & (np.abs(y - data[1]) < half))
        expected = np.log(inside / n / (2 * half) ** 2)
        tolerance = 5 / np.sqrt(inside) + 0.02
        assert value(likelihood_of("two_moons", tmp_path, data), theta) == pytest.approx(
            expected, abs=tolerance
        )


def test_two_moons_is_impossible_on_the_other_side_of_its_ring(tmp_path):
    likelihood = likelihood_of("two_moons", tmp_path, np.array([0.15, 0.0]))
    assert value(likelihood, [0.0, 0.0]) == -np.inf


def test_two_moons_has_a_mirror_image_for_every_theta(rng, tmp_path):
    likelihood = likelihood_of("two_moons", tmp_path, np.array([-0.5, 0.1]))
    theta = rng.uniform(-1, 1, size=(2, 2000))
    here, there = (likelihood.function(each) for each in (theta, -theta[::-1]))
    assert np.isfinite(here).sum() > 10
    np.testing.assert_allclose(here, there, rtol=1e-9)


def slcp_expected(theta, data):
    first, second, correlation = theta[2] ** 2, theta[3] ** 2, np.tanh(theta[4])
    off = correlation * first * second
    covariance = np.array([[first**2 + 1e-6, off], [off, second**2 + 1e-6]])
    return multivariate_normal(theta[:2], covariance).logpdf(data.reshape(4, 2)).sum()


def test_slcp_is_four_points_of_a_gaussian(rng, tmp_path):
    data = rng.normal(size=8)
    likelihood = likelihood_of("slcp", tmp_path, data)
    for theta in rng.uniform(-3, 3, size=(5, 5)):
        assert value(likelihood, theta) == pytest.approx(slcp_expected(theta, data))


def test_distractors_say_nothing_and_are_told_by_the_permutation(rng, tmp_path):
    data, theta = rng.normal(size=8), rng.uniform(-3, 3, size=5)
    order = rng.permutation(100)
    expected = slcp_expected(theta, data)
    for noise in rng.normal(size=(2, 92)):
        shuffled = np.concatenate([data, noise])[order]
        likelihood = likelihood_of(
            "slcp_distractors", tmp_path, shuffled, tensors=[("permutation_idx.torch", order)]
        )
        assert value(likelihood, theta) == pytest.approx(expected)


def test_both_glm_give_the_probability_of_the_raw_data(rng, tmp_path):
    design = np.column_stack([np.ones(100), rng.normal(size=(100, 9))]).astype(np.float32)
    theta = rng.normal(size=10)
    probability = expit(design @ theta)
    yes = (rng.uniform(size=100) < probability).astype(float)
    expected = np.where(yes == 1, np.log(probability), np.log1p(-probability)).sum()
    tensors = [("design_matrix.pt", design)]
    for name, data in (("bernoulli_glm_raw", yes), ("bernoulli_glm", design.T.astype(float) @ yes)):
        assert value(likelihood_of(name, tmp_path, data, tensors), theta) == pytest.approx(expected)


def test_prior_of_the_glm_penalises_second_differences():
    """Its precision, from draws of the sampler's own map, against the quadratic form written out."""
    space = ParameterSpace(TASKS["bernoulli_glm"].priors())
    unit = space.to_theta(np.eye(10)) - space.to_theta(np.zeros((1, 10)))
    precision = np.linalg.inv(unit.T @ unit)
    theta = np.random.default_rng(4).normal(size=10)
    filter_ = np.concatenate([[0.0, 0.0], theta[1:]])
    seconds = np.diff(filter_, 2) + np.sqrt(np.arange(9) / 9) * theta[1:]
    assert theta @ precision @ theta == pytest.approx(0.5 * theta[0] ** 2 + np.sum(seconds**2))


def test_sir_is_binomial_about_the_solution(tmp_path):
    beta, gamma = 0.6, 0.15
    solved = solve_ivp(
        lambda _, s: [-beta * s[0] * s[1] / 1e6, beta * s[0] * s[1] / 1e6 - gamma * s[1]],
        (0, 153),
        [1e6 - 1, 1.0],
        t_eval=17.0 * np.arange(10),
        method="DOP853",
        rtol=1e-11,
        atol=1e-9,
    )
    share = solved.y[1] / 1e6
    np.testing.assert_allclose(sir_infected(np.array(beta), np.array(gamma)), np.log(share), atol=2e-5)
    data = np.array([0, 2, 300, 50, 4, 0, 0, 0, 0, 0])
    expected = binom(1000, share).logpmf(data).sum()
    assert value(likelihood_of("sir", tmp_path, data), [beta, gamma]) == pytest.approx(expected, abs=1e-3)


def test_lotka_volterra_is_log_normal_about_the_solution(rng, tmp_path):
    theta = np.array([0.7, 0.1, 0.9, 0.12])
    solved = solve_ivp(
        lambda _, s: [(theta[0] - theta[1] * s[1]) * s[0], (theta[3] * s[0] - theta[2]) * s[1]],
        (0, 18.9),
        [30.0, 1.0],
        t_eval=np.linspace(0, 18.9, 10),
        method="DOP853",
        rtol=1e-11,
        atol=1e-11,
    )
    populations = lotka_volterra_populations(*theta)
    np.testing.assert_allclose(populations, np.log(solved.y), atol=2e-4)
    data = solved.y.ravel() * np.exp(0.1 * rng.normal(size=20))
    expected = lognorm(0.1, scale=solved.y.ravel()).logpdf(data).sum()
    assert value(likelihood_of("lotka_volterra", tmp_path, data), theta) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("rates", [[10.0, 0.5, 10.0, 0.5], [50.0, 3.0, 0.1, 3.0], [1e3, 1e2, 1e3, 1e2]])
def test_rates_too_high_for_the_steps_are_as_good_as_impossible_and_warn_of_nothing(rates, tmp_path):
    likelihood = likelihood_of("lotka_volterra", tmp_path, np.ones(20))
    assert value(likelihood, rates) < -1e3


@pytest.mark.parametrize(
    ("name", "centre", "sigma"),
    [
        ("sir", {"beta": 0.4, "gamma": 0.125}, {"beta": 0.5, "gamma": 0.2}),
        (
            "lotka_volterra",
            dict.fromkeys(("alpha", "gamma"), np.exp(-0.125)) | dict.fromkeys(("beta", "delta"), np.exp(-3)),
            dict.fromkeys(("alpha", "beta", "gamma", "delta"), 0.5),
        ),
    ],
)
def test_rates_have_log_normal_priors(name, centre, sigma):
    for parameter, prior in TASKS[name].priors().items():
        low, high = (prior.rescale(norm.cdf(z)) for z in (-1.0, 1.0))
        assert [low, high] == pytest.approx(
            list(centre[parameter] * np.exp([-sigma[parameter], sigma[parameter]]))
        )


@pytest.mark.parametrize("name", sorted(TASKS))
def test_many_points_at_once_have_the_values_of_single_ones(name, rng, tmp_path):
    n_data = {"bernoulli_glm": 10, "bernoulli_glm_raw": 100, "slcp_distractors": 100, "sir": 10}
    n_data |= {"slcp": 8, "lotka_volterra": 20, "two_moons": 2, "gaussian_mixture": 2}
    tensors = [
        ("design_matrix.pt", rng.normal(size=(100, 10)).astype(np.float32)),
        ("permutation_idx.torch", rng.permutation(100)),
    ]
    data = rng.integers(1, 3, size=n_data.get(name, 10)).astype(float)
    likelihood = likelihood_of(name, tmp_path, data, tensors)
    priors = TASKS[name].priors()
    theta = ParameterSpace(priors).to_theta(rng.normal(size=(4, len(priors))))
    together = likelihood.log_likelihood(dict(zip(likelihood.keys, theta.T, strict=True)))
    assert together.shape == (4,)
    np.testing.assert_allclose(together, [value(likelihood, row) for row in theta], rtol=1e-9)
