"""Ascent: from a few draws far above all others to their mode, where the tempering cannot follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toys
from scipy.special import ndtr

from nbi_sampler.algorithm.ascent import ascend, ascent_is_due
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.snpe import STAGES
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import SnpeConfig

D = 5
WIDTHS = np.array([0.002, 0.004, 0.003, 0.01, 0.002])


def valley(z):
    """A curved valley in the unit cube whose narrow end holds all of the mass."""
    u = ndtr(z)
    end = (u[..., :1] - 0.8) / 0.02
    across = (u[..., 1:] - 0.5 - 0.3 * (u[..., :1] - 0.8) ** 2) / WIDTHS[1:]
    return -0.5 * (end**2).sum(axis=-1) - 0.5 * (across**2).sum(axis=-1)


def state_after(tempered, exponents, highest):
    """The prior and refinements, of which the last holds a draw at ``highest``."""
    prior = MixtureProposal.single(PriorProposal(D))
    rng = np.random.default_rng(1)
    history = History()
    for _ in range(1 + len(exponents)):
        history = history.extended(toys.drawn(prior, tempered, 500, rng), prior)
    last = history.batches[-1]
    top = max(batch.log_likelihood.max() for batch in history.batches[:-1]) + highest
    raised = np.where(np.arange(len(last)) == 0, top, np.minimum(last.log_likelihood, top - highest))
    last = replace(last, evaluation=replace(last.evaluation, log_likelihood=raised))
    record = RoundRecord("prior", 500, 500, 0, 1.0, 0.0, 0.0, 1.0)
    records = [record, *(replace(record, phase="refinement", exponent=each) for each in exponents)]
    return State(replace(history, batches=(*history.batches[:-1], last)), records=tuple(records))


def step_of(state, n_dim=D):
    problem = toys.likelihood_only(valley, n_dim)
    return Step(state, problem, SnpeConfig(n_effective=100), 1, Observer())


@pytest.mark.parametrize(
    ("exponents", "highest", "due"),
    [((0.5, 0.4), 20.0, True), ((0.4, 0.5), 20.0, False), ((0.5, 0.1), 2.0, False)],
)
def test_an_ascent_begins_where_a_few_draws_outrun_the_tempering(exponents, highest, due):
    state = state_after(valley, exponents, highest)
    assert ascent_is_due(step_of(state), state) is due


def test_no_ascent_in_few_dimensions_nor_without_end():
    state = state_after(valley, (0.5, 0.1), 20.0)
    assert not ascent_is_due(step_of(state, 2), state)
    last = state.records[-1]
    often = (replace(last, phase="ascent"), last) * 3
    assert not ascent_is_due(step_of(state), replace(state, records=(*state.records, *often)))


@pytest.mark.parametrize(
    ("phase", "ess", "large"), [("ascent", 40.0, True), ("ascent", 5.0, False), ("refinement", 40.0, False)]
)
def test_the_batch_after_one_that_has_located_the_mode_is_large(phase, ess, large):
    state = state_after(valley, (0.5, 0.1), 20.0)
    last = replace(state.records[-1], phase=phase, ess=ess)
    step = step_of(replace(state, records=(*state.records[:-1], last)))
    after, _ = ascend(step)
    assert after.records[-1].n_draws == (step.n_sims if large else 6 * 21)


def test_a_narrow_mode_at_the_end_of_a_valley_is_reached_at_few_calls():
    """The tempering would have to find it by accident, one draw after the other."""
    prior = MixtureProposal.single(PriorProposal(D))
    drawn = toys.drawn(prior, valley, 2000, np.random.default_rng(2))
    assert drawn.log_likelihood.max() < -100.0
    state = replace(state_after(valley, (0.5, 0.1), 20.0), history=History().extended(drawn, prior))
    state = replace(state, phase="ascent")
    while state.phase == "ascent":
        state, outcome = ascend(step_of(state))
        state = replace(state, phase=STAGES["ascent"].then[outcome])
    assert state.phase == "refinement"
    assert choose_target(state.history, D, False).exponent == 1.0
    assert sum(record.n_calls for record in state.records if record.phase == "ascent") < 3000
