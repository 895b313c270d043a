"""The algorithm: seeds, what moves the evidence, budgets, odd likelihoods, known evidence."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from snpe_cases import NOT_TRAINED, QUIET, pull, settings, status_of

from nbi_sampler.algorithm import first_draws, refinement, rounds
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import FitInfo, State
from nbi_sampler.algorithm.step import Problem, Step, budget
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.evaluation.calls import likelihood_function
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward import forward_model_for
from nbi_sampler.importance.weights import effective_sample_size, log_evidence
from nbi_sampler.priors.space import ParameterSpace


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
class TestSeeds:
    @pytest.mark.parametrize("tier", ["forward model", "likelihood only"])
    def test_same_seed_same_draws_and_another_seed_others(self, tier):
        def fresh():
            if tier == "forward model":
                return toys.linear_gaussian(2)[0]
            return toys.likelihood_only(toys.bump([0.8, -0.5], 0.3)[0], 2)

        config = settings(n_effective=300, n_rounds=2, max_likelihood_calls=4000)
        first, again, other = (run(fresh(), config, seed, QUIET) for seed in (5, 5, 6))
        for one, two in zip(first.final, again.final, strict=True):
            np.testing.assert_array_equal(one.z, two.z)
            np.testing.assert_array_equal(one.log_weights, two.log_weights)
        assert not np.array_equal(first.final[0].z[:5], other.final[0].z[:5])

    def test_a_step_is_a_function_of_its_state_and_changes_nothing(self):
        problem, _ = toys.linear_gaussian(1)
        config = settings()
        state, _ = first_draws.draw_from_prior(Step(State(), problem, config, 7, QUIET))
        before = len(state.history), state.phase, len(state.records)
        for step in (rounds.simulate_and_train, refinement.refine):
            one, two = (step(Step(state, problem, config, 7, QUIET))[0] for _ in range(2))
            np.testing.assert_array_equal(one.history.z, two.history.z)
            np.testing.assert_array_equal(one.history.log_weights, two.history.log_weights)
            assert before == (len(state.history), state.phase, len(state.records))

    def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(self):
        states = []

        class Keeper(Observer):
            def state_changed(self, state):
                states.append(state)

        problem, _ = toys.linear_gaussian(1)
        config = settings(n_effective=300, n_rounds=2)
        whole = run(problem, config, 2, Keeper())
        resumed = run(problem, config, 2, QUIET, states[1])
        np.testing.assert_array_equal(whole.final_log_weights, resumed.final_log_weights)


@pytest.mark.parametrize("constant", [-3.0e4, 512.0])
def test_a_constant_moves_the_evidence_by_itself_and_leaves_the_effective_size(constant, monkeypatch):
    function, evidence = toys.bump([0.8], 0.3)
    monkeypatch.setattr(refinement, "fit_to_weights", lambda *_, **__: (proposal, FitInfo(NOT_TRAINED)))
    proposal = MixtureProposal((toys.student(0.75, 0.35), PriorProposal(1)), np.array([0.9, 0.1]))
    plain, moved = (
        run(toys.likelihood_only(lambda theta, c=c: function(theta) + c, 1), settings(), 4, QUIET)
        for c in (0.0, constant)
    )
    one, two = log_evidence(plain.final_log_weights), log_evidence(moved.final_log_weights)
    assert two.log_evidence - one.log_evidence == pytest.approx(constant, abs=1e-8)
    assert two.error == pytest.approx(one.error, rel=1e-6)
    sizes = [effective_sample_size(state.final_log_weights) for state in (plain, moved)]
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-6)
    assert abs(pull(plain, evidence)) < 4


@pytest.mark.usefixtures("small_fits")
class TestOddLikelihoods:
    def test_a_plateau_gives_back_the_prior(self):
        config = settings()
        problem = toys.likelihood_only(lambda theta: -7.0, 2, TrainingConfig(n_epochs=40, patience=10))
        state = run(problem, config, 1, QUIET)
        log_weights = state.final_log_weights
        assert effective_sample_size(log_weights) > 0.9 * len(log_weights)
        assert status_of(state, config) == "ok"
        value, error = log_evidence(log_weights)
        assert abs(value + 7.0) < max(4 * error, 1e-3)

    def test_minus_infinity_everywhere_ends_with_a_status(self):
        config = settings()
        state = run(toys.likelihood_only(lambda theta: -np.inf, 1), config, 1, QUIET)
        assert state.phase == "done" and not state.final
        assert state.n_calls <= budget(config)
        assert status_of(state, config) == "no finite likelihood"

    @pytest.mark.takes_seconds
    def test_one_finite_in_a_thousand_is_found(self):
        problem = toys.likelihood_only(rare, 1)
        config = settings(n_sims="auto")
        state = run(problem, config, 1, QUIET)
        assert 0 < np.isfinite(state.history.batches[0].log_likelihood).mean() < 2e-3
        assert status_of(state, config) == "ok"
        assert abs(pull(state, np.log(1e-3))) < 4

    @pytest.mark.parametrize("seed", range(3))
    def test_one_finite_draw_to_start_from_is_no_crash(self, seed):
        problem = toys.likelihood_only(rare, 1)
        config = settings(n_sims=300, max_likelihood_calls=3000)
        state = run(problem, config, seed, QUIET)
        assert state.phase == "done" and state.n_calls <= 3000

    def test_a_collapse_on_the_only_finite_draw_is_not_reported_as_healthy(self):
        problem = toys.likelihood_only(rare, 1)
        config = settings(n_sims=500)
        state = run(problem, config, 1, QUIET)
        value, error = log_evidence(state.final_log_weights)
        assert status_of(state, config) != "ok" or abs(value - np.log(1e-3)) < 4 * error


def rare(theta):
    """Log-likelihood that is finite for a thousandth of a standard normal."""
    return 0.0 if theta[0] < -3.0902323061678132 else -np.inf


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
@pytest.mark.parametrize("n_calls", [100, 777, 1500])
@pytest.mark.parametrize("tier", ["forward model", "likelihood only"])
def test_the_budget_is_kept_to_the_draw(tier, n_calls):
    calls = []
    function, _ = toys.bump([2.5, 2.5], 0.02)
    if tier == "forward model":
        problem, _ = toys.linear_gaussian(3, sigma=0.05)
    else:
        problem = toys.likelihood_only(lambda theta: calls.append(1) or function(theta), 2)
    probed = len(calls)
    config = settings(n_effective=1e6, max_likelihood_calls=n_calls)
    state = run(problem, config, 1, QUIET)
    assert state.phase == "done" and state.n_calls == n_calls
    assert len(state.history) <= n_calls
    if calls:
        assert len(calls) - probed == n_calls


class TestKnownEvidence:
    @pytest.mark.slow
    def test_five_dimensions_from_the_likelihood_alone(self):
        function, evidence = toys.bump(np.linspace(-1, 1, 5), 0.3)
        config = settings(n_effective=1000, n_sims=1000)
        state = run(toys.likelihood_only(function, 5), config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert abs(pull(state, evidence)) < 4

    @pytest.mark.takes_seconds
    def test_five_dimensions_with_a_forward_model(self):
        problem, evidence = toys.linear_gaussian(5)
        config = settings(n_effective=1000, n_sims=1000)
        state = run(problem, config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert {record.phase for record in state.records} >= {"prior", "rounds"}
        assert abs(pull(state, evidence)) < 4

    @pytest.mark.takes_seconds
    def test_apt_reaches_the_evidence_of_a_straight_line(self):
        line = pytest.importorskip("nbi_sampler_benchmark").get_problem("linear")
        function = likelihood_function(line.likelihood, False)
        space, forward = ParameterSpace(line.priors), forward_model_for(line.likelihood)
        evaluator = Evaluator(space, function, forward, np.random.default_rng(0))
        problem = Problem(evaluator, toys.networks(), toys.QUICK, toys.QUICK)
        config = settings(loss="apt", n_sims=600)
        state = run(problem, config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert abs(pull(state, line.log_evidence)) < 4
