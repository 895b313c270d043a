"""The sampler through bilby: evidence, seeds, calls, and what bilby asks of a sampler."""

from __future__ import annotations

import copy
import signal
import threading

import bilby
import numpy as np
import pytest
from bilby.core.likelihood import Likelihood
from bilby.core.prior import Constraint, DeltaFunction, PriorDict, Uniform
from sampler_cases import BOWL_EVIDENCE, BOX, Bowl, line_data

from nbi_sampler.sampler.nbi import Nbi


class Lowered(Bowl):
    """The same, lower by 2."""

    def log_likelihood(self, parameters):
        return super().log_likelihood(parameters) - 2.0


@pytest.fixture(scope="module")
def bowl_result(run):
    """One run on the bowl."""
    return run(Bowl(), PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5)}), use_ratio=False, seed=5)


# bilby forks to call the new likelihood, of which Python 3.12 warns.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_reweighting_the_nested_samples_gives_the_new_evidence(bowl_result):
    before, n_samples = bowl_result.log_evidence, len(bowl_result.nested_samples)
    bilby.core.utils.random.seed(3)
    result = copy.deepcopy(bowl_result)
    again = bilby.core.result.reweight(result, new_likelihood=Lowered(), use_nested_samples=True)
    assert again.log_evidence == pytest.approx(before - 2.0, abs=1e-9)
    assert 0 < len(again.posterior) < n_samples


@pytest.mark.parametrize("use_ratio", [None, True, False])
def test_evidence_is_of_the_likelihood_whatever_the_ratio(run, bowl_priors, use_ratio):
    result = run(Bowl(), bowl_priors, use_ratio=use_ratio)
    error = 4 * result.log_evidence_err
    assert result.log_evidence == pytest.approx(BOWL_EVIDENCE, abs=error)
    assert result.log_bayes_factor == pytest.approx(BOWL_EVIDENCE + 7.0, abs=error)
    peak = 7.0 if use_ratio in (None, True) else 0.0
    assert peak - 1.0 < result.log_likelihood_evaluations.max() <= peak


@pytest.mark.takes_seconds
def test_ratio_serves_a_recognised_likelihood_from_its_predictions(run):
    x, y = line_data()
    likelihood = bilby.core.likelihood.ExponentialLikelihood(x, np.abs(y), lambda x, m: m + 0 * x)
    likelihood.noise_log_likelihood = lambda: -30.0
    priors = PriorDict({"m": Uniform(0.1, 5)})
    plain = run(likelihood, priors, use_ratio=False)
    ratio = run(likelihood, priors, use_ratio=True)
    assert "separately" not in ratio.meta_data["nbi"]["tier"]
    assert ratio.log_evidence == pytest.approx(plain.log_evidence, abs=1e-6)


@pytest.mark.takes_seconds
def test_same_seed_same_result_and_another_seed_another(run, bowl_priors, bowl_result):
    again, other = (run(Bowl(), bowl_priors, use_ratio=False, seed=seed) for seed in (5, 6))
    assert np.array_equal(bowl_result.samples, again.samples)
    assert not np.array_equal(bowl_result.samples, other.samples)


@pytest.mark.parametrize("name", ["sampling_seed", "random_seed"])
def test_bilbys_names_for_the_seed_are_ours_and_seed_nothing_global(bowl_priors, name):
    before = bilby.core.utils.random.rng.bit_generator.state
    keywords = Nbi.default_kwargs | {name: "12"}
    keywords.pop("seed")
    sampler = Nbi(Bowl(), bowl_priors, soft_init=True, **keywords)
    assert sampler.kwargs["seed"] == 12
    assert sampler.result.sampler_kwargs["seed"] == 12
    assert bilby.core.utils.random.rng.bit_generator.state == before


def test_a_fresh_seed_is_recorded_and_gives_the_run_again(run, bowl_priors):
    first = run(Bowl(), bowl_priors, seed=None, max_likelihood_calls=300)
    again = run(Bowl(), bowl_priors, seed=first.meta_data["nbi"]["seed"], max_likelihood_calls=300)
    other = run(Bowl(), bowl_priors, seed=None, max_likelihood_calls=300)
    assert np.array_equal(first.samples, again.samples)
    assert other.meta_data["nbi"]["seed"] != first.meta_data["nbi"]["seed"]


