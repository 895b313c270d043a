"""Batches of draws through a forward model: one call for likelihood and predictions, many draws at once."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import DATA, Counted, X, gaussian, line, probes_below, sum_of_squares

from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import UserModel, forward_model_for


@pytest.mark.parametrize("vectorized", ["auto", False])
class TestForwardModel:
    def test_one_model_call_serves_both(self, vectorized, space, z, rng):
        n_calls = 0

        def counted_line(x, m, c):
            nonlocal n_calls
            n_calls += 1
            return m * x + c

        likelihood, log_likelihood = gaussian(counted_line)
        called = Counted(log_likelihood)
        evaluator = Evaluator(space, called, forward_model_for(likelihood), rng, vectorized=vectorized)
        before, probed = n_calls, called.n_calls
        evaluation = evaluator(z)
        assert called.n_calls == probed
        # One call for 200 draws, and a single one to compare.
        assert n_calls - before == (6 if vectorized == "auto" else 450)
        assert "separately" not in evaluator.note
        assert evaluation.n_calls == 450
        expected = [log_likelihood(space.row(row)) for row in evaluation.theta]
        np.testing.assert_allclose(evaluation.log_likelihood, expected, rtol=1e-9)
        expected = [line(X, *row) for row in evaluation.theta]
        np.testing.assert_allclose(evaluation.predictions, expected, rtol=1e-9)

    def test_the_offset_of_a_ratio_is_added(self, vectorized, space, z, rng):
        likelihood, log_likelihood = gaussian(line)
        offset = 12.5
        forward = forward_model_for(likelihood)
        evaluator = Evaluator(space, lambda p: log_likelihood(p) + offset, forward, rng, offset, vectorized)
        assert "separately" not in evaluator.note
        evaluation = evaluator(z[:20])
        expected = [log_likelihood(space.row(row)) + offset for row in evaluation.theta]
        np.testing.assert_allclose(evaluation.log_likelihood, expected, rtol=1e-9)

    def test_the_likelihood_wins_where_it_disagrees(self, vectorized, space, z, rng):
        likelihood, log_likelihood = gaussian(line)
        called = Counted(lambda p: log_likelihood(p) + 1e-3 * p["m"])
        evaluator = Evaluator(space, called, forward_model_for(likelihood), rng, vectorized=vectorized)
        probed = called.n_calls
        evaluation = evaluator(z)
        assert "differs from the likelihood, which is called separately" in evaluator.note
        assert called.n_calls - probed == 450
        expected = [log_likelihood(space.row(row)) + 1e-3 * row[0] for row in evaluation.theta]
        np.testing.assert_allclose(evaluation.log_likelihood, expected, rtol=1e-12)

    def test_a_simulator_leaves_the_weights_to_the_likelihood(self, vectorized, space, z, rng):
        model = UserModel(lambda p: p["m"] * X + p["c"], 0.2, DATA)
        evaluator = Evaluator(space, sum_of_squares, model, rng, vectorized=vectorized)
        evaluation = evaluator(z)
        assert "does not define the likelihood" in evaluator.note
        np.testing.assert_allclose(evaluation.log_likelihood, -0.5 * (evaluation.theta**2).sum(1))
        np.testing.assert_allclose(evaluation.predictions, [line(X, *row) for row in evaluation.theta])

    def test_an_interrupted_batch_gives_the_same_numbers(self, vectorized, space, z):
        # After probes, which are 13 to 16 calls.
        at = (60, 150, 220) if vectorized is False else (17, 35)
        n_calls, z = 0, z[:230]

        def often_interrupted(x, m, c):
            nonlocal n_calls
            n_calls += 1
            if n_calls in at:
                raise KeyboardInterrupt
            return np.exp(m * x) + c

        def evaluator():
            likelihood, log_likelihood = gaussian(often_interrupted)
            forward = forward_model_for(likelihood)
            return Evaluator(space, log_likelihood, forward, np.random.default_rng(1), 0.0, vectorized)

        evaluation, resume = None, None
        while evaluation is None:
            try:
                running = evaluator()
                evaluation = running(z, resume=resume)
            except KeyboardInterrupt:
                resume = running.interrupted()
        n_calls = 1000
        unbroken = evaluator()(z)
        np.testing.assert_array_equal(evaluation.log_likelihood, unbroken.log_likelihood)
        np.testing.assert_array_equal(evaluation.predictions, unbroken.predictions)
        assert 0 < resume.finished.sum() < 230


class TestVectorisation:
    def test_a_model_that_broadcasts_wrongly_is_called_one_by_one(self, space, z, rng):
        def mean_inside(x, m, c):
            return m * x + np.mean(c)

        likelihood, log_likelihood = gaussian(mean_inside)
        evaluator = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng)
        assert "batches" not in evaluator.note
        evaluation = evaluator(z)
        np.testing.assert_allclose(evaluation.predictions, [line(X, *row) for row in evaluation.theta])

    def test_asking_for_it_where_it_fails_is_refused_with_a_remedy(self, space, rng):
        def branching(x, m, c):
            return m * x + c if m > 1 else m * x - c

        likelihood, log_likelihood = gaussian(branching)
        message = "vectorized: expected a model function that broadcasts.*use vectorized='auto'"
        with pytest.raises(ValueError, match=message):
            Evaluator(space, log_likelihood, forward_model_for(likelihood), rng, vectorized=True)

    def test_it_is_noted(self, space, rng):
        likelihood, log_likelihood = gaussian(line)
        evaluator = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng, vectorized=True)
        assert "called in batches" in evaluator.note

    def test_a_sampled_parameter_that_the_model_does_not_take_is_noted(self, space, rng):
        likelihood, log_likelihood = gaussian(lambda x, m: m * x)
        evaluator = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng)
        assert "known sigma; it does not take c, which the run still samples;" in evaluator.note
        likelihood, log_likelihood = gaussian(line)
        evaluator = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng)
        assert "does not take" not in evaluator.note

    def test_a_model_error_names_the_parameters(self, space, z):
        def failing(x, m, c):
            if np.any(m > 2.9):
                raise FloatingPointError("too steep")
            return m * x + c

        likelihood, log_likelihood = gaussian(failing)
        rng = next(r for r in map(np.random.default_rng, range(99)) if probes_below(space, r, 2.9))
        evaluator = Evaluator(space, log_likelihood, forward_model_for(likelihood), rng)
        with pytest.raises(LikelihoodError, match=r"FloatingPointError: too steep; at m=2\.9") as caught:
            evaluator(np.concatenate([z, [[4.0, 0.0]]]))
        assert caught.value.parameters["m"] > 2.9
