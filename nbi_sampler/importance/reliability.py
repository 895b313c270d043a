"""Whether a run can be trusted: its weights measured, and a status with a remedy. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import (
    Evidence,
    effective_sample_size,
    normalised_weights,
    whole_samples,
)

__all__ = ["Status", "WeightSummary", "judge", "reliable", "summarise"]

MAY_BE_MISSED = (
    "adapted to the likelihood alone, from its values at draws from the prior: modes much narrower than "
    "others are missed without a trace, so compare runs of other seeds, or give simulator= and noise="
)

HEAVY_TAIL = 0.7
MOST_TAIL_EXCESS = 0.05
FEWEST_EFFECTIVE = 100.0
LARGEST_SHARE = 0.05
TAIL_SHARE = 0.01
LEAST_ODDS = 200.0
MOST_ERRORS = 4.0
SMALLEST_GAP = 0.03


class Status(NamedTuple):
    """Verdict on a run.

    Attributes
    ----------
    status : str
        "ok", "poor fit", "n_effective not reached", "few distinct samples", "unreliable weights",
        "missing mass" or "no finite likelihood"; the worst that applies.
    message : str
        What was found and, unless "ok", what to do about it.
    """

    status: str
    message: str


@dataclass(frozen=True)
class WeightSummary:
    """Figures of a set of weights.

    Attributes
    ----------
    n_draws : int
        Zero weights included.
    ess : float
    k_hat : float
        See `pareto.pareto_k`.
    largest_share : float
        Largest weight, of weights that sum to one.
    tail_excess : float
        Mass of the largest hundredth of the weights, beyond the hundredth that equal weights give.
    """

    n_draws: int
    ess: float
    k_hat: float
    largest_share: float
    tail_excess: float


def summarise(log_weights: NDArray[np.float64]) -> WeightSummary:
    """Measure log weights of shape (n_draws,).

    Examples
    --------
    >>> round(summarise(np.zeros(200)).largest_share, 6)
    0.005
    """
    n_draws, ess = len(log_weights), effective_sample_size(log_weights)
    if ess == 0.0:
        return WeightSummary(n_draws, 0.0, np.inf, 0.0, 0.0)
    weights = np.sort(normalised_weights(log_weights))
    n_tail = max(round(TAIL_SHARE * n_draws), 1)
    excess = float(weights[-n_tail:].sum()) - n_tail / n_draws
    return WeightSummary(n_draws, ess, pareto_k(log_weights), float(weights[-1]), excess)


def reliable(weights: WeightSummary) -> bool:
    """Whether the error that weights give can be believed: no heavy tail (k-hat above 0.7) that carries mass.

    With an efficiency near one the shape of the tail is that of negligible differences. Hence the largest
    hundredth of the weights must also hold more than 0.05 of the mass beyond its fair share.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), JMLR 25(72), for the bound on k-hat.
    """
    return weights.k_hat <= HEAVY_TAIL or weights.tail_excess <= MOST_TAIL_EXCESS


def contradicting_evidence(
    result: Evidence, batches: Sequence[float], all_draws: Evidence | None
) -> float | None:
    r"""Find an estimate of log Z that the result's own is too low to agree with.

    Two checks. Every batch gives, by its own weights, an unbiased estimate of Z that is never negative, so by
    Markov's inequality it exceeds t Z with a probability of at most 1 / t: an estimate far above the result
    shows mass that the result's draws have missed, however few draws it rests on. And the estimate from all
    draws under the mixture of all proposals, biased low as it is, must not lie many errors above.

    Parameters
    ----------
    result : Evidence
    batches : sequence of float
        Estimates of log Z, one from each batch of the run.
    all_draws : Evidence or None
        From all draws under the mixture of their proposals.

    Returns
    -------
    float or None
        The contradicting log Z.

    Examples
    --------
    >>> contradicting_evidence(Evidence(-25.0, 0.02), [-6.9, -24.9], None)
    -6.9
    """
    if not batches or result.log_evidence == -math.inf:
        return None
    highest = max(batches)
    if highest - result.log_evidence > math.log(LEAST_ODDS * len(batches)):
        return highest
    if all_draws is not None and math.isfinite(all_draws.error):
        gap = all_draws.log_evidence - result.log_evidence
        if gap > MOST_ERRORS * math.hypot(all_draws.error, result.error) + SMALLEST_GAP:
            return all_draws.log_evidence
    return None


def judge(
    weights: WeightSummary,
    n_effective: float,
    n_calls: int,
    contradiction: float | None = None,
    *,
    n_distinct: int | None = None,
    likelihood_only: bool = False,
    misfit: str | None = None,
    n_prior: int = 0,
) -> Status:
    """Give the worst status that applies.

    Parameters
    ----------
    weights : WeightSummary
        Of the draws of the result.
    n_effective : float
        What was asked for.
    n_calls : int
        Likelihood calls of the run.
    contradiction : float, optional
        See `contradicting_evidence`.
    n_distinct : int, optional
        Distinct draws among the rows of the posterior, of which there are as many as effective samples.
    likelihood_only : bool
        Whether there were no simulations to find modes with; what may be missed is then said even where
        nothing speaks against the result.
    misfit : str, optional
        What shows that the model does not fit the data, in words.
    n_prior : int
        Draws from the prior in which the modes were looked for.

    Returns
    -------
    Status
    """
    # Rounded down as the rows are, so that 99.7 effective samples are not said to be 100.
    n_rows = whole_samples(weights.ess)
    found = f"{n_rows:,} of {n_effective:,.0f} effective samples from {n_calls:,} likelihood calls"
    if n_distinct is not None:
        found += f"; the posterior has {n_rows:,} rows, {n_distinct:,} of them distinct"
    if weights.ess == 0.0:
        return Status(
            "no finite likelihood",
            f"log L was -inf or NaN at all of {n_calls:,} likelihood calls; check likelihood and data at a "
            "parameter set that should fit, and narrow the priors to where the model exists",
        )
    if contradiction is not None:
        return Status(
            "missing mass",
            f"other draws of this run give log Z = {contradiction:.2f}, more than its result allows for: a "
            "part of the posterior is all but missed; raise n_sims, and compare runs of other seeds",
        )
    if not reliable(weights):
        return Status(
            "unreliable weights",
            f"k-hat is {weights.k_hat:.2f} (above {HEAVY_TAIL}) and a few weights dominate ({found}), so the "
            "error of log Z is not to be trusted; raise max_likelihood_calls, n_rounds or "
            "n_sims, set periodic boundaries where they belong, or try flow='nsf'",
        )
    too_few = _too_few(weights, n_effective, found)
    if too_few is not None:
        return too_few._replace(message=f"{too_few.message}; {misfit}") if misfit else too_few
    if misfit is not None:
        return Status(
            "poor fit",
            f"{misfit}; samples and evidence are right for this model and these priors, but check the ranges "
            f"of the priors, the model and the size of the noise ({found})",
        )
    return Status("ok", f"{found}; {may_be_missed(n_prior)}" if likelihood_only else found)


def may_be_missed(n_prior: int) -> str:
    """What a run cannot have seen that has looked for modes in draws from the prior alone.

    Parameters
    ----------
    n_prior : int
        Independent draws. A region with a share s of the prior has none of them with a probability of
        (1 - s) to the power of ``n_prior``.

    Examples
    --------
    >>> "more than 0.015 % of it" in may_be_missed(20_000)
    True
    """
    if not n_prior:
        return MAY_BE_MISSED
    share = 100.0 * -math.expm1(math.log(0.05) / n_prior)
    return (
        f"{MAY_BE_MISSED}. Of {n_prior:,} draws from the prior one at least is in any region that holds more "
        f"than {share:.2g} % of it, with 95 % probability; a mode in less may have been missed"
    )


def _too_few(weights: WeightSummary, n_effective: float, found: str) -> Status | None:
    """Where all is well but for the number of samples, what to say of it."""
    if weights.ess < FEWEST_EFFECTIVE or weights.largest_share > LARGEST_SHARE:
        return Status(
            "few distinct samples",
            f"{found}, the largest weight holds {weights.largest_share:.1%}; raise n_effective to "
            f"{FEWEST_EFFECTIVE:.0f} or more, and max_likelihood_calls if it is set",
        )
    if weights.ess < n_effective:
        return Status(
            "n_effective not reached",
            f"{found}; the samples are valid but fewer than asked: raise max_likelihood_calls, or lower "
            "n_effective",
        )
    return None
