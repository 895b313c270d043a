"""Rules on plain numbers: which batches make up the result, and when another fit is of no use.

Each batch by itself gives the evidence without bias. These rules choose the batches that are worth pooling.
They leave out batches that a few draws dominate, and batches that cost more effective draws than they bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nbi_sampler.core.config import INITIAL, POOLING, REFINEMENT, RELIABILITY
from nbi_sampler.core.types import Array
from nbi_sampler.importance.reliability import contradicting_evidence, reliable, summarise
from nbi_sampler.importance.weights import Evidence, effective_sample_size, efficiency, log_evidence

__all__ = [
    "counts",
    "drop_batches_missing_mass",
    "drop_inefficient_batches",
    "ess_dropped",
    "falls_short",
    "first_draws_count",
    "has_gained",
    "has_more_mass",
    "has_stalled",
    "is_stuck",
    "lacks_a_mode",
    "leads_nowhere",
    "loses_effective_draws",
    "no_fit_can_pay",
    "overlooks_mass",
    "posterior_has_moved",
    "resembles_a_paraboloid",
    "unreliable",
]


def counts(best: float, expected: float) -> bool:
    """True if the next batch will be part of the result, decided before it is drawn.

    Guards against results that begin with poor batches, without a choice that depends on their weights.
    Measured: eggbox, seed 1, takes 21,986 calls for 5,000 effective draws. If none of the refinements counts,
    it takes 26,100. If all count, the error of log Z is 0.007 instead of 0.005.

    Parameters
    ----------
    best : float
        Efficiency of the best proposal so far.
    expected : float
        Efficiency of the next one as estimated from all draws; 0 if its target is tempered.
    """
    return best >= POOLING.warm or expected >= POOLING.expected


def first_draws_count(efficiency: float, suffices: bool = False) -> bool:
    """True if the draws of the first proposal, from a model or from former samples, are part of the result.

    Guards against results that begin with draws from a proposal for other data or for another likelihood.
    Measured: former samples of a bent posterior of five parameters give first draws with an efficiency of
    0.70, or of 0.33 if the posterior has moved by a deviation, and both count.

    Parameters
    ----------
    efficiency : float
    suffices : bool
        True if a call costs so little that these draws take less time than a fit, and they have located the
        posterior.
    """
    return efficiency >= POOLING.warm or suffices


def lacks_a_mode(weights: Array, log_ratio: Array) -> bool:
    """True if samples of a former posterior miss too much mass, and the run has to start from the prior.

    Guards against samples that lack a mode, and therefore perhaps more modes. Measured: eggbox without half
    of its modes was 0.16 and 0.21 too low (23 and 19 errors) under "ok" for two of five seeds when only the
    first batch was tested. With all draws it is right in ten of ten (within 2.0 errors).

    Parameters
    ----------
    weights : ndarray, shape (n,)
        Weights of all draws; they sum to one.
    log_ratio : ndarray, shape (n,)
        Log density of the first proposal relative to the prior at each draw.
    """
    return float(weights @ (log_ratio < 0.0)) > INITIAL.most_elsewhere


def posterior_has_moved(differences: Array) -> bool:
    """True if samples of a former posterior are too far from the posterior to propose draws of it.

    Guards against a first batch of which hardly any draw counts, and against many bridges from there.
    Measured: the run from such samples takes 2,033 calls instead of 4,849 on linear, and 6,177 instead of
    14,019 on microlensing.

    Parameters
    ----------
    differences : ndarray, shape (n,)
        Log-likelihood minus that of the former run at some of the samples, with equal weights.
    """
    return effective_sample_size(differences) < INITIAL.moved


def resembles_a_paraboloid(residual: float, spread: float) -> bool:
    """True if the steps of an ascent suit a posterior, by the fit of a paraboloid to its log-likelihood.

    Guards against an ascent that finds one of several modes, or that follows a bend for long. Measured: the
    paraboloid leaves 0.00 and 0.05 of 1.0 and 2.0 on linear and spectrum, 0.68 of 1.6 on microlensing (bent),
    and 0.97 of 1.3 on sine_demo (two modes). There, an ascent without this rule gave log Z 0.69 too low under
    "ok".

    Parameters
    ----------
    residual, spread : float
        Standard deviations of what the paraboloid leaves, and of the log-likelihood of the samples.
    """
    return residual**2 < INITIAL.most_unexplained * spread**2


def leads_nowhere(efficiencies: Sequence[float]) -> bool:
    """True if an ascent from former samples has to end, and the run starts from the prior.

    Guards against bent posteriors, where steps of a paraboloid lead on for long. Measured: on microlensing,
    30 batches do not reach the posterior, and the refinement after them does not within 19,000 calls.

    Parameters
    ----------
    efficiencies : sequence of float
        Those of the batches of the ascent.
    """
    return len(efficiencies) >= INITIAL.most_ascending and max(efficiencies) < POOLING.warm


def ess_dropped(before: Array, after: Array) -> bool:
    """True if more draws leave far fewer effective draws, so that the result has to restart.

    Guards against a proposal that is too thin somewhere, where a few draws dominate all others. The first
    batch of a result is left out if it is poor and a few of its draws dominate, for example because a mode
    has just been found. Measured: a proposal misses one of two modes of equal mass but for the 0.5 % of the
    prior. The run ends "ok" with 0.4 to 0.6 of the mass in each mode. Without the share of the prior, log Z
    is 10 errors too low.

    Parameters
    ----------
    before, after : ndarray, shapes (n,) and (n + m,)
        Log weights of the result without and with its last batch.
    """
    if not len(before):
        weights = summarise(after) if len(after) else None
        if weights is None or efficiency(after) >= POOLING.warm:
            return False
        return not (
            weights.k_hat < RELIABILITY.heavy_tail and weights.largest_share < RELIABILITY.largest_share
        )
    return effective_sample_size(after) < POOLING.lost * effective_sample_size(before)


def unreliable(log_weights: Array, n_before: int, n_left: int) -> bool:
    """True if a complete result has to restart because a few of its draws dominate.

    Guards against a region where the proposal is too thin. Its draws can train the next proposal, but their
    weights would not improve, and leaving out only the large ones would lower the evidence. The limit of
    k-hat is lower than that of the status. Measured: gw_fast, seed 2, for 2,000 effective draws ended "ok"
    with log Z 0.086 too low (4.5 errors). With this rule and the two on mass below, log Z is 0.024 too high
    (2.3 errors).

    Parameters
    ----------
    log_weights : ndarray, shape (n,)
        Log weights of the result.
    n_before : int
        Number of results that have restarted for this reason.
    n_left : int
        Likelihood calls left in the budget. They have to suffice for as many draws again.
    """
    weights = summarise(log_weights)
    stricter = replace(RELIABILITY, heavy_tail=POOLING.heavy_tail, tail_per_error=math.inf)
    sound = reliable(weights) and reliable(weights, stricter)
    return not sound and _affordable(log_weights, n_before, n_left)


def overlooks_mass(
    log_weights: Array, estimates: Sequence[float], all_draws: Evidence, n_before: int, n_left: int
) -> bool:
    """True if a result has to restart because other draws show a part that it misses.

    Guards against rounds that hit a mode with one or two draws and lose it. Measured: gw_fast, seed 2, had a
    draw of its main mode in a round (log Z 64.9 of 73.3), and ended in another mode (59.3) as "missing mass".
    With this rule log Z is 73.31, after 17,376 calls.

    Parameters
    ----------
    log_weights, n_before, n_left
        As in `unreliable`.
    estimates : sequence of float
        Estimates of log Z from each batch.
    all_draws : Evidence
        Evidence from all draws that trained proposals.
    """
    if not _affordable(log_weights, n_before, n_left):
        return False
    return contradicting_evidence(log_evidence(log_weights), estimates, all_draws) is not None


def _affordable(log_weights: Array, n_before: int, n_left: int) -> bool:
    return n_before < POOLING.most_unreliable and n_left >= len(log_weights)


def drop_inefficient_batches(ess: Sequence[float], efficiencies: Sequence[float], ess_pooled: float) -> bool:
    """True if the last batch alone has more effective draws than all together, and the others are poor.

    Guards against results with poor first refinements, whose noisy weights cost more effective draws than
    they bring: 1,000 draws at 10 % and 1,000 at 80 % are 356 effective draws together, and the second alone
    800. Measured: it happens in none of the eleven problems (seed 1), where a batch counts only if a good
    efficiency is predicted for it.

    Parameters
    ----------
    ess, efficiencies : sequence of float
        Values of each batch of the result.
    ess_pooled : float
        Effective sample size of all batches together.
    """
    if len(ess) < 2 or max(efficiencies[:-1]) >= POOLING.warm:
        return False
    return ess[-1] > ess_pooled


def drop_batches_missing_mass(former: Evidence, last: Evidence) -> bool:
    """True if the batches before the last have significantly less evidence, and are left out.

    Guards against proposals that were too thin somewhere, which their own weights do not show. By chance
    alone this happens once in 700 batches. Measured: gw_fast, seed 2, for 5,000 effective draws ended "ok"
    with log Z 0.040 too low. With this rule it is 0.009 too high (1.4 errors).
    """
    return has_more_mass(former, last, POOLING.certain)


def has_more_mass(former: Evidence, now: Evidence, n_errors: float) -> bool:
    """True if an evidence exceeds the former one by more than ``n_errors`` of their common error."""
    return now.log_evidence > former.log_evidence + n_errors * math.hypot(former.error, now.error)


def has_gained(efficiency: float, best: float, former: Evidence | None, now: Evidence) -> bool:
    """True if a refinement is more efficient than the best so far, or has found mass.

    Guards against an early end: a batch that is the first to hit a thin tail looks less efficient than
    batches that missed it. Measured: gw_fast, seed 2, ended on one of these (see `unreliable`).

    Parameters
    ----------
    efficiency, best : float
        Efficiencies of the last batch, and of the best proposal before it.
    former : Evidence, optional
        Evidence of the batch before, if it belongs to the refinement.
    """
    found = former is not None and has_more_mass(former, now, REFINEMENT.found_mass)
    return efficiency > REFINEMENT.smallest_gain * best or found


def has_stalled(n_stalls: int, n_missing: int, n_sims: int) -> bool:
    """True if too many refinements in a row have gained nothing.

    Guards against refinements without end. More of them are allowed if many draws (``n_missing``, against the
    ``n_sims`` of a round) are still to come, because a better proposal would save some of them. Measured: the
    eleven problems (seed 1) end for other reasons, after one refinement without gain at most.
    """
    few = n_missing <= REFINEMENT.few_rounds * n_sims
    return n_stalls >= REFINEMENT.most_stalls * (1 if few else REFINEMENT.patience)


def is_stuck(exponents: Sequence[float]) -> bool:
    """True if the power of the likelihood has hardly grown for many refinements.

    Guards against runs without end, if the posterior is narrower than the spacing of numbers. Measured: a
    spike 1e-150 wide ends within 10,000 calls. ``exponents`` are those of all refinements, in order.
    """
    before, since = exponents[: -REFINEMENT.most_stuck], exponents[-REFINEMENT.most_stuck :]
    return bool(before) and max(exponents) < 1.0 and max(since) < REFINEMENT.least_progress * max(before)


def no_fit_can_pay(rate: float, n_pooled: int, n_missing: int, n_at_best: int) -> bool:
    """True if even a perfect proposal would complete the result in hardly fewer draws than the best one.

    Guards against fits that take more time than the draws they save. Measured: seven of the eleven problems
    make one fit less, for the same number of calls. ``rate`` is the efficiency of the best proposal. A result
    of ``n_pooled`` draws needs ``n_missing`` more of them at it, and ``n_at_best`` at an efficiency of 1.
    """
    saving, n_drawn = n_missing - n_at_best, n_pooled + n_missing
    return rate >= REFINEMENT.least_converged and saving < REFINEMENT.least_saving * n_drawn


def loses_effective_draws(before: Array, after: Array) -> bool:
    """True if final draws leave fewer effective draws than there were, so that the refinement continues.

    Guards against a region where the proposal is too thin: one draw of large weight shows it, and the next
    fit learns from this draw. Measured: on the eleven problems (seed 1) the effective sample size grows by a
    factor of 1.3 and more with each batch, so the rule is a guard alone.

    Parameters
    ----------
    before, after : ndarray, shapes (n,) and (n + m,)
        As in `ess_dropped`.
    """
    return effective_sample_size(after) < effective_sample_size(before)


def falls_short(efficiency: float, expected: float, n_returns: int, n_missing: int, n_sims: int) -> bool:
    """True if final draws are much less efficient than expected, and a new fit may pay.

    Guards against proposals whose efficiency was overestimated from the small batch by which they were
    chosen. Measured: microlensing, seed 1, took 3.5 calls for each effective draw, from a proposal that had
    missed a tail by chance (efficiency 89 % by its own 1,200 draws, 75 % by 50,000 others).

    Parameters
    ----------
    efficiency, expected : float
        Efficiencies of the last batch, and of the batches before it from this proposal.
    n_returns : int
        Number of returns to the refinement so far.
    n_missing, n_sims : int
        Draws that would complete the result at this efficiency, and draws of a round.
    """
    poor = efficiency < POOLING.holds * expected and n_returns < POOLING.most_returns
    return poor and n_missing > n_sims
