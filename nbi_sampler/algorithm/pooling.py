"""Which draws make up the result, and which proposal its last draws come from. Pure functions of the state.

Every batch by itself gives the evidence without bias. What is decided here is which of them are worth
pooling: not those that a few draws dominate, and not those that are dead weight. Called by `snpe`.
"""

from __future__ import annotations

from dataclasses import replace

from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM
from nbi_sampler.reporting.status import HEAVY_TAIL, LARGEST_SHARE, summarise
from nbi_sampler.statistics.importance import effective_sample_size

__all__ = ["better_by_all_draws", "lost_ground", "without_dead_weight"]

# The result begins anew when more draws leave less than this share of its effective size.
LOST = 0.5


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
    return weights.k_hat < HEAVY_TAIL and weights.largest_share < LARGEST_SHARE
