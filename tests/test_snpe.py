"""The algorithm: rounds as in the paper, what the evidence is made of, budgets, odd likelihoods, controls."""

from __future__ import annotations

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import snpe
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.rounds import FitInfo
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import Problem, Step, budget
from nbi_sampler.benchmark.problems import get_problem
from nbi_sampler.config import SnpeConfig, TrainingConfig
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.evaluation.likelihood_call import likelihood_function
from nbi_sampler.forward import forward_model_for
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.reporting.status import contradicting_evidence, judge, summarise
from nbi_sampler.statistics.importance import effective_sample_size, log_evidence
from nbi_sampler.training.fit import TrainingInfo

PLAIN = SnpeConfig(n_effective=2000, n_rounds=6, n_sims=400, refine=False)
QUIET = Observer()
NOT_TRAINED = TrainingInfo(best=0.0, training=(), validation=(), n_steps=0, n_skipped=0, seconds=0.0)


def settings(**changes):
    return SnpeConfig(**({"n_effective": 600, "n_sims": 300, "n_rounds": 3} | changes))


def status_of(state, config):
    batches = [record.log_evidence for record in state.records]
    contradiction = contradicting_evidence(
        log_evidence(state.final_log_weights), batches, log_evidence(state.history.log_weights)
    )
    weights = summarise(state.final_log_weights)
    return judge(weights, config.n_effective, state.n_calls, contradiction).status


def pull(state, truth):
    value, error = log_evidence(state.final_log_weights)
    assert error < 0.2
    return (value - truth) / error


class Script:
    """Stands in for the training: hands out given proposals in turn and notes what it was given to learn."""

    def __init__(self, proposals):
        self.proposals = list(proposals)
        self.learnt = []

    def __call__(self, batches, *arguments, **keywords):
        self.learnt.append(tuple(batches))
        return self.proposals[len(self.learnt) - 1], FitInfo(NOT_TRAINED)


class TestAlgorithmOne:
    """``refine=False`` and ``loss="nll"``: Zhang, Bloom & Hernitschek (2023), Algorithm 1."""

    @pytest.fixture
    def scripted(self, monkeypatch):
        """A run whose rounds are scripted: wide, wider than needed, good, and too narrow again."""
        problem, evidence = toys.linear_gaussian(1, n_data=3)
        posterior = exact_posterior(problem)
        widths = (6.0, 3.0, 1.1, 0.15)
        script = Script(toys.student(posterior[0], width * posterior[1]) for width in widths)
        monkeypatch.setattr(snpe, "fit_to_simulations", script)
        return script, run(problem, PLAIN, 3, QUIET), evidence

    def test_each_round_learns_from_the_last_simulations_only(self, scripted):
        script, state, _ = scripted
        assert len(script.learnt) == 4
        for i, batches in enumerate(script.learnt):
            assert len(batches) == 1 and batches[0].z is state.history.batches[i].z

    def test_the_rounds_end_when_n_eff_falls_and_the_best_one_is_taken(self, scripted):
        script, state, _ = scripted
        n_eff = [record.n_eff for record in state.records if record.phase == "rounds"]
        assert n_eff[0] < n_eff[1] < n_eff[2] > n_eff[3]
        assert state.best.proposal.members == (script.proposals[2],)

    def test_the_result_is_new_draws_of_the_best_proposal_and_no_pilot(self, scripted):
        script, state, evidence = scripted
        seen = {id(batch) for batch in state.history.batches}
        assert state.final and not any(id(draws) in seen for draws in state.final)
        for draws in state.final:
            np.testing.assert_allclose(draws.log_ratio, script.proposals[2].log_ratio(draws.z))
        pooled = [record.phase for record in state.records if record.pooled]
        assert set(pooled) == {"final"} and len(pooled) == len(state.final)
        assert effective_sample_size(state.final_log_weights) >= PLAIN.n_effective
        assert abs(pull(state, evidence)) < 4

    def test_the_rounds_end_at_their_number(self, monkeypatch):
        problem, _ = toys.linear_gaussian(1, n_data=3)
        mean, width = exact_posterior(problem)
        monkeypatch.setattr(
            snpe, "fit_to_simulations", Script([toys.student(mean, k * width) for k in (5, 2)])
        )
        state = run(problem, settings(refine=False, n_rounds=2), 3, QUIET)
        assert [record.phase for record in state.records][:4] == ["prior", "rounds", "rounds", "final"]

    def test_apt_learns_from_all_simulations(self, monkeypatch):
        problem, _ = toys.linear_gaussian(1, n_data=3)
        mean, width = exact_posterior(problem)
        script = Script([toys.student(mean, k * width) for k in (5, 2)])
        monkeypatch.setattr(snpe, "fit_to_simulations", script)
        run(problem, settings(refine=False, n_rounds=2, loss="apt"), 3, QUIET)
        assert [len(batches) for batches in script.learnt] == [1, 2]

    def test_with_real_networks_it_finds_the_evidence(self):
        problem, evidence = toys.linear_gaussian(2)
        state = run(problem, settings(refine=False), 1, QUIET)
        assert status_of(state, settings()) == "ok"
        assert "refinement" not in {record.phase for record in state.records}
        assert abs(pull(state, evidence)) < 4


