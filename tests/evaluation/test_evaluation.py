"""Batches of draws to log-likelihoods: who is called how often, and what errors and odd values become."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation_cases import Counted, constrained, gaussian, line, probes_below, sum_of_squares

from nbi_sampler.evaluation import evaluator as evaluation
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import forward_model_for


class TestLikelihoodAlone:
    def test_values_and_calls(self, space, z, rng):
        function = Counted(sum_of_squares)
        evaluator = Evaluator(space, function, None, rng)
        probed = function.n_calls
        evaluation = evaluator(z)
        np.testing.assert_allclose(evaluation.log_likelihood, -0.5 * (evaluation.theta**2).sum(1))
        np.testing.assert_array_equal(evaluation.theta, space.to_theta(z))
        assert function.n_calls - probed == evaluation.n_calls == 450
        assert probed <= 6
        assert evaluation.predictions is None and evaluation.n_nan == 0 and evaluation.seconds > 0
        assert evaluator.seconds_per_call > 0 and "likelihood only" in evaluator.note

    def test_no_draws_are_no_calls(self, space, rng):
        evaluation = Evaluator(space, sum_of_squares, None, rng)(np.zeros((0, 2)))
        assert evaluation.log_likelihood.shape == (0,) and evaluation.n_calls == 0

    @pytest.mark.parametrize("seconds", [0.0, 1e-4, np.inf])
    def test_progress_counts_every_draw_once(self, space, z, rng, monkeypatch, seconds):
        monkeypatch.setattr(evaluation, "SECONDS_BETWEEN_REPORTS", seconds)
        told = []
        Evaluator(space, sum_of_squares, None, rng)(z, told.append)
        assert sum(told) == 450 and (len(told) > 1) == np.isfinite(seconds)

    def test_nan_is_minus_infinity_and_counted(self, space, z, rng):
        evaluator = Evaluator(space, lambda p: math.nan if p["m"] > 2 else 0.0, None, rng)
        evaluation = evaluator(z)
        high = evaluation.theta[:, 0] > 2
        assert (evaluation.log_likelihood[high] == -np.inf).all() and evaluation.n_nan == high.sum() > 0
        assert (evaluation.log_likelihood[~high] == 0).all()

    def test_minus_infinity_is_not_a_nan(self, space, z, rng):
        evaluation = Evaluator(space, lambda p: -math.inf if p["m"] > 2 else 0.0, None, rng)(z)
        assert evaluation.n_nan == 0 and np.isneginf(evaluation.log_likelihood).any()

    def test_plus_infinity_is_an_error_that_says_where(self, space, z, rng):
        evaluator = Evaluator(space, lambda p: math.inf if p["m"] > 2.9 else 0.0, None, rng)
        message = r"expected finite values or -inf, got \+inf for \d+ of 450.*m=2\.9"
        with pytest.raises(ValueError, match=message):
            evaluator(z)

    def test_an_error_of_the_user_says_where_and_keeps_its_cause(self, space, z, rng):
        def failing(parameters):
            if parameters["m"] > 2.5:
                raise ZeroDivisionError("no orbit")
            return 0.0

        with pytest.raises(LikelihoodError, match=r"ZeroDivisionError: no orbit; at m=.*, c=") as caught:
            Evaluator(space, failing, None, rng)(z)
        assert caught.value.parameters["m"] > 2.5
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    def test_what_was_paid_for_before_an_error_is_handed_over(self, space, z):
        z = np.concatenate([z[space.to_theta(z)[:, 0] < 2.5], [[4.0, 0.0]], z])

        def failing(parameters):
            if parameters["m"] > 2.9:
                raise ValueError("no orbit")
            return sum_of_squares(parameters)

        first = int(np.argmax(space.to_theta(z)[:, 0] > 2.9))
        assert first > 200
        rng = next(r for r in map(np.random.default_rng, range(99)) if probes_below(space, r, 2.9))
        with pytest.raises(LikelihoodError) as caught:
            Evaluator(space, failing, None, rng)(z)
        partial = caught.value.partial
        np.testing.assert_array_equal(partial.finished, np.arange(len(z)) < first)
        np.testing.assert_array_equal(partial.z, z)
        np.testing.assert_array_equal(partial.theta, space.to_theta(z))
        expected = np.where(partial.finished, -0.5 * (partial.theta**2).sum(1), -np.inf)
        np.testing.assert_allclose(partial.log_likelihood, expected)
        assert partial.n_calls == first

    def test_an_interrupted_batch_goes_on_where_it_was(self, space, z, rng):
        called = []

        def failing_once(parameters):
            called.append(parameters["m"])
            if len(called) == 300:
                raise KeyboardInterrupt
            return math.nan if parameters["m"] > 2.5 else sum_of_squares(parameters)

        evaluator = Evaluator(space, failing_once, None, rng)
        assert evaluator.interrupted() is None
        with pytest.raises(KeyboardInterrupt):
            evaluator(z)
        partial = evaluator.interrupted()
        evaluation = evaluator(z, resume=partial)
        assert evaluator.interrupted().finished.all()
        assert len(called) == 6 + 450 + 1
        assert evaluation.n_calls == 450 and evaluation.seconds > partial.seconds > 0
        unbroken = evaluator(z)
        np.testing.assert_array_equal(evaluation.log_likelihood, unbroken.log_likelihood)
        assert evaluation.n_nan == unbroken.n_nan > 0

    def test_other_draws_cannot_take_up_a_batch(self, space, z, rng):
        evaluator = Evaluator(space, sum_of_squares, None, rng)
        partial = []
        evaluator(z, lambda n: partial.append(evaluator.interrupted()))
        with pytest.raises(ValueError, match="resume: expected the 449 draws of the interrupted batch"):
            evaluator(z[1:], resume=partial[0])

    def test_the_probe_is_the_same_for_the_same_problem_alone(self, space):
        def values(function, seed=0):
            return Evaluator(space, function, None, np.random.default_rng(seed)).probe_values

        np.testing.assert_array_equal(values(sum_of_squares), values(sum_of_squares))
        assert (values(sum_of_squares) != values(lambda p: sum_of_squares(p) + 1e-9)).all()

    def test_a_function_that_changes_its_argument_changes_nothing(self, space, z, rng):
        def rude(parameters):
            value = sum_of_squares(parameters)
            parameters.clear()
            return value

        evaluation = Evaluator(space, rude, None, rng)(z)
        np.testing.assert_allclose(evaluation.log_likelihood, -0.5 * (evaluation.theta**2).sum(1))

    def test_floating_point_warnings_of_the_user_are_kept_quiet(self, space, z, rng):
        evaluation = Evaluator(space, lambda p: float(np.log(np.float64(p["c"]))), None, rng)(z)
        assert evaluation.n_nan == (evaluation.theta[:, 1] < 0).sum()


class TestConstraints:
    def test_forbidden_draws_cost_nothing_and_weigh_nothing(self, z, rng):
        space, function = constrained(), Counted(sum_of_squares)
        evaluator = Evaluator(space, function, None, rng)
        probed = function.n_calls
        evaluation = evaluator(z)
        allowed = space.satisfies_constraints(evaluation.theta)
        assert 0 < allowed.sum() < 450
        assert np.isneginf(evaluation.log_likelihood[~allowed]).all()
        assert np.isfinite(evaluation.log_likelihood[allowed]).all()
        assert function.n_calls - probed == evaluation.n_calls == allowed.sum()
        assert evaluation.n_nan == 0

    def test_predictions_of_forbidden_draws_are_nan(self, z, rng):
        space = constrained()
        likelihood, log_likelihood = gaussian(line)
        evaluation = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng)(z)
        allowed = space.satisfies_constraints(evaluation.theta)
        assert np.isnan(evaluation.predictions[~allowed]).all()
        assert np.isfinite(evaluation.predictions[allowed]).all()
