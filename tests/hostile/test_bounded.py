"""Problems that are impossible to solve: an error or a status in bounded time, and never an endless run."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import Constraint, PriorDict, Uniform
from scipy import stats
from small_runs import N_SIGMA, run_nbi

from nbi_sampler.algorithm.pooling import is_stuck
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.priors.space import ParameterSpace

CUT = 0.3


class Peak(Likelihood):
    """A Gaussian in two parameters, impossible where they add up to too much; counts its calls."""

    def __init__(self, impossible=-np.inf, width=0.15):
        super().__init__()
        self.impossible, self.width, self.n_calls = impossible, width, 0

    def log_likelihood(self, parameters):
        self.n_calls += 1
        a, b = parameters["a"], parameters["b"]
        if a + b > CUT:
            return self.impossible
        return -0.5 * (((a - 0.1) / self.width) ** 2 + ((b - 0.1) / self.width) ** 2)


def square(**more):
    return PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5), **more}, conversion_function=with_sum)


def with_sum(parameters):
    return {**parameters, "total": parameters["a"] + parameters["b"]}


@pytest.mark.parametrize("limit, found", [(-20.0, "none of 1,001,000"), (-9.95, "only")])
def test_constraints_that_next_to_nothing_satisfies_are_an_error_before_the_first_call(
    limit, found, tmp_path
):
    likelihood = Peak()
    with pytest.raises(ValueError, match=rf"{found}.*total for none of 20,000 draws"):
        run_nbi(likelihood, square(total=Constraint(-50, limit)), tmp_path)
    assert likelihood.n_calls == 0


@pytest.mark.slow
@pytest.mark.parametrize("impossible", [-1.7976931348623157e308, -1e30])
def test_a_huge_negative_number_is_as_impossible_as_minus_infinity(impossible, tmp_path):
    exact = np.log(2 * np.pi * 0.15**2 / 100) + stats.norm.logcdf((CUT - 0.2) / (0.15 * np.sqrt(2)))
    # Any warning of ours is an error in this suite.
    result = run_nbi(Peak(impossible), square(), tmp_path, n_sims=2000, n_effective=150)
    assert result.meta_data["nbi"]["status"] == "ok"
    assert abs(result.log_evidence - exact) < N_SIGMA * result.log_evidence_err
    assert np.isfinite(result.information_gain)


@pytest.mark.parametrize("at_once", [False, True])
def test_what_stands_for_minus_infinity_becomes_it(at_once, rng):
    def log_likelihood(parameters):
        return np.nan_to_num(np.where(np.asarray(parameters["a"]) > 0, -np.inf, -1.0))

    space = ParameterSpace(PriorDict({"a": Uniform(-1, 1)}))
    evaluation = Evaluator(space, log_likelihood, None, rng, vectorized=at_once)(rng.normal(size=(40, 1)))
    expected = np.where(evaluation.theta[:, 0] > 0, -np.inf, -1.0)
    assert np.array_equal(evaluation.log_likelihood, expected)


@pytest.mark.takes_seconds
def test_impossible_predictions_of_a_forward_model_print_nothing(tmp_path):
    x = np.linspace(0, 1, 10)

    def model(x, a, b):
        return np.where(a + b > CUT, 1e160, a + b * x)

    likelihood = GaussianLikelihood(x, 0.1 + 0.1 * x, model, sigma=0.1)
    result = run_nbi(likelihood, square(), tmp_path, n_rounds=1, n_sims=200, n_effective=100)
    assert np.isfinite(result.log_evidence)


def test_a_spike_that_no_floating_point_number_resolves_ends_with_a_status(tmp_path):
    likelihood = Peak(width=1e-150)
    result = run_nbi(likelihood, square(), tmp_path, n_sims=200)
    assert result.meta_data["nbi"]["status"] == "no finite likelihood"
    assert likelihood.n_calls < 10_000


@pytest.mark.parametrize("last, stuck", [(1e-20, True), (1e-19, False), (1.0, False)])
def test_a_likelihood_whose_tempering_stands_still_is_given_up(last, stuck):
    assert is_stuck([1e-20] * 26 + [last]) == stuck


def test_equal_weights_of_what_was_never_seen_say_how_small_a_mode_could_hide(tmp_path):
    class Plain(Likelihood):
        """With three quarters of its mass in a spike of 1e-4 of each side."""

        def log_likelihood(self, parameters):
            hit = abs(parameters["a"]) < 5e-4 and abs(parameters["b"]) < 5e-4
            return np.log(0.75e8) if hit else np.log(0.25)

    own = run_nbi(Plain(), square(), tmp_path, n_sims="auto").meta_data["nbi"]
    assert own["status"] == "missing mass"
    assert "all of 13,9" in own["message"] and "0.022 % of the prior" in own["message"]
