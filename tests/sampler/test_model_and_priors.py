"""Messages of a run on the model and the priors: the fit of the model, edges of priors, idle constraints."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood, JointLikelihood, PoissonLikelihood
from bilby.core.prior import Constraint, PriorDict, Uniform
from sampler_cases import line

T = np.sort(np.random.default_rng(2).uniform(0.0, 100.0, 40))
X = np.linspace(0.0, 1.0, 40)
SIGMA = 0.5
RISING = line(X, 1.5, 0.3) + SIGMA * np.random.default_rng(4).normal(size=40)


def velocity(t, amplitude, period):
    return amplitude * np.sin(2.0 * np.pi * t / period)


def fit_line(run, steepest, likelihood=None, **keywords):
    priors = PriorDict({"m": Uniform(-5.0, steepest), "c": Uniform(-5.0, 5.0)})
    likelihood = likelihood or GaussianLikelihood(X, RISING, line, SIGMA)
    return run(likelihood, priors, **keywords).meta_data["nbi"]


def test_a_model_that_fits_is_ok_and_the_message_says_how_well(run):
    nbi = fit_line(run, 5.0)
    assert nbi["status"] == "ok", nbi["message"]
    assert 0.01 < nbi["predictive_p_value"] < 0.99
    assert f"posterior predictive p-value {nbi['predictive_p_value']:.2f}" in nbi["message"]
    assert set(nbi["predictive_p_values"]) == {"chi_squared", "largest_residual", "neighbouring_residuals"}
    assert nbi["at_prior_edge"] is None


@pytest.mark.takes_seconds
def test_a_slope_that_the_prior_shuts_out_is_a_poor_fit_at_the_edge_of_its_prior(run, bilby_log):
    nbi = fit_line(run, -1.5)
    assert nbi["status"] == "poor fit", nbi["message"]
    assert nbi["predictive_p_value"] < 1e-3
    assert nbi["message"].startswith("the model does not fit the data: posterior predictive p-value ")
    assert "the posterior of m piles up at the upper edge of its prior (-1.5)" in nbi["message"]
    assert nbi["at_prior_edge"] == {"m": "upper"}
    warned = [record.message for record in bilby_log.records if record.levelname == "WARNING"]
    assert any("poor fit" in message for message in warned)
    # What was asked for is there all the same.
    assert nbi["ess"] >= 300


@pytest.mark.slow
def test_a_velocity_curve_whose_period_is_shut_out_is_not_ok(run):
    velocities = velocity(T, 20.0, 30.0) + 2.0 * np.random.default_rng(3).normal(size=40)
    likelihood = GaussianLikelihood(T, velocities, velocity, 2.0)
    nbi = run(likelihood, PriorDict({"amplitude": Uniform(0, 50), "period": Uniform(10, 14)})).meta_data[
        "nbi"
    ]
    assert nbi["status"] == "poor fit", nbi["message"]
    assert nbi["predictive_p_value"] < 1e-10


@pytest.mark.slow
def test_a_velocity_curve_whose_noise_level_takes_in_the_shut_out_period_is_not_ok(run):
    """Chi-squared fits by construction; the residuals of neighbouring nights are the wave."""
    velocities = velocity(T, 20.0, 30.0) + 2.0 * np.random.default_rng(3).normal(size=40)
    priors = PriorDict({"amplitude": Uniform(0, 50), "period": Uniform(10, 14), "sigma": Uniform(0.1, 20)})
    nbi = run(GaussianLikelihood(T, velocities, velocity), priors).meta_data["nbi"]
    assert nbi["predictive_p_value"] > 0.1
    assert nbi["status"] == "poor fit", nbi["message"]
    assert nbi["residual_correlation"] > 0.5


@pytest.mark.takes_seconds
def test_correlated_noise_is_ok_with_a_warning(run, bilby_log):
    white = np.random.default_rng(8).normal(size=400)
    x = np.linspace(0.0, 1.0, 400)
    y = line(x, 1.5, 0.3) + SIGMA * (0.95 * white + 0.31 * np.roll(white, 1))
    nbi = fit_line(run, 5.0, GaussianLikelihood(x, y, line, SIGMA))
    assert nbi["status"] == "ok", nbi["message"]
    assert "neighbouring residuals are correlated (0." in nbi["message"]
    warned = [record.message for record in bilby_log.records if record.levelname == "WARNING"]
    assert any("neighbouring residuals are correlated" in message for message in warned)


class Own(GaussianLikelihood):
    """A likelihood that is not recognised."""

    def log_likelihood(self, parameters=None):
        parameters = parameters or self.parameters
        residuals = (self.y - line(X, parameters["m"], parameters["c"])) / SIGMA
        return -0.5 * residuals @ residuals


def scatter(prediction, rng):
    return prediction + SIGMA * rng.normal(size=40)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("noise", [SIGMA, scatter])
def test_a_simulator_with_its_noise_is_judged(run, noise):
    own = Own(X, RISING, line, SIGMA)
    nbi = fit_line(run, -1.5, own, simulator=lambda p: line(X, p["m"], p["c"]), noise=noise)
    assert nbi["status"] == "poor fit", nbi["message"]


@pytest.mark.takes_seconds
def test_a_likelihood_without_simulations_is_not_judged_but_its_edges_are_named(run):
    nbi = fit_line(run, -1.5, Own(X, RISING, line, SIGMA), n_effective=150)
    assert nbi["status"] == "ok", nbi["message"]
    assert nbi["predictive_p_value"] is None and "predictive" not in nbi["message"]
    assert nbi["at_prior_edge"] == {"m": "upper"}


@pytest.mark.takes_seconds
def test_data_sets_of_a_joint_likelihood_are_judged_together(run):
    rng = np.random.default_rng(5)
    x = np.linspace(1.0, 2.0, 30)
    counts = rng.poisson(line(x, 20.0, 5.0))
    priors = PriorDict({"m": Uniform(10.0, 30.0), "c": Uniform(-10.0, 20.0)})
    y = line(x, 20.0, 5.0) + 4.0 * (-1.0) ** np.arange(30) + rng.normal(size=30)
    parts = GaussianLikelihood(x, y, line, 1.0), PoissonLikelihood(x, counts, line)
    assert run(JointLikelihood(*parts), priors).meta_data["nbi"]["status"] == "poor fit"


def with_total(parameters):
    return {**parameters, "total": parameters["m"] + parameters["c"]}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("conversion", [None, with_total])
def test_a_constraint_that_nothing_can_make_is_a_warning(run, line_problem, bilby_log, conversion):
    likelihood, priors = line_problem
    priors = {**priors, "total": Constraint(1.0, 3.0)}
    run(likelihood, PriorDict(priors, conversion_function=conversion))
    warned = [record.message for record in bilby_log.records if "never acts" in record.message]
    assert len(warned) == (conversion is None)
    assert all("constraint on total" in each and "conversion_function" in each for each in warned)
