"""Which batches the result is made of, and which proposal the last draws come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import snpe
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.pooling import better_by_all_draws, lost_ground
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.rounds import FitInfo
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM
from nbi_sampler.config import SnpeConfig
from nbi_sampler.proposals.proposal import MixtureProposal
from nbi_sampler.statistics.importance import effective_sample_size, log_evidence
from nbi_sampler.training.fit import TrainingInfo

NOT_TRAINED = TrainingInfo(best=0.0, training=(), validation=(), n_steps=0, n_skipped=0, seconds=0.0)
FUNCTION, EVIDENCE = toys.bump([0.5], 0.1)


def wider(factor):
    """Many times as wide as the target: poor, with weights that nothing dominates."""
    return MixtureProposal.single(toys.student(0.495, 0.0995 * factor, degrees=50.0))


def pull(state):
    value, error = log_evidence(state.final_log_weights)
    assert error < 0.2
    return (value - EVIDENCE) / error


def refined(monkeypatch, proposals, **changes):
    fits = iter([wider(4.0), *proposals])
    monkeypatch.setattr(snpe, "fit_to_weights", lambda *_, **__: (next(fits), FitInfo(NOT_TRAINED)))
    problem = toys.likelihood_only(FUNCTION, 1)
    return snpe.run(problem, SnpeConfig(**({"n_effective": 600, "n_sims": 500} | changes)), 2, Observer())


def test_they_count_where_nothing_better_comes(monkeypatch):
    state = refined(monkeypatch, [wider(9.0)] * 20, max_likelihood_calls=100_000)
    after = state.records[2:]
    assert all(record.efficiency < WARM for record in after if record.phase == "refinement")
    assert all(record.pooled for record in after)
    assert effective_sample_size(state.final_log_weights) >= 600
    assert abs(pull(state)) < 4


def test_they_are_left_out_once_they_are_dead_weight(monkeypatch):
    proposals = [wider(9.0), wider(1.1), wider(1.1)]
    state = refined(monkeypatch, proposals, n_effective=550)
    assert [record.pooled for record in state.records[:4]] == [False, False, False, True]
    assert state.final[0].z is state.history.batches[3].z
    assert abs(pull(state)) < 4


@pytest.mark.parametrize("dominated", [False, True])
def test_the_first_one_counts_unless_a_few_draws_dominate(dominated):
    draws = toys.drawn(wider(9.0), FUNCTION, 500, np.random.default_rng(3))
    if dominated:
        likelihoods = draws.log_likelihood.copy()
        likelihoods[7] = draws.log_ratio[7] + draws.log_weights.max() + 5.0
        draws = replace(draws, evaluation=replace(draws.evaluation, log_likelihood=likelihoods))
    ess = effective_sample_size(draws.log_weights)
    record = RoundRecord("refinement", 500, 500, 0, ess, ess / 500, *log_evidence(draws.log_weights))
    assert record.efficiency < WARM
    assert lost_ground(State(), State(final=(draws,), records=(record,))) == dominated


def test_final_draws_come_from_the_proposal_that_all_draws_speak_for():
    """One whose own batch happened to miss its thin tail looks better than it is."""
    rng = np.random.default_rng(5)
    narrow, wide = wider(0.6), wider(1.5)
    history, candidates = History(), []
    for each, efficiency in ((narrow, 0.9), (wide, 0.8)):
        history = history.extended(toys.drawn(each, FUNCTION, 2000, rng), each)
        candidates.append(
            Best(each, RoundRecord("refinement", 2000, 2000, 0, 2000 * efficiency, efficiency, 0.0, 0.1))
        )
    lucky, latest = candidates
    assert better_by_all_draws(State(history, best=lucky), latest) is latest
    assert better_by_all_draws(State(history, best=latest), lucky) is latest
