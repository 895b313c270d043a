"""Which draws make up the result, and which proposal its last draws come from. Pure functions of the state.

Every batch by itself gives the evidence without bias. What is decided here is which of them are worth
pooling: not those that a few draws dominate, and not those that are dead weight. Called by `snpe`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import takewhile

from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM
from nbi_sampler.core.config import RELIABILITY
from nbi_sampler.importance.reliability import reliable, summarise
from nbi_sampler.importance.weights import Evidence, effective_sample_size, log_evidence

__all__ = [
    "anew_if_doubted",
    "better_by_all_draws",
    "lost_ground",
    "more_mass",
    "without_dead_weight",
    "without_less_mass",
]

# The result begins anew when more draws leave less than this share of its effective size.
LOST = 0.5
# Errors by which a batch has to have more evidence than the result before it to take its place.
CERTAIN = 3.0
# A complete result whose weights are unreliable begins anew so many times at most.
MOST_DOUBTED = 2


def lost_ground(before: State, after: State) -> bool:
    """Whether more draws left fewer effective ones: a few dominate, the proposal is too thin there.

    The first draws of a result have none to compare with: they count unless they are poor and a few of them
    dominate, as where a mode has just been found that their proposal did not know.

    Parameters
    ----------
    before, after : State
        The last batch is part of the result after, if of any.
    """
    if not before.final:
        return bool(after.final) and after.records[-1].efficiency < WARM and not _sound(after)
    now, then = (effective_sample_size(state.final_log_weights) for state in (after, before))
    return now < LOST * then


def anew_if_doubted(state: State, n_left: int) -> State:
    """A state that goes on, where its result has all the draws it needs but a few of them dominate.

    They show a region that the proposal is too thin in, and now its draws train the next one. Their weights
    would stay what they are, and leaving out only those that are large would lower the evidence: so the
    result begins anew, if what is left of the budget pays for as much again.

    Parameters
    ----------
    state : State
        Whose result has as many effective samples as were asked for.
    n_left : int
        Likelihood calls that the budget has left.

    Returns
    -------
    State
        The same one where there is no doubt, or nothing to be done about it.
    """
    n_final = sum(len(draws) for draws in state.final)
    if state.n_doubted == MOST_DOUBTED or n_left < n_final or reliable(summarise(state.final_log_weights)):
        return state
    history = state.history
    # Of the last proposal; from others the refinement has learnt in its time.
    n_new = len(list(takewhile(lambda record: record.phase == "final", reversed(state.records))))
    for draws in state.final[len(state.final) - n_new :]:
        assert state.best is not None
        history = history.extended(draws, state.best.proposal)
    return replace(
        state.without_result(),
        history=history,
        phase="refinement",
        best=None,
        n_stalls=0,
        n_doubted=state.n_doubted + 1,
    )


def without_dead_weight(state: State) -> State:
    """A state whose result leaves out batches that were poor, where the last batch is worth more alone.

    While a result consists of poor batches, a proposal three times as efficient is better off without them.

    Parameters
    ----------
    state : State
        Whose last record is that of the last batch of its result, if it has any.
    """
    pooled = [record for record in state.records if record.pooled]
    if len(pooled) < 2 or any(record.efficiency >= WARM for record in pooled[:-1]):
        return state
    if pooled[-1].ess <= effective_sample_size(state.final_log_weights):
        return state
    return _of_last_batch(state)


def without_less_mass(before: State, after: State) -> State:
    """The state after a batch, without the result before it where that has significantly less evidence.

    The proposals of the former batches were too thin somewhere, whatever their own weights say of their
    errors. By chance alone this happens once in 700 batches.

    Parameters
    ----------
    before, after : State
        The last batch is part of the result after, if of any.
    """
    if not before.final or not after.records[-1].pooled:
        return after
    former = log_evidence(before.final_log_weights)
    return _of_last_batch(after) if more_mass(former, after.records[-1].evidence, CERTAIN) else after


def more_mass(former: Evidence, now: Evidence, n_errors: float) -> bool:
    """Whether an evidence is larger than what came before, by more than so many of both errors together."""
    return now.log_evidence > former.log_evidence + n_errors * math.hypot(former.error, now.error)


def _of_last_batch(state: State) -> State:
    """A state whose result is the last batch alone."""
    anew = state.without_result()
    records = (*anew.records[:-1], replace(anew.records[-1], pooled=True))
    return replace(anew, final=state.final[-1:], records=records)


def better_by_all_draws(state: State, latest: Best) -> Best:
    """The best proposal so far or the latest, whichever all draws speak for.

    Its own batch flatters a proposal whose thin tail it happened to miss, and blames one where it was hit.

    Parameters
    ----------
    state : State
    latest : Best
        With the record of its batch.
    """
    if state.best is None or state.best.proposal is latest.proposal:
        return latest
    return max((state.best, latest), key=lambda each: state.history.efficiency_of(each.proposal))


def _sound(state: State) -> bool:
    """Whether no few draws dominate the result, however little most of its draws count for."""
    weights = summarise(state.final_log_weights)
    return weights.k_hat < RELIABILITY.heavy_tail and weights.largest_share < RELIABILITY.largest_share
