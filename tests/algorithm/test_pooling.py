"""The rules of a run: on plain arrays, and in runs whose fits are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys

from nbi_sampler.algorithm import pooling, refinement, snpe
from nbi_sampler.algorithm.final_draws import draw_final, looked_over
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.pooling import (
    counts,
    drop_batches_missing_mass,
    drop_inefficient_batches,
    ess_dropped,
    falls_short,
    first_draws_count,
    has_gained,
    has_stalled,
    is_stuck,
    lacks_a_mode,
    loses_effective_draws,
    no_fit_can_pay,
    overlooks_mass,
    unreliable,
)
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.state import Best, FitInfo, State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.core.config import INITIAL, POOLING, SnpeConfig
from nbi_sampler.importance.weights import Evidence, effective_sample_size, log_evidence
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


def refined(monkeypatch, proposals, first=4.0, **changes):
    fits = iter([wider(first), *proposals])
    monkeypatch.setattr(refinement, "fit_to_weights", lambda *_, **__: (next(fits), FitInfo(NOT_TRAINED)))
    problem = toys.likelihood_only(FUNCTION, 1)
    return snpe.run(problem, SnpeConfig(**({"n_effective": 600, "n_sims": 500} | changes)), 2, Observer())


def test_they_count_where_nothing_better_comes(monkeypatch):
    state = refined(monkeypatch, [wider(9.0)] * 20, max_likelihood_calls=100_000)
    after = state.records[2:]
    assert all(record.efficiency < POOLING.warm for record in after if record.phase == "refinement")
    assert all(record.pooled for record in after)
    assert effective_sample_size(state.final_log_weights) >= 600
    assert abs(pull(state)) < 4


def test_they_are_left_out_once_the_result_is_worth_more_without(monkeypatch):
    monkeypatch.setattr(refinement, "counts", lambda best, expected: True)
    proposals = [wider(9.0), wider(1.1), wider(1.1)]
    state = refined(monkeypatch, proposals, first=9.0, n_effective=550)
    assert [record.pooled for record in state.records[:4]] == [False, False, False, True]
    assert state.final[0].z is state.history.batches[3].z
    assert abs(pull(state)) < 4


def test_a_batch_counts_by_what_was_known_before_it_was_drawn(monkeypatch):
    assert counts(POOLING.warm, 0.0) and counts(0.0, POOLING.expected)
    assert not counts(0.99 * POOLING.warm, 0.99 * POOLING.expected)
    poor = refined(monkeypatch, [wider(1.1)] * 3, first=30.0)
    good = refined(monkeypatch, [wider(1.1)] * 3, first=1.5)
    assert not poor.records[1].pooled and good.records[1].pooled


@pytest.mark.parametrize("dominated", [False, True])
def test_the_first_one_counts_unless_a_few_draws_dominate(dominated):
    draws = toys.drawn(wider(9.0), FUNCTION, 500, np.random.default_rng(3))
    if dominated:
        likelihoods = draws.log_likelihood.copy()
        likelihoods[7] = draws.log_ratio[7] + draws.log_weights.max() + 5.0
        draws = replace(draws, evaluation=replace(draws.evaluation, log_likelihood=likelihoods))
    assert effective_sample_size(draws.log_weights) < POOLING.warm * 500
    assert ess_dropped(np.zeros(0), draws.log_weights) == dominated


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
    assert State(history, best=lucky).better_by_all_draws(latest) is latest
    assert State(history, best=latest).better_by_all_draws(lucky) is latest


def thin_tailed(factor=0.4):
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
    return State(history, (draws,), records, "final", best, n_stalls=2)


def test_a_result_that_restarts_teaches_the_refinement():
    complete = thin_tailed()
    state = complete.restarted("unreliable")
    assert (state.phase, state.n_stalls, state.n_unreliable, state.best) == ("refinement", 0, 1, None)
    assert not state.final and not any(record.pooled for record in state.records)
    assert state.history.batches[-1] is complete.final[0]
    assert state.history.proposals[-1] is complete.best.proposal


def test_a_return_to_the_refinement_keeps_what_is_no_reason_for_it():
    state = thin_tailed().restarted("falls short")
    assert (state.phase, state.n_unreliable, len(state.final), state.records[-1].pooled) == (
        "refinement",
        0,
        1,
        True,
    )


@pytest.mark.parametrize(
    "factor, n_before, n_left, restarts",
    [
        (0.4, 0, 3000, True),
        (0.55, 0, 3000, True),
        (0.4, 2, 9000, False),
        (0.4, 0, 2999, False),
        (1.2, 0, 9000, False),
    ],
    ids=["thin tail", "k-hat of 0.58", "unreliable before", "nothing left to pay with", "sound"],
)
def test_a_complete_result_with_unreliable_weights_restarts(factor, n_before, n_left, restarts):
    assert unreliable(thin_tailed(factor).final_log_weights, n_before, n_left) == restarts


@pytest.mark.parametrize(
    "estimate, n_before, n_left, restarts",
    [(6.5, 0, 3000, True), (6.5, 2, 9000, False), (6.5, 0, 2999, False), (0.2, 0, 9000, False)],
    ids=["a draw far above", "restarted before", "nothing left to pay with", "alike"],
)
def test_a_complete_result_that_other_draws_contradict_starts_over(estimate, n_before, n_left, restarts):
    sound, alike = np.zeros(3000), Evidence(0.0, 0.1)
    assert overlooks_mass(sound, [0.0, estimate], alike, n_before, n_left) == restarts
    many = Evidence(estimate, 0.1)
    assert overlooks_mass(sound, [0.0], many, n_before, n_left) == restarts


def test_the_way_back_starts_from_the_highest_draws():
    complete = replace(thin_tailed(1.2), n_unreliable=0)
    assert looked_over(complete, True, 9000) is complete
    touched = replace(complete.records[0], log_evidence=complete.records[1].log_evidence + 20.0)
    state = looked_over(replace(complete, records=(touched, complete.records[1])), False, 9000)
    assert (state.phase, state.n_unreliable, state.final) == ("ascent", 1, ())
    assert len(state.history.batches) == len(complete.history.batches) + 1
    assert looked_over(state, False, 9000) is state


def test_a_run_does_not_end_on_unreliable_weights_while_it_can_go_on(monkeypatch):
    # The first limit fails the first result, both pass the second.
    verdicts = iter([False, True, True])
    monkeypatch.setattr(pooling, "reliable", lambda *_: next(verdicts))
    state = refined(monkeypatch, [wider(1.1)] * 9)
    assert next(verdicts, None) is None and state.n_unreliable == 1
    assert effective_sample_size(state.final_log_weights) >= 600
    assert sum(record.n_draws for record in state.records if record.pooled) < state.n_calls / 3
    assert abs(pull(state)) < 4


def refined_batch(log_evidence, pooled=True):
    return RoundRecord("refinement", 1000, 1000, 0, 500.0, 0.5, log_evidence, 0.04, pooled=pooled)


@pytest.mark.parametrize("gap, replaced", [(0.0, False), (2.5, False), (3.5, True), (-3.5, False)])
def test_a_batch_with_significantly_more_evidence_takes_the_place_of_the_result_before_it(gap, replaced):
    rng = np.random.default_rng(6)
    former, batch = (toys.drawn(wider(1.5), FUNCTION, 1000, rng) for _ in range(2))
    before = State(final=(former,), records=(refined_batch(EVIDENCE),))
    found = log_evidence(former.log_weights)
    now = refined_batch(found.log_evidence + gap * np.hypot(found.error, 0.04))
    after = replace(before, final=(former, batch), records=(*before.records, now))
    kept = refinement._without_poor_batches(before, after)
    assert kept.final == ((batch,) if replaced else (former, batch))
    assert [record.pooled for record in kept.records] == [not replaced, True]


def test_a_batch_that_is_no_part_of_the_result_takes_no_place():
    """The draws cost the result so many effective samples that it has restarted."""
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    before = State(final=(draws,), records=(refined_batch(EVIDENCE),))
    richer = refined_batch(EVIDENCE + 9.0)
    dropped = replace(before, final=(draws, draws), records=(*before.records, richer)).without_result()
    kept = refinement._without_poor_batches(before, dropped)
    assert not kept.final and not any(record.pooled for record in kept.records)


def test_a_batch_of_the_result_is_kept_with_its_own_record_where_another_came_after():
    """After a return from final draws that gained nothing: the refinement that follows is no part of it."""
    rng = np.random.default_rng(6)
    poor, final = (toys.drawn(wider(factor), FUNCTION, 1000, rng) for factor in (30.0, 5.0))
    records = (
        RoundRecord("refinement", 1000, 1000, 0, 20.0, 0.02, EVIDENCE, 0.2, pooled=True),
        RoundRecord("final", 1000, 1000, 0, 9e3, 0.2, EVIDENCE, 0.05, pooled=True),
    )
    before = State(final=(poor, final), records=records)
    after = replace(before, records=(*records, refined_batch(EVIDENCE, pooled=False)))
    kept = refinement._without_poor_batches(before, after)
    assert kept.final == (final,)
    assert [record.pooled for record in kept.records] == [False, True, False]


def test_the_first_batch_of_a_result_has_nothing_to_be_compared_with():
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    after = State(final=(draws,), records=(refined_batch(EVIDENCE),))
    assert refinement._without_poor_batches(State(), after) is after


@pytest.mark.parametrize("rise, n_stalls", [(0.0, 1), (0.2, 0)])
def test_a_refinement_that_finds_more_of_the_posterior_has_not_stalled(monkeypatch, rise, n_stalls):
    """The batch hit a thin tail, and looks less efficient than those that missed it."""
    draws = toys.drawn(wider(1.5), FUNCTION, 1000, np.random.default_rng(6))
    history = History().extended(draws, wider(1.5))
    best = Best(wider(1.5), refined_batch(EVIDENCE))
    before = State(history, (draws,), (refined_batch(EVIDENCE),), "refinement", best)
    after = replace(before, final=(draws, draws), records=(*before.records, refined_batch(EVIDENCE + rise)))
    monkeypatch.setattr(Step, "fitted", lambda *_: (wider(1.5), FitInfo(NOT_TRAINED)))
    monkeypatch.setattr(Step, "drawn", lambda *_, **__: after)
    step = Step(before, toys.likelihood_only(FUNCTION, 1), SnpeConfig(n_effective=5000), 1, Observer())
    assert refinement.refine(step)[0].n_stalls == n_stalls


def test_one_heavy_draw_in_a_small_batch_does_not_make_the_first_final_draws_many(monkeypatch):
    """Missing draws are drawn next, and excess draws are already in the result."""
    asked = []
    record = replace(refined_batch(EVIDENCE), ess=50.0, efficiency=0.05)
    state = State(History(), (), (record,), "final", Best(wider(1.5), record))
    final = replace(record, phase="final", n_draws=2000, ess=1000.0)

    def drawn(step, _phase, _proposal, n_draws, **_):
        asked.append(n_draws)
        return replace(step.state, records=(*step.state.records, final))

    monkeypatch.setattr(Step, "drawn", drawn)
    step = Step(state, toys.likelihood_only(FUNCTION, 1), SnpeConfig(n_effective=1000), 1, Observer())
    after, _ = draw_final(step)
    draw_final(replace(step, state=after))
    # As if half were effective; but no more than twice as many as it was chosen for.
    assert asked[0] == min(int(1.03 * 1000 / 0.5 + 20), 2 * record.n_draws)
    assert asked[1] == int(1.03 * 1000 / (1050.0 / 3000.0) + 20)


def final_batches(monkeypatch, n_left, efficiencies, n_effective=5000):
    """Final draws after a batch of 500 that was half effective, the later ones as efficient as given."""
    first = replace(refined_batch(EVIDENCE), n_draws=500, ess=250.0, efficiency=0.5)
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
        state, _ = draw_final(step)
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
    # What was evaluated counts in the result, and the next fit learns from all of it.
    assert sum(map(len, state.final)) == 3000
    assert len(state.history) == 3000


def test_draws_that_one_more_batch_completes_are_not_stopped_by_a_low_efficiency(monkeypatch):
    _, state = final_batches(monkeypatch, 1, [0.2], n_effective=900)
    assert state.phase == "final"


def log_weights(n, heavy=()):
    """Equal log weights but for some heavy ones."""
    return np.concatenate([np.zeros(n - len(heavy)), heavy])


@pytest.mark.parametrize(
    "heavy, dropped",
    [((), False), ((np.log(40.0),), True), ((np.log(5.0),), False)],
    ids=["none", "x40", "x5"],
)
def test_one_heavy_draw_makes_a_result_restart(heavy, dropped):
    """500 effective draws, and 100 more, one of which outweighs all others: of 600, 186 or 585 are left."""
    assert ess_dropped(log_weights(500), log_weights(600, heavy)) == dropped


def test_a_result_of_no_draws_at_all_has_not_dropped():
    assert not ess_dropped(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(
    "ess, efficiencies, pooled, dropped",
    [
        ([50.0, 400.0], [0.1, 0.4], 350.0, True),
        ([50.0, 400.0], [0.1, 0.4], 420.0, False),
        ([150.0, 400.0], [0.3, 0.4], 350.0, False),
        ([400.0], [0.4], 350.0, False),
    ],
    ids=["worth more alone", "worth more together", "the first was sound", "only one"],
)
def test_poor_batches_go_once_the_last_is_worth_more_alone(ess, efficiencies, pooled, dropped):
    assert drop_inefficient_batches(ess, efficiencies, pooled) == dropped


@pytest.mark.parametrize("rise, dropped", [(0.14, False), (0.16, True), (-1.0, False)])
def test_batches_go_that_miss_mass_by_three_errors(rise, dropped):
    """Their errors are 0.03 and 0.04, so the combined error is 0.05."""
    assert drop_batches_missing_mass(Evidence(-7.0, 0.03), Evidence(-7.0 + rise, 0.04)) == dropped


@pytest.mark.parametrize(
    "efficiency, rise, gained",
    [(0.53, 0.0, True), (0.51, 0.0, False), (0.2, 0.11, True), (0.2, 0.09, False)],
)
def test_a_gain_is_in_efficiency_or_in_mass(efficiency, rise, gained):
    assert has_gained(efficiency, 0.5, Evidence(-7.0, 0.03), Evidence(-7.0 + rise, 0.04)) == gained
    assert has_gained(efficiency, 0.5, None, Evidence(0.0, 0.04)) == (efficiency > 0.52)


@pytest.mark.parametrize(
    "n_stalls, n_missing, stalled", [(2, 4000, True), (1, 4000, False), (5, 4001, False)]
)
def test_more_stalls_are_borne_while_many_draws_are_missing(n_stalls, n_missing, stalled):
    assert has_stalled(n_stalls, n_missing, 1000) == stalled
    assert has_stalled(6, n_missing, 1000)


def test_tempering_is_stuck_where_the_power_stands_still():
    assert not is_stuck([]) and not is_stuck([0.1] * 25)
    assert is_stuck([0.1] * 26) and not is_stuck([*[0.1] * 25, 0.12]) and not is_stuck([*[0.1] * 25, 1.0])


@pytest.mark.parametrize(
    "rate, n_pooled, useless", [(0.8, 40_000, True), (0.8, 1_000, False), (0.4, 400_000, False)]
)
def test_no_fit_pays_that_saves_a_twentieth_of_the_draws(rate, n_pooled, useless):
    assert no_fit_can_pay(rate, n_pooled, int(4000 / rate), 4000) == useless


@pytest.mark.parametrize(
    "efficiency, n_returns, n_missing, short",
    [(0.2, 0, 5000, True), (0.3, 0, 5000, False), (0.2, 3, 5000, False), (0.2, 0, 500, False)],
    ids=["less than half", "holds", "too often", "one more batch completes it"],
)
def test_final_draws_fall_short_of_half_of_what_was_expected(efficiency, n_returns, n_missing, short):
    assert falls_short(efficiency, 0.5, n_returns, n_missing, 500) == short


@pytest.mark.parametrize("heavy, loses", [((), False), ((np.log(40.0),), True), ((np.log(5.0),), False)])
def test_final_draws_go_back_once_the_result_loses_effective_draws(heavy, loses):
    """500 effective draws, and 100 more, one of which outweighs all others: of 600, 186 or 585 are left."""
    assert loses_effective_draws(log_weights(500), log_weights(600, heavy)) == loses


@pytest.mark.parametrize(
    "factor, suffices, count", [(0.9, False, False), (0.9, True, True), (1.0, False, True)]
)
def test_first_draws_count_if_they_are_efficient_or_cost_less_than_a_fit(factor, suffices, count):
    assert first_draws_count(factor * POOLING.warm, suffices) == count


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_samples_lack_a_mode_if_the_first_proposal_is_thin_at_too_much_of_the_weight(factor):
    mass = factor * INITIAL.most_elsewhere
    assert lacks_a_mode(np.array([mass, 1.0 - mass]), np.array([-1.0, 0.0])) == (factor > 1.0)
