"""Rules of a run on plain numbers: which batches make up the result, and when another fit is of no use.

Every batch by itself gives the evidence without bias. Decided here is which of them are worth pooling: not
those that a few draws dominate, and not those that cost more effective draws than they bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.config import (
    POOLING,
    REFINEMENT,
    RELIABILITY,
    PoolingConfig,
    RefinementConfig,
)
from nbi_sampler.importance.reliability import contradicting_evidence, reliable, summarise
from nbi_sampler.importance.weights import Evidence, effective_sample_size, efficiency, log_evidence

__all__ = [
    "counts",
    "drop_batches_missing_mass",
    "drop_inefficient_batches",
    "ess_dropped",
    "falls_short",
    "has_gained",
    "has_more_mass",
    "has_stalled",
    "is_stuck",
    "no_fit_can_pay",
    "overlooks_mass",
    "unreliable",
]

Array = NDArray[np.float64]


def counts(best: float, expected: float, rules: PoolingConfig = POOLING) -> bool:
    """True where the next batch is to be part of the result, decided before it is drawn.

    Guards against results that begin with poor batches, without a choice that depends on their weights.

    Parameters
    ----------
    best : float
        Efficiency of the best proposal before.
    expected : float
        Efficiency that all draws so far expect of the next one; 0 while it aims at tempered weights.
    """
    return best >= rules.warm or expected >= rules.expected


def ess_dropped(before: Array, after: Array, rules: PoolingConfig = POOLING) -> bool:
    """True where more draws leave far fewer effective ones, so that the result has to restart.

    Guards against a proposal that is too thin somewhere: there a few draws dominate all others. The first
    batch of a result has none to compare with: it counts unless it is poor and a few of its draws dominate,
    as where a mode has just been found that its proposal did not know. Measured: where a proposal misses a
    mode of equal mass but for the prior's 0.5 %, the run ends "ok" with both modes at 0.4 to 0.6 of the mass,
    and without such a share 10 errors too low.

    Parameters
    ----------
    before, after : ndarray, shapes (n,) and (n + m,)
        Log weights of the result without and with its last batch.
    """
    if not len(before):
        weights = summarise(after) if len(after) else None
        if weights is None or efficiency(after) >= rules.warm:
            return False
        return not (
            weights.k_hat < RELIABILITY.heavy_tail and weights.largest_share < RELIABILITY.largest_share
        )
    return effective_sample_size(after) < rules.lost * effective_sample_size(before)


def unreliable(log_weights: Array, n_before: int, n_left: int, rules: PoolingConfig = POOLING) -> bool:
    """True where a complete result has to restart, as a few of its draws dominate.

    They show a region that the proposal is too thin in, and can train the next one. Their weights would stay
    what they are, and leaving out only the large ones would lower the evidence. Measured: gw_fast, seed 2,
    for 2,000 effective draws ended with log Z 0.086 too low (4.5 errors) under "ok", and with this rule and
    the two on mass below 0.024 high (2.3 errors). Where the tail holds much, the limit of k-hat is lower than
    that of the status.

    Parameters
    ----------
    log_weights : ndarray, shape (n,)
        Of the result.
    n_before : int
        Results that have restarted for this reason.
    n_left : int
        Likelihood calls that the budget has left, which have to suffice for as many draws again.
    """
    weights = summarise(log_weights)
    stricter = replace(RELIABILITY, heavy_tail=rules.heavy_tail, tail_per_error=math.inf)
    sound = reliable(weights) and reliable(weights, stricter)
    return not sound and _affordable(log_weights, n_before, n_left, rules)


def overlooks_mass(
    log_weights: Array,
    estimates: Sequence[float],
    all_draws: Evidence,
    n_before: int,
    n_left: int,
    rules: PoolingConfig = POOLING,
) -> bool:
    """True where a result has to start over, as other draws know of a part that it misses.

    Guards against rounds that touch a mode with a draw or two and lose it. Measured: gw_fast, seed 2, had its
    main mode in a draw of a round (log Z 64.9 of 73.3) and ended with another one (59.3) as "missing mass".
    With this rule it ends with 73.31, after 17,376 calls.

    Parameters
    ----------
    log_weights, n_before, n_left
        As in `unreliable`.
    estimates : sequence of float
        Of log Z, from every batch.
    all_draws : Evidence
        From all draws that trained proposals.
    """
    if not _affordable(log_weights, n_before, n_left, rules):
        return False
    return contradicting_evidence(log_evidence(log_weights), estimates, all_draws) is not None


def _affordable(log_weights: Array, n_before: int, n_left: int, rules: PoolingConfig) -> bool:
    return n_before < rules.most_unreliable and n_left >= len(log_weights)


def drop_inefficient_batches(
    ess: Sequence[float], efficiencies: Sequence[float], ess_pooled: float, rules: PoolingConfig = POOLING
) -> bool:
    """True where all batches before the last are to go, as it is worth more without them.

    Guards against results that drag along the first, poor refinements: weights of one that is three times as
    efficient count for less beside theirs. Batches are judged so while all of them were poor.

    Parameters
    ----------
    ess, efficiencies : sequence of float
        Of each batch of the result.
    ess_pooled : float
        Of all their draws together.
    """
    if len(ess) < 2 or max(efficiencies[:-1]) >= rules.warm:
        return False
    return ess[-1] > ess_pooled


def drop_batches_missing_mass(former: Evidence, last: Evidence, rules: PoolingConfig = POOLING) -> bool:
    """True where the batches before the last are to go, as they have significantly less evidence.

    Guards against proposals that were too thin somewhere, whatever their own weights say of their errors. By
    chance alone this happens once in 700 batches. Measured: gw_fast, seed 2, for 5,000 effective draws was
    0.040 too low under "ok", and is 0.009 high (1.4 errors).
    """
    return has_more_mass(former, last, rules.certain)


def has_more_mass(former: Evidence, now: Evidence, n_errors: float) -> bool:
    """True where an evidence exceeds the one before by more than so many of both errors together."""
    return now.log_evidence > former.log_evidence + n_errors * math.hypot(former.error, now.error)


def has_gained(
    efficiency: float,
    best: float,
    former: Evidence | None,
    now: Evidence,
    rules: RefinementConfig = REFINEMENT,
) -> bool:
    """True where a refinement is more efficient than the best before, or has found mass.

    A batch that hits a thin tail for the first time looks less efficient than those that missed it: gw_fast,
    seed 2, ended on the latter (see `unreliable`).

    Parameters
    ----------
    efficiency, best : float
        Of the last batch, and of the best proposal before.
    former : Evidence, optional
        Of the batch before, where it is a refinement's too.
    """
    found = former is not None and has_more_mass(former, now, rules.found_mass)
    return efficiency > rules.smallest_gain * best or found


def has_stalled(n_stalls: int, n_missing: int, n_sims: int, rules: RefinementConfig = REFINEMENT) -> bool:
    """True where so many refinements in a row have gained nothing that the best has to do.

    More of them are tried while many of the ``n_missing`` draws that complete the result are to come, in
    units of the ``n_sims`` of a round: a better proposal would spare them. Not measured.
    """
    few = n_missing <= rules.few_rounds * n_sims
    return n_stalls >= (rules.most_stalls if few else rules.patience * rules.most_stalls)


def is_stuck(exponents: Sequence[float], rules: RefinementConfig = REFINEMENT) -> bool:
    """True where the power of the likelihood has hardly grown for many refinements.

    Guards against runs without an end, where the posterior is narrower than the spacing of floating-point
    numbers, or noise drowns it. Measured: a spike 1e-150 wide ends within 10,000 calls.

    ``exponents`` are those of all refinements, in order.
    """
    before, since = exponents[: -rules.most_stuck], exponents[-rules.most_stuck :]
    return bool(before) and max(exponents) < 1.0 and max(since) < rules.least_progress * max(before)


def no_fit_can_pay(
    rate: float, n_pooled: int, n_missing: int, n_at_best: int, rules: RefinementConfig = REFINEMENT
) -> bool:
    """True where the best proposal completes the result in hardly more draws than a perfect one would.

    Guards against fits that cost more time than the draws they save. Not measured. ``rate`` is the efficiency
    of the best proposal; ``n_missing`` draws complete a result of ``n_pooled`` at it, ``n_at_best`` at 1.
    """
    saving = n_missing - n_at_best
    return rate >= rules.least_converged and saving < rules.least_saving * (n_pooled + n_missing)


def falls_short(
    efficiency: float,
    expected: float,
    n_returns: int,
    n_missing: int,
    n_sims: int,
    rules: PoolingConfig = POOLING,
) -> bool:
    """True where final draws are much less efficient than expected, and a fit may be worth more of them.

    Guards against proposals flattered by the small batch that they were chosen for: microlensing, seed 1,
    took 3.5 calls for an effective draw from one that had missed a tail by chance (89 % by its own 1,200
    draws, 75 % by 50,000 others).

    Parameters
    ----------
    efficiency, expected : float
        Of the last batch, and of those before it from this proposal.
    n_returns : int
        Returns of the run to the refinement so far.
    n_missing, n_sims : int
        Draws that would complete the result at this efficiency, and those of a round.
    """
    poor = efficiency < rules.holds * expected and n_returns < rules.most_returns
    return poor and n_missing > n_sims
