"""The fit of the model: p-values of every noise law, how often they are wrong, and what a misfit says."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood
from fit_cases import data_of, drawn, fit_of, of_data, space_of
from forward_cases import LIKELIHOODS, model_of
from scipy.stats import kstest

from nbi_sampler.forward import UserModel, forward_model_for
from nbi_sampler.importance.reliability import judge, summarise
from nbi_sampler.importance.residuals import tail_probabilities
from nbi_sampler.reports.model_fit import check_fit

X = np.linspace(0.0, 1.0, 40)
BOX = {"m": (-5.0, 5.0), "c": (-5.0, 5.0)}
ON_A_LINE = 1.0 + 2.0 * X + 0.3 * np.random.default_rng(8).normal(size=40)
NARROW = {"m": (-0.2, 0.2), "c": (-0.1, 0.1)}
N_DATA_SETS = 40


def straight(x, m, c):
    return m * x + c


def model_for(y, sigma=0.3):
    return forward_model_for(GaussianLikelihood(X, y, straight, sigma=sigma))


def own_model(y, noise):
    return UserModel(lambda p: straight(X, p["m"], p["c"]), noise, y)


def gaussian_log_likelihood(y):
    return lambda predictions, columns: -0.5 * np.square((y - predictions) / 0.3).sum(axis=1)


def fit_of_own(y, noise):
    space = space_of(BOX)
    model = own_model(y, noise)
    return check_fit([drawn(model, space, 4000, 1, gaussian_log_likelihood(y))], model, space, 1)


@pytest.mark.parametrize("n_data", [9, 200])
def test_p_values_of_white_noise_are_uniform(n_data):
    residuals = np.random.default_rng(n_data).normal(size=(4000, n_data))
    found = tail_probabilities(residuals, (np.arange(n_data),))
    assert len(found) == 3
    for name, p_values in found.items():
        assert kstest(p_values, "uniform").pvalue > 1e-3, name


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_data_of_the_model_are_seldom_called_a_misfit_under_any_noise_law(name):
    case = LIKELIHOODS[name]
    space, model = space_of(case.box), model_of(case)
    fits = [
        fit_of(of_data(case, data_of(model, space, i)), space, 300, i, log_likelihood=None)
        for i in range(N_DATA_SETS)
    ]
    assert not any(fit.misfit for fit in fits)
    for kind in fits[0].p_values:
        p_values = np.array([fit.p_values[kind] for fit in fits])
        # Below a in at most 2 a of all data sets (Meng 1994), and about 1/2 in the mean.
        assert np.sum(p_values < 0.1) < 0.2 * N_DATA_SETS + 3.0 * np.sqrt(0.2 * N_DATA_SETS), kind
        assert np.mean(p_values) > 0.3, kind


@pytest.mark.parametrize(
    "name", ["gaussian", "gaussian, parameter wins over sigma array", "poisson", "exponential", "student-t"]
)
def test_data_beyond_the_noise_are_called_a_misfit_under_every_noise_law(name):
    case = LIKELIHOODS[name]
    data = np.array(case.data, dtype=float)
    data[::2] += 30.0
    # A misfit in every other point, which no line, and no noise that the prior allows, explains.
    fit = fit_of(of_data(case, data), space_of(case.box))
    assert fit.p_value < 1e-3
    assert fit.misfit.startswith("the model does not fit the data: posterior predictive p-value")


def test_p_value_is_that_of_a_straight_count_of_replicas():
    exact = fit_of_own(ON_A_LINE, 0.3).p_value
    counted = fit_of_own(ON_A_LINE, lambda prediction, rng: prediction + 0.3 * rng.normal(size=40)).p_value
    # A thousand replicas; the model knows the noise level of each point to a tenth.
    assert abs(counted - exact) < 0.08


def test_a_noise_function_shows_a_misfit_below_one_in_a_thousand():
    noise = lambda prediction, rng: prediction + 0.3 * rng.normal(size=40)  # noqa: E731
    fit = fit_of_own(ON_A_LINE + np.sin(12.0 * X), noise)
    assert 0.0 < fit.p_value < 1e-3 and fit.misfit


def test_a_wave_below_the_noise_is_found_in_neighbouring_residuals_whatever_their_order_in_the_file():
    order = np.random.default_rng(1).permutation(400)
    x = np.linspace(0.0, 1.0, 400)
    y = 0.6 * np.sin(25.0 * x) + 0.3 * np.random.default_rng(3).normal(size=400)
    model = forward_model_for(GaussianLikelihood(x[order], y[order], straight))
    fit = fit_of(model, space_of({"m": (-0.3, 0.3), "c": (-0.2, 0.2), "sigma": (0.45, 0.6)}))
    # The noise level is inferred and takes in the wave, which is 0.42 in the mean.
    assert fit.p_value > 0.1
    assert fit.correlation == pytest.approx(0.42**2 / (0.42**2 + 0.3**2), abs=0.1)
    assert "products of neighbouring residuals" in fit.misfit
    assert fit.correlated is None


def test_noise_that_is_somewhat_correlated_is_said_and_is_no_misfit():
    """As in ground-based photometry: the model is right, and the errors are somewhat too small."""
    white = np.random.default_rng(8).normal(size=400)
    y = 0.5 * (0.95 * white + 0.31 * np.roll(white, 1))
    x = np.linspace(0.0, 1.0, 400)
    fit = fit_of(forward_model_for(GaussianLikelihood(x, y, straight, 0.5)), space_of(NARROW))
    assert fit.p_values["neighbouring_residuals"] < 1e-3
    assert fit.misfit is None
    # Of a moving average 0.95 0.31 / (0.95^2 + 0.31^2), to one part in the square root of 400.
    assert fit.correlation == pytest.approx(0.295, abs=0.15)
    assert f"correlated ({fit.correlation:.2f}, posterior predictive p-value" in fit.correlated


def test_data_without_noise_are_no_misfit():
    """Their residuals are far smaller than the stated noise, and as smooth as the difference of two
    curves."""
    x = np.linspace(0.0, 1.0, 100)
    fit = fit_of(forward_model_for(GaussianLikelihood(x, np.zeros(100), straight, 300.0)), space_of(NARROW))
    assert fit.p_values["neighbouring_residuals"] > 0.1
    assert fit.misfit is None


def test_one_outlier_is_found_among_many_points():
    x = np.linspace(0.0, 1.0, 500)
    y = 0.3 * np.random.default_rng(5).normal(size=500)
    y[200] = 2.2
    fit = fit_of(forward_model_for(GaussianLikelihood(x, y, straight, 0.3)), space_of(NARROW))
    assert fit.p_value > 1e-3
    assert "the largest residual" in fit.misfit


def test_chi_squared_of_the_message_is_that_of_the_data():
    y = ON_A_LINE + 10.0 * (X > 0.5)
    best = np.polynomial.Polynomial.fit(X, y, 1).convert().coef
    space = space_of({"m": (best[1] - 0.5, best[1] + 0.5), "c": (best[0] - 0.3, best[0] + 0.3)})
    fit = fit_of(model_for(y), space)
    smallest = np.square((y - straight(X, best[1], best[0])) / 0.3).sum()
    # Two parameters add 2 in the mean.
    assert smallest < fit.chi_squared < smallest + 6.0
    assert f"chi-squared is {fit.chi_squared:,.4g} for 40 data points" in fit.misfit
    assert "p-value below 1e-10 for" in fit.misfit


def test_residuals_of_the_meta_data_are_those_of_the_data_in_the_order_of_x():
    x = np.array([3.0, 1.0, 0.0, 2.0])
    model = forward_model_for(GaussianLikelihood(x, np.array([6.0, 2.0, 8.0, 4.0]), lambda x, m: m * x, 2.0))
    space = space_of({"m": (1.99, 2.01)})
    kept = check_fit([drawn(model, space, 2_000, 1)], model, space, 1).as_dict()
    assert kept["n_data"] == 4 and kept["block"] == 1
    np.testing.assert_allclose(kept["residuals"], [4.0, 0.0, 0.0, 0.0], atol=0.01)


def test_of_many_residuals_the_largest_of_each_block_are_kept():
    x = np.linspace(0, 1, 2_500)
    data = np.zeros(2_500)
    data[1_234] = -7.0
    model = forward_model_for(GaussianLikelihood(x, data, lambda x, m: m * x, 1.0))
    space = space_of({"m": (-0.01, 0.01)})
    kept = check_fit([drawn(model, space, 200, 1)], model, space, 1).as_dict()
    assert kept["block"] == 3 and len(kept["residuals"]) == 834 and kept["n_data"] == 2_500
    assert kept["residuals"][411] == pytest.approx(-7.0, abs=0.01)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_noise_law_keeps_residuals_of_its_size(name):
    case = LIKELIHOODS[name]
    model, space = model_of(case), space_of(case.box)
    kept = fit_of(of_data(case, data_of(model, space, 3)), space).as_dict()
    residuals = np.array(kept["residuals"])
    assert np.isfinite(residuals).all() and len(residuals) * kept["block"] >= kept["n_data"]
    assert np.square(residuals).sum() <= 1.01 * kept["chi_squared"]


def test_a_simulator_that_adds_its_own_noise_is_not_judged():
    assert fit_of_own(ON_A_LINE, None) is None
    assert check_fit([], None, space_of(BOX), 1) is None


def test_noise_that_fails_after_the_run_costs_a_warning_and_not_the_result(caplog):
    calls = []

    def noise(prediction, rng):
        calls.append(1)
        if len(calls) > 64:
            raise OSError("calibration file is gone")
        return prediction + rng.normal(size=40)

    with caplog.at_level(logging.WARNING):
        assert fit_of_own(ON_A_LINE, noise) is None
    assert "calibration file is gone" in caplog.text


def test_a_checkpoint_of_an_earlier_version_without_predictions_is_not_judged():
    space = space_of(BOX)
    model = model_for(ON_A_LINE)
    draws = drawn(model, space, 100, 1)
    assert check_fit([draws], model, space, 1) is not None
    assert check_fit([draws.without_predictions(some=False)], model, space, 1) is None


def test_poor_fit_is_the_mildest_status_that_is_not_ok():
    weights = summarise(np.zeros(500))
    poor = judge(weights, 400, 5000, misfit="the model does not fit the data: p")
    assert poor.status == "poor fit"
    assert poor.message.startswith("the model does not fit the data") and "priors" in poor.message
    few = judge(weights, 600, 5000, misfit="the model does not fit the data: p")
    assert few.status == "n_effective not reached"
    assert few.message.endswith("the model does not fit the data: p")
