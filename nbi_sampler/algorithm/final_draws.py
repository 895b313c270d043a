"""The final draws of a run, which come from its best proposal, and the rules by which a result restarts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from nbi_sampler.algorithm.pooling import (
    ess_dropped,
    falls_short,
    loses_effective_draws,
    overlooks_mass,
    unreliable,
)
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.core.config import BATCHES, POOLING
from nbi_sampler.importance.weights import effective_sample_size, log_evidence

__all__ = ["draw_final", "looked_over"]


def draw_final(step: Step) -> tuple[State, str]:
    """Draw from the best proposal, in batches that double as long as its efficiency holds.

    The batch by which a proposal was chosen overestimates its efficiency, so each batch is at most twice as
    large as the one before. If a batch is much less efficient than those before, or shows a region that the
    proposal nearly misses, the draws go to the history and the run returns to the refinement.
    """
    state = step.state
    assert state.best is not None
    pilot = (*state.final_batches, state.best.record)
    rate = expected = sum(r.ess for r in pilot[::-1]) / sum(r.n_draws for r in pilot)
    if len(pilot) == 1:
        # One draw of large weight in a small batch says little about the rest.
        rate = max(rate, POOLING.least_promising)
    n_draws = min(step.missing_draws(rate), int(BATCHES.growth * pilot[0].n_draws), step.most_at_once)
    after = step.drawn("final", state.best.proposal, n_draws, pooled=True)
    before, now = state.final_log_weights, after.final_log_weights
    poor = loses_effective_draws(before, now) or _falls_short(step, expected, after)
    if not (step.config.refine and poor):
        return after, "holding"
    return after.restarted("ess dropped" if ess_dropped(before, now) else "falls short"), "short"


def looked_over(state: State, is_complete: bool, n_left: int) -> State:
    """The state as it is, or the state in which an unreliable result restarts.

    If other draws contradict the result, the restart begins at the highest of them (`ascent`). The weights of
    an incomplete result are not judged.

    Parameters
    ----------
    state : State
    is_complete : bool
    n_left : int
        Likelihood calls left in the budget.
    """
    log_weights = state.final_log_weights
    if is_complete and unreliable(log_weights, state.n_unreliable, n_left):
        return state.restarted("unreliable")
    if not len(log_weights):
        return state
    estimates = [record.log_evidence for record in state.records]
    all_draws = log_evidence(state.history.log_weights)
    if overlooks_mass(log_weights, estimates, all_draws, state.n_unreliable, n_left):
        return replace(state.restarted("unreliable"), phase="ascent")
    return state


def _falls_short(step: Step, expected: float, after: State) -> bool:
    efficiency, phases = after.records[-1].efficiency, [record.phase for record in after.records]
    n_returns = sum(pair == ("final", "refinement") for pair in pairwise(phases))
    n_missing = replace(step, state=after).missing_draws(efficiency)
    reached = effective_sample_size(after.final_log_weights) >= step.config.n_effective
    return not reached and falls_short(efficiency, expected, n_returns, n_missing, step.n_sims)
