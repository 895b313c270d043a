"""Which batches the result is made of, and which proposal the last draws come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import pooling, snpe
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.pooling import (
    anew_if_doubted,
    better_by_all_draws,
    lost_ground,
    without_less_mass,
)
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.rounds import FitInfo
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM, Step
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.importance.weights import effective_sample_size, log_evidence
from nbi_sampler.networks.training.fit import TrainingInfo

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


def thin_tailed(n_doubted=0, factor=0.4):
    """A complete result of 3,000 draws whose proposal is too narrow, and what the refinement knew before."""
    rng = np.random.default_rng(4)
    poor, narrow = wider(4.0), wider(factor)
    history = History().extended(toys.drawn(poor, FUNCTION, 500, rng), poor)
    draws = toys.drawn(narrow, FUNCTION, 3000, rng)
    records = tuple(
        RoundRecord(phase, 500, 500, 0, 100.0, 0.2, EVIDENCE, 0.1, pooled=phase == "final")
        for phase in ("refinement", "final")
    )
    best = Best(narrow, records[0])
    return State(history, (draws,), records, "final", best, n_stalls=2, n_doubted=n_doubted)


def test_a_complete_result_with_unreliable_weights_teaches_the_refinement_and_begins_anew():
    doubted = thin_tailed()
    anew = anew_if_doubted(doubted, n_left=3000)
    assert (anew.phase, anew.n_stalls, anew.n_doubted, anew.best) == ("refinement", 0, 1, None)
    assert not anew.final and not any(record.pooled for record in anew.records)
    assert anew.history.batches[-1] is doubted.final[0]
    assert anew.history.proposals[-1] is doubted.best.proposal


@pytest.mark.parametrize(
    "changes, n_left",
    [({"n_doubted": 2}, 9000), ({}, 2999), ({"factor": 1.2}, 9000)],
    ids=["doubted before", "nothing left to pay with", "sound"],
)
def test_otherwise_a_complete_result_stays(changes, n_left):
    state = thin_tailed(**changes)
    assert anew_if_doubted(state, n_left) is state


def test_a_run_does_not_end_on_unreliable_weights_while_it_can_go_on(monkeypatch):
    verdicts = iter([False, True])
    monkeypatch.setattr(pooling, "reliable", lambda _: next(verdicts))
    state = refined(monkeypatch, [wider(1.1)] * 9)
    assert next(verdicts, None) is None and state.n_doubted == 1
    assert effective_sample_size(state.final_log_weights) >= 600
    assert sum(record.n_draws for record in state.records if record.pooled) < state.n_calls / 3
    assert abs(pull(state)) < 4


def refinement(log_evidence, pooled=True):
    return RoundRecord("refinement", 1000, 1000, 0, 500.0, 0.5, log_evidence, 0.04, pooled=pooled)


@pytest.mark.parametrize("gap, replaced", [(0.0, False), (2.5, False), (3.5, True), (-3.5, False)])
def test_a_batch_with_significantly_more_evidence_takes_the_place_of_the_result_before_it(gap, replaced):
    rng = np.random.default_rng(6)
    former, batch = (toys.drawn(wider(1.5), FUNCTION, 1000, rng) for _ in range(2))
    before = State(final=(former,), records=(refinement(EVIDENCE),))
    found = log_evidence(former.log_weights)
    now = refinement(found.log_evidence + gap * np.hypot(found.error, 0.04))
    after = replace(before, final=(former, batch), records=(*before.records, now))
    kept = without_less_mass(before, after)
    assert kept.final == ((batch,) if replaced else (former, batch))
    assert [record.pooled for record in kept.records] == [not replaced, True]


def test_a_batch_that_is_no_part_of_the_result_takes_no_place():
    """As where its draws cost the result so many effective samples that it has begun anew."""
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    before = State(final=(draws,), records=(refinement(EVIDENCE),))
    richer = refinement(EVIDENCE + 9.0)
    dropped = replace(before, final=(draws, draws), records=(*before.records, richer)).without_result()
    kept = without_less_mass(before, dropped)
    assert not kept.final and not any(record.pooled for record in kept.records)


def test_the_first_batch_of_a_result_has_nothing_to_be_compared_with():
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    after = State(final=(draws,), records=(refinement(EVIDENCE),))
    assert without_less_mass(State(), after) is after


@pytest.mark.parametrize("rise, n_stalls", [(0.0, 1), (0.2, 0)])
def test_a_refinement_that_finds_more_of_the_posterior_has_not_stalled(monkeypatch, rise, n_stalls):
    """As where a thin tail is hit: such a batch looks less efficient than those that missed it."""
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    history = History().extended(draws, wider(1.5))
    best = Best(wider(1.5), refinement(EVIDENCE))
    before = State(history, (draws,), (refinement(EVIDENCE),), "refinement", best)
    after = replace(before, final=(draws, draws), records=(*before.records, refinement(EVIDENCE + rise)))
    monkeypatch.setattr(Step, "fitted", lambda *_: (wider(1.5), FitInfo(NOT_TRAINED)))
    monkeypatch.setattr(Step, "drawn", lambda *_, **__: after)
    step = Step(before, toys.likelihood_only(FUNCTION, 1), SnpeConfig(n_effective=5000), 1, Observer())
    assert snpe.refine(step).n_stalls == n_stalls


def test_one_heavy_draw_in_a_small_batch_does_not_make_the_first_final_draws_many(monkeypatch):
    """What is missing after them is drawn next; what is too much has been paid for."""
    asked = []
    record = replace(refinement(EVIDENCE), ess=50.0, efficiency=0.05)
    state = State(History(), (), (record,), "final", Best(wider(1.5), record))
    final = replace(record, phase="final", n_draws=2000, ess=1000.0)

    def drawn(step, _phase, _proposal, n_draws, **_):
        asked.append(n_draws)
        return replace(step.state, records=(*step.state.records, final))

    monkeypatch.setattr(Step, "drawn", drawn)
    step = Step(state, toys.likelihood_only(FUNCTION, 1), SnpeConfig(n_effective=1000), 1, Observer())
    after = snpe.draw_final(step)
    snpe.draw_final(replace(step, state=after))
    # As if half were effective; but no more than twice as many as it was chosen for.
    assert asked[0] == min(int(1.03 * 1000 / 0.5 + 20), 2 * record.n_draws)
    assert asked[1] == int(1.03 * 1000 / (1050.0 / 3000.0) + 20)


def final_batches(monkeypatch, n_left, efficiencies, n_effective=5000):
    """Final draws after a batch of 500 that was half effective, the later ones as efficient as given."""
    first = replace(refinement(EVIDENCE), n_draws=500, ess=250.0, efficiency=0.5)
    state = State(History(), (), (first,), "final", Best(wider(1.2), first))
    asked, left = [], iter(efficiencies)

    def drawn(step, phase, _proposal, n_draws, **_):
        asked.append(n_draws)
        draws = toys.drawn(wider(1.2), FUNCTION, n_draws, np.random.default_rng(len(asked)))
        share = next(left)
        now = replace(first, phase=phase, n_draws=n_draws, ess=share * n_draws, efficiency=share, pooled=True)
        return replace(step.state, final=(*step.state.final, draws), records=(*step.state.records, now))

    monkeypatch.setattr(Step, "drawn", drawn)
    problem = toys.likelihood_only(FUNCTION, 1)
    for _ in range(n_left):
        step = Step(state, problem, SnpeConfig(n_effective=n_effective, n_sims=500), 1, Observer())
        state = snpe.draw_final(step)
        if state.phase != "final":
            break
    return asked, state


def test_final_draws_double_while_the_efficiency_holds(monkeypatch):
    asked, state = final_batches(monkeypatch, 3, [0.5, 0.45, 0.5], n_effective=50_000)
    assert asked == [1000, 2000, 4000]
    assert state.phase == "final"


def test_final_draws_stop_where_the_efficiency_was_flattered_and_teach_the_refinement(monkeypatch):
    asked, state = final_batches(monkeypatch, 3, [0.5, 0.1, 0.5], n_effective=50_000)
    assert asked == [1000, 2000]
    assert state.phase == "refinement"
    # What was paid for counts in the result, and the next fit learns from all of it.
    assert sum(map(len, state.final)) == 3000
    assert len(state.history) == 3000


def test_draws_that_one_more_batch_completes_are_not_stopped_by_a_low_efficiency(monkeypatch):
    _, state = final_batches(monkeypatch, 1, [0.2], n_effective=900)
    assert state.phase == "final"