def test_each_draw_costs_one_call(run, bowl_priors):
    class Counted(Bowl):
        n_calls = 0

        def log_likelihood(self, parameters):
            type(self).n_calls += 1
            return super().log_likelihood(parameters)

    result = run(Counted(), bowl_priors, use_ratio=False)
    # bilby calls the likelihood some 100 times before the run, and the evaluator's probe a few times.
    assert 0 <= Counted.n_calls - result.num_likelihood_evaluations < 120


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_likelihood_that_reads_its_state_is_given_it(run, bowl_priors):
    class OldStyle(Likelihood):
        def __init__(self):
            super().__init__(parameters={"a": 0.0, "b": 0.0})

        def log_likelihood(self):
            return Bowl().log_likelihood(self.parameters)

        def noise_log_likelihood(self):
            return -7.0

    for use_ratio in (False, True):
        result = run(OldStyle(), bowl_priors.copy(), use_ratio=use_ratio)
        assert result.log_evidence == pytest.approx(BOWL_EVIDENCE, abs=4 * result.log_evidence_err)


def test_constraints_enter_the_evidence_and_fixed_parameters_the_posterior(run):
    def convert(parameters):
        return {**parameters, "difference": parameters["a"] - 1.0}

    priors = PriorDict(
        {
            "a": Uniform(-BOX / 2, BOX / 2),
            "b": Uniform(-BOX / 2, BOX / 2),
            "difference": Constraint(0, 100),
            "fixed": DeltaFunction(4.0),
        },
        conversion_function=convert,
    )
    result = run(Bowl(), priors, use_ratio=False)
    assert result.log_evidence == pytest.approx(BOWL_EVIDENCE - np.log(2), abs=4 * result.log_evidence_err)
    assert (result.posterior["a"] >= 1.0).all()
    assert (result.posterior["fixed"] == 4.0).all()
    assert np.allclose(result.posterior["log_prior"], -2 * np.log(BOX))


def test_zero_likelihood_mode_gives_back_the_prior(run, line_problem, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "bilby_zero_likelihood_mode", True)
    result = run(*line_problem)
    own = result.meta_data["nbi"]
    assert own["status"] == "ok"
    assert own["efficiency"] == pytest.approx(1.0, abs=0.4)
    assert result.log_evidence == pytest.approx(0.0, abs=4 * result.log_evidence_err)


@pytest.mark.takes_seconds
def test_bilbys_test_mode_is_quick(run, line_problem, monkeypatch):
    monkeypatch.setattr(bilby.core.utils.command_line_args, "bilby_test_mode", True)
    result = run(*line_problem, n_effective=1e6, n_sims=50_000)
    assert result.num_likelihood_evaluations <= 2000
    assert len(result.posterior) > 10


def test_expected_outputs_are_one_directory_for_the_scheduler_to_bring_back():
    assert Nbi.get_expected_outputs(outdir="out", label="fit") == ([], ["out/nbi_fit/"])


@pytest.mark.takes_seconds
def test_what_bilby_pipe_hands_to_every_sampler_is_taken(run, line_problem, bilby_log):
    pipe = dict(nlive=1000, naccept=60, sample="acceptance-walk", check_point_plot=True, npool=1)
    pipe |= dict(check_point_delta_t=1800, print_method="interval-60", sampling_seed=7, seed="None")
    result = run(*line_problem, **pipe)
    assert [r.getMessage() for r in bilby_log.records if "ignores" in r.getMessage()] == [
        "Sampler nbi does not use and ignores naccept, nlive, sample"
    ]
    assert result.sampler_kwargs["check_point_delta_t"] == 1800


@pytest.mark.takes_seconds
def test_log_says_once_how_the_likelihood_is_called(run, line_problem, bilby_log):
    run(*line_problem)
    (note,) = [r.getMessage() for r in bilby_log.records if r.getMessage().startswith("nbi: forward model")]
    assert "Gaussian, known sigma" in note
    assert "device cpu, seed 1, 600 simulations a round" in note


@pytest.mark.posix
def test_signal_handlers_are_given_back_even_when_the_run_raises(run, bowl_priors, monkeypatch):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]

    def fail(*args):
        assert signal.getsignal(signal.SIGTERM) != handlers[0]
        raise RuntimeError("stop here")

    monkeypatch.setattr("nbi_sampler.sampler.nbi.run", fail)
    with pytest.raises(RuntimeError, match="stop here"):
        run(Bowl(), bowl_priors)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == handlers


def test_runs_outside_the_main_thread(run, bowl_priors):
    results = []
    thread = threading.Thread(target=lambda: results.append(run(Bowl(), bowl_priors)))
    thread.start()
    thread.join()
    assert results[0].meta_data["nbi"]["status"] == "ok"