def exact_posterior(problem):
    """Mean and width of a one-parameter linear model's posterior, by quadrature."""
    z = np.linspace(-6, 6, 6001)[:, None]
    log_weights = problem.evaluator(z).log_likelihood - 0.5 * z[:, 0] ** 2
    weights = np.exp(log_weights - log_weights.max())
    mean = np.average(z[:, 0], weights=weights)
    return mean, np.sqrt(np.average((z[:, 0] - mean) ** 2, weights=weights))


class TestSeeds:
    @pytest.mark.parametrize("tier", ["forward model", "likelihood only"])
    def test_same_seed_same_draws_and_another_seed_others(self, tier):
        def fresh():
            if tier == "forward model":
                return toys.linear_gaussian(2)[0]
            return toys.likelihood_only(toys.bump([0.8, -0.5], 0.3)[0], 2)

        config = settings(n_effective=300, max_likelihood_calls=4000)
        first, again, other = (run(fresh(), config, seed, QUIET) for seed in (5, 5, 6))
        for one, two in zip(first.final, again.final, strict=True):
            np.testing.assert_array_equal(one.z, two.z)
            np.testing.assert_array_equal(one.log_weights, two.log_weights)
        assert not np.array_equal(first.final[0].z[:5], other.final[0].z[:5])

    def test_a_step_is_a_function_of_its_state_and_changes_nothing(self):
        problem, _ = toys.linear_gaussian(1)
        config = settings()
        state = snpe.draw_from_prior(Step(State(), problem, config, 7, QUIET))
        before = len(state.history), state.phase, len(state.records)
        for step in (snpe.simulate_and_train, snpe.refine):
            one, two = (step(Step(state, problem, config, 7, QUIET)) for _ in range(2))
            np.testing.assert_array_equal(one.history.z, two.history.z)
            np.testing.assert_array_equal(one.history.log_weights, two.history.log_weights)
            assert before == (len(state.history), state.phase, len(state.records))

    def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(self):
        states = []

        class Keeper(Observer):
            def state_changed(self, state):
                states.append(state)

        problem, _ = toys.linear_gaussian(1)
        whole = run(problem, settings(), 2, Keeper())
        resumed = run(problem, settings(), 2, QUIET, states[1])
        np.testing.assert_array_equal(whole.final_log_weights, resumed.final_log_weights)


@pytest.mark.parametrize("constant", [-3.0e4, 512.0])
def test_a_constant_moves_the_evidence_by_itself_and_leaves_the_effective_size(constant, monkeypatch):
    function, evidence = toys.bump([0.8], 0.3)
    monkeypatch.setattr(snpe, "fit_to_weights", lambda *_, **__: (proposal, FitInfo(NOT_TRAINED)))
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


