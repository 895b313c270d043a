"""Likelihoods that misbehave as code: what they return, change, raise, wait for and leave behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import PriorDict, Uniform
from small_runs import run_nbi
from toys import likelihood_only

from nbi_sampler.algorithm import snpe
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.core.config import SnpeConfig, TrainingConfig
from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import forward_model_for
from nbi_sampler.priors.space import ParameterSpace

X = np.linspace(0.0, 1.0, 5)
LOG_EVIDENCE = np.log(2 * np.pi * 0.3**2 / 36)


class Plain(Likelihood):
    """A Gaussian of width 0.3, at each call of which something may happen first."""

    def __init__(self, first=lambda n_calls: None):
        super().__init__()
        self.first, self.n_calls = first, 0

    def log_likelihood(self, parameters):
        self.n_calls += 1
        self.first(self.n_calls)
        return -0.5 * (parameters["a"] ** 2 + parameters["b"] ** 2) / 0.3**2


@pytest.fixture
def priors():
    return PriorDict({"a": Uniform(-3, 3), "b": Uniform(-3, 3)})


@pytest.fixture
def space(priors):
    return ParameterSpace(PriorDict({**priors, "c": 2.0}))


def evaluated(space, likelihood):
    """Parameters and log-likelihoods of some draws, as a run gets them."""
    function = likelihood_function(likelihood, False)
    evaluator = Evaluator(space, function, forward_model_for(likelihood), np.random.default_rng(1))
    evaluation = evaluator(np.random.default_rng(2).normal(size=(300, 2)))
    return [space.row(row) for row in evaluation.theta], evaluation


class Eater(Likelihood):
    """Empties the parameters that it is given, and leaves others."""

    def log_likelihood(self, parameters):
        value = -(parameters.pop("a") ** 2) - parameters.pop("b") * parameters.pop("c")
        parameters["a"] = parameters["c"] = 7.0
        return value


class OldEater(Eater):
    """The same with the parameters that bilby 2 keeps."""

    def log_likelihood(self):
        return super().log_likelihood(self.parameters)


@pytest.mark.parametrize("kind", [Eater, OldEater])
def test_every_call_has_parameters_of_its_own(space, kind):
    rows, evaluation = evaluated(space, kind())
    np.testing.assert_allclose(evaluation.log_likelihood, [-(row["a"] ** 2) - row["b"] * 2.0 for row in rows])


def in_place(x, a, b):
    a += 1.0
    b *= 2.0
    return a + b * x


def with_data_in_place(x, a, b):
    x *= 2.0
    prediction = a + 1.0 + b * x
    x /= 2.0
    return prediction


@pytest.mark.parametrize("model", [in_place, with_data_in_place])
def test_a_model_may_work_in_place(priors, model):
    rows, evaluation = evaluated(ParameterSpace(priors), GaussianLikelihood(X.copy(), X, model, sigma=0.5))
    clean = GaussianLikelihood(X, X, lambda x, a, b: a + 1.0 + 2.0 * b * x, sigma=0.5)
    np.testing.assert_allclose(evaluation.log_likelihood, [clean.log_likelihood(row) for row in rows])


def only_when_few(x, a, b):
    """Broadcasts, and is wrong where large values are among those of one call."""
    return np.where(np.any(np.abs(a) > 2.95), 0.0, a) + b * x


def test_a_model_that_looks_at_its_arguments_together_is_seen_through(priors):
    rows, evaluation = evaluated(ParameterSpace(priors), GaussianLikelihood(X, X, only_when_few, sigma=0.5))
    single = GaussianLikelihood(X, X, only_when_few, sigma=0.5)
    assert any(abs(row["a"]) > 2.95 for row in rows[6:])
    np.testing.assert_allclose(evaluation.log_likelihood, [single.log_likelihood(row) for row in rows])


@pytest.mark.parametrize("value", [1 + 0j, b"1", [], {}, np.array([1.0, 2.0]), np.datetime64("2020-01-01")])
def test_what_is_no_number_is_an_error_that_says_so(space, value):
    with pytest.raises(LikelihoodError, match=r"expected a number to be returned, got .*; at c=2, a="):
        Evaluator(space, lambda parameters: value, None, np.random.default_rng(0))


def test_a_masked_value_is_none_and_not_the_number_beneath(space):
    evaluator = Evaluator(space, lambda parameters: np.ma.masked, None, np.random.default_rng(0))
    evaluation = evaluator(np.zeros((4, 2)))
    assert evaluation.n_nan == 4
    assert np.all(evaluation.log_likelihood == -np.inf)


@pytest.mark.takes_seconds
def test_global_generators_in_the_hands_of_a_likelihood_change_nothing(priors, tmp_path):
    def seed(n_calls):
        np.random.seed(n_calls % 3)
        torch.manual_seed(5)

    states = np.random.get_state(), torch.get_rng_state()
    settings = dict(n_sims=200, max_likelihood_calls=800)
    runs = [run_nbi(Plain(first), priors, tmp_path, **settings) for first in (seed, lambda n_calls: None)]
    np.random.set_state(states[0])
    torch.set_rng_state(states[1])
    assert np.array_equal(runs[0].samples, runs[1].samples)


@pytest.mark.posix
def test_a_likelihood_that_hangs_is_left_at_a_second_signal_and_taken_up_again(priors, tmp_path):
    def hang(n_calls):
        if n_calls == 700:
            # The first is kept until the call ends, which a hanging one never does.
            for seconds in (0.3, 2.0):
                threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGALRM)).start()
            time.sleep(300)

    start = time.monotonic()
    with pytest.raises(SystemExit) as caught:
        run_nbi(Plain(hang), priors, tmp_path, label="hung", resume=True, exit_code=77)
    assert caught.value.code == 77
    assert time.monotonic() - start < 100
    again = Plain()
    result = run_nbi(again, priors, tmp_path, label="hung", resume=True)
    # Some 100 calls are bilby's own before each run; the others of the first are not made twice.
    assert result.num_likelihood_evaluations - again.n_calls > 400
    assert abs(result.log_evidence - LOG_EVIDENCE) < 4 * result.log_evidence_err


@pytest.mark.takes_seconds
def test_a_likelihood_that_raises_now_and_then_ends_when_asked_again_and_again(priors, tmp_path):
    def fail(n_calls):
        if n_calls % 500 == 0:
            raise FloatingPointError("now and then")

    likelihood, n_errors, result = Plain(fail), 0, None
    while result is None:
        try:
            result = run_nbi(likelihood, priors, tmp_path, label="failing", resume=True)
        except LikelihoodError as error:
            n_errors += 1
            assert "FloatingPointError: now and then" in str(error)
    assert 2 <= n_errors < 30
    assert result.meta_data["nbi"]["status"] == "ok"
    assert abs(result.log_evidence - LOG_EVIDENCE) < 4 * result.log_evidence_err


@pytest.mark.filterwarnings("ignore:(?s).*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("npool", [1, 2])
def test_a_likelihood_that_cannot_be_pickled_runs(priors, tmp_path, npool):
    lock = threading.Lock()

    def locked(n_calls):
        with lock:
            time.sleep(1e-4)

    result = run_nbi(Plain(locked), priors, tmp_path, npool=npool, n_effective=200)
    assert result.meta_data["nbi"]["status"] == "ok"


@pytest.mark.takes_seconds
def test_a_run_leaves_nothing_in_memory():
    def live():
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    training = TrainingConfig(n_epochs=2, patience=2)
    problem = likelihood_only(lambda theta: -0.5 * np.sum(theta**2) / 0.1**2, 2, training)
    config = SnpeConfig(n_effective=200, n_sims=200, max_likelihood_calls=800)
    counts = [live() for seed in range(3) if snpe.run(problem, config, seed, Observer())]
    assert counts[0] == counts[1] == counts[2]
