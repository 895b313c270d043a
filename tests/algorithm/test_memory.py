"""The memory of a run does not grow with the length of the data more than it has to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import step as steps
from nbi_sampler.algorithm.history import Draws, History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.rounds import fit_to_simulations
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.core.config import SnpeConfig


def final_batches(most_predicted, monkeypatch):
    """Draws in each batch of a run that only makes its final draws, from the prior."""
    batches = replace(steps.BATCHES, most_predicted=most_predicted)
    monkeypatch.setattr(steps, "BATCHES", batches)
    problem, _ = toys.linear_gaussian(1, n_data=20, sigma=5.0)
    prior = MixtureProposal.single(PriorProposal(1))
    record = RoundRecord("final", 100, 100, 0, 50.0, 0.5, 0.0, 0.1)
    state = State(History(), (), (), "final", Best(prior, record), n_sims=200)
    state = run(problem, SnpeConfig(n_effective=1000, n_sims=200, refine=False), 1, Observer(), state)
    return [record.n_draws for record in state.records]


def test_predictions_of_long_data_do_not_fill_the_memory(monkeypatch):
    short, long = final_batches(50_000_000, monkeypatch), final_batches(20 * 300, monkeypatch)
    # Batches double, and only the bound keeps them from it.
    assert max(short) > 500 and max(long) == 300 < len(long) * 300
    # Never fewer than a round has: what a round needs has been held before.
    assert max(final_batches(20, monkeypatch)) == 200


def test_predictions_are_not_copied_where_all_are_learnt_from(monkeypatch):
    seen = []
    monkeypatch.setattr("nbi_sampler.algorithm.rounds.NoisyData", lambda _, found, *__: seen.append(found))
    problem, _ = toys.linear_gaussian(1)
    z = np.random.default_rng(0).normal(size=(60, 1))
    draws = Draws(z, np.zeros(60), problem.evaluator(z))
    arguments = (problem.evaluator.forward, problem.evaluator.space, problem.networks, problem.training)
    with pytest.raises(AttributeError):
        fit_to_simulations([draws], *arguments, np.random.default_rng(0))
    assert seen[0] is draws.evaluation.predictions
    draws.evaluation.predictions[3] = np.nan
    with pytest.raises(AttributeError):
        fit_to_simulations([draws], *arguments, np.random.default_rng(0))
    assert len(seen[1]) == 59