class TestMissedMode:
    """Two modes of equal mass, a proposal on one of them only."""

    CENTRE, WIDTH = 1.5, 0.2

    def log_likelihood(self, theta):
        left, right = (toys.bump([c], self.WIDTH)[0](theta) for c in (-self.CENTRE, self.CENTRE))
        return np.logaddexp(left, right) - np.log(2.0)

    @property
    def evidence(self):
        return toys.bump([self.CENTRE], self.WIDTH)[1]

    def ready_to_draw(self, share_of_prior):
        """A run that has come as far as its final draws, none of which happened to fall on the other mode."""
        rng = np.random.default_rng(9)
        near = toys.student(self.CENTRE, 1.1 * self.WIDTH, degrees=30.0)
        shares = np.array([1.0 - share_of_prior, share_of_prior])
        members = (near, PriorProposal(1))
        proposal = MixtureProposal(members, shares) if share_of_prior else MixtureProposal.single(near)
        history, records = History(), ()
        for each, n in ((MixtureProposal.single(PriorProposal(1)), 20), (proposal, 300)):
            draws = toys.drawn(each, self.log_likelihood, n, rng)
            history = history.extended(draws, each)
            ess = effective_sample_size(draws.log_weights)
            phase = "refinement" if len(records) else "prior"
            records += (RoundRecord(phase, n, n, 0, ess, ess / n, *log_evidence(draws.log_weights)),)
        assert records[-1].efficiency > 0.9
        return State(history, history.batches[1:], records, "final", Best(proposal, records[-1]))

    def drawn_to_the_end(self, share_of_prior, refine):
        config = settings(n_effective=5000, refine=refine, max_likelihood_calls=30_000)
        problem = toys.likelihood_only(self.log_likelihood, 1)
        state = run(problem, config, 1, QUIET, self.ready_to_draw(share_of_prior))
        return state, status_of(state, config)

    def test_it_is_not_reported_as_healthy(self):
        state, status = self.drawn_to_the_end(0.005, refine=False)
        value, error = log_evidence(state.final_log_weights)
        assert status != "ok" or abs(value - self.evidence) < 4 * error

    def test_the_refinement_takes_it_up(self):
        state, status = self.drawn_to_the_end(0.005, refine=True)
        assert status == "ok"
        assert abs(pull(state, self.evidence)) < 4
        left = np.concatenate([draws.z[:, 0] for draws in state.final]) < 0
        weights = np.exp(state.final_log_weights - state.final_log_weights.max())
        assert 0.4 < weights[left].sum() / weights.sum() < 0.6

    def test_without_defence_nobody_could_know(self):
        state, status = self.drawn_to_the_end(0.0, refine=False)
        assert status == "ok"
        assert pull(state, self.evidence) < -10


class TestKnownEvidence:
    def test_five_dimensions_from_the_likelihood_alone(self):
        function, evidence = toys.bump(np.linspace(-1, 1, 5), 0.3)
        config = settings(n_effective=1000, n_sims=1000)
        state = run(toys.likelihood_only(function, 5), config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert abs(pull(state, evidence)) < 4

    def test_five_dimensions_with_a_forward_model(self):
        problem, evidence = toys.linear_gaussian(5)
        config = settings(n_effective=1000, n_sims=1000)
        state = run(problem, config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert {record.phase for record in state.records} >= {"prior", "rounds"}
        assert abs(pull(state, evidence)) < 4

    def test_apt_reaches_the_evidence_of_a_straight_line(self):
        line = get_problem("linear")
        function = likelihood_function(line.likelihood, False)
        space, forward = ParameterSpace(line.priors), forward_model_for(line.likelihood)
        evaluator = Evaluator(space, function, forward, np.random.default_rng(0))
        problem = Problem(evaluator, toys.networks(), toys.QUICK, toys.QUICK)
        config = settings(loss="apt", n_sims=600)
        state = run(problem, config, 1, QUIET)
        assert status_of(state, config) == "ok"
        assert abs(pull(state, line.log_evidence)) < 4
