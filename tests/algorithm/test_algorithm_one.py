"""The rounds as in the paper: what each learns from, when they end, what the result is made of."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from snpe_cases import NOT_TRAINED, QUIET, pull, settings, status_of

from nbi_sampler.algorithm import rounds
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import FitInfo
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.importance.weights import effective_sample_size

PLAIN = SnpeConfig(n_effective=2000, n_rounds=6, n_sims=400, refine=False)


class Script:
    """Stands in for the training: hands out given proposals in turn and notes what it was given to learn."""

    def __init__(self, proposals):
        self.proposals = list(proposals)
        self.learnt = []

    def __call__(self, batches, *arguments, **keywords):
        self.learnt.append(tuple(batches))
        return self.proposals[len(self.learnt) - 1], FitInfo(NOT_TRAINED)


def exact_posterior(problem):
    """Mean and width of a one-parameter linear model's posterior, by quadrature."""
    z = np.linspace(-6, 6, 6001)[:, None]
    log_weights = problem.evaluator(z).log_likelihood - 0.5 * z[:, 0] ** 2
    weights = np.exp(log_weights - log_weights.max())
    mean = np.average(z[:, 0], weights=weights)
    return mean, np.sqrt(np.average((z[:, 0] - mean) ** 2, weights=weights))


class TestAlgorithmOne:
    """``refine=False`` and ``loss="nll"``: Zhang, Bloom & Hernitschek (2023), Algorithm 1."""

    @pytest.fixture
    def scripted(self, monkeypatch):
        """A run whose rounds are scripted: wide, wider than needed, good, and too narrow again."""
        problem, evidence = toys.linear_gaussian(1, n_data=3)
        posterior = exact_posterior(problem)
        widths = (6.0, 3.0, 1.1, 0.15)
        script = Script(toys.student(posterior[0], width * posterior[1]) for width in widths)
        monkeypatch.setattr(rounds, "fit_to_simulations", script)
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
            rounds, "fit_to_simulations", Script([toys.student(mean, k * width) for k in (5, 2)])
        )
        state = run(problem, settings(refine=False, n_rounds=2), 3, QUIET)
        assert [record.phase for record in state.records][:4] == ["prior", "rounds", "rounds", "final"]

    def test_apt_learns_from_all_simulations(self, monkeypatch):
        problem, _ = toys.linear_gaussian(1, n_data=3)
        mean, width = exact_posterior(problem)
        script = Script([toys.student(mean, k * width) for k in (5, 2)])
        monkeypatch.setattr(rounds, "fit_to_simulations", script)
        run(problem, settings(refine=False, n_rounds=2, loss="apt"), 3, QUIET)
        assert [len(batches) for batches in script.learnt] == [1, 2]

    @pytest.mark.takes_seconds
    def test_with_real_networks_it_finds_the_evidence(self):
        problem, evidence = toys.linear_gaussian(2)
        state = run(problem, settings(refine=False), 1, QUIET)
        assert status_of(state, settings()) == "ok"
        assert "refinement" not in {record.phase for record in state.records}
        assert abs(pull(state, evidence)) < 4
