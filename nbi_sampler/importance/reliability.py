"""Reliability of a result: figures of its weights, and a status with a remedy.

CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.config import RELIABILITY, ReliabilityConfig
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.importance.weights import (
    Evidence,
    effective_sample_size,
    normalised_weights,
    whole_samples,
)

__all__ = [
    "FINISHED",
    "Status",
    "Verdict",
    "WeightSummary",
    "judge",
    "negligible_excess",
    "reliable",
    "summarise",
]


class Status(str, Enum):
    """Statuses of a result, from harmless to severe; the value of each is its text in files and comparisons.

    Attributes
    ----------
    remedy : str
        Advice after a run.
    remedy_of_model : str
        Advice if the draws come from a trained model alone. The default is the advice after a run.

    Examples
    --------
    >>> Status.POOR_FIT == "poor fit", f"{Status.POOR_FIT}", Status("ok").severity
    (True, 'poor fit', 0)
    """

    remedy: str
    remedy_of_model: str

    OK = "ok", "use samples and evidence"
    POOR_FIT = "poor fit", "check the ranges of the priors, the model and the size of the noise"
    N_EFFECTIVE_NOT_REACHED = (
        "n_effective not reached",
        "raise max_likelihood_calls, or lower n_effective",
    )
    FEW_DISTINCT_SAMPLES = (
        "few distinct samples",
        f"raise n_effective to {RELIABILITY.fewest_effective:.0f} or more, and max_likelihood_calls if it is "
        "set",
        "raise n_samples, or train on more simulations",
    )
    UNRELIABLE_WEIGHTS = (
        "unreliable weights",
        "raise max_likelihood_calls, n_rounds or n_sims, set periodic boundaries where they belong, or try "
        "flow='nsf'",
        "a few weights dominate, and error bars cannot be trusted; train on more simulations, or run the "
        "sampler from this model",
    )
    MISSING_MASS = "missing mass", "raise n_sims, and compare runs with other seeds"
    NO_FINITE_LIKELIHOOD = (
        "no finite likelihood",
        "check likelihood and data at a parameter set that should fit, and narrow the priors to where the "
        "model exists",
        "log L is -inf or NaN at every draw; check the data and the simulator",
    )
    FAILED = "failed", "see the error in the message; infer_many will run the target again"
    INTERRUPTED = "interrupted", "start the same run again to continue from its checkpoint"

    def __new__(cls, text: str, remedy: str, remedy_of_model: str = "") -> Status:
        """Make the member with this text."""
        member = str.__new__(cls, text)
        member._value_ = text
        member.remedy, member.remedy_of_model = remedy, remedy_of_model or remedy
        return member

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return repr(self.value)

    def __reduce_ex__(self, protocol: object) -> tuple[type[str], tuple[str]]:
        # Files store the text, so that any version can read the files of any other.
        return str, (str(self.value),)

    @property
    def severity(self) -> int:
        """Rank from harmless to severe; 0 is "ok"."""
        return list(Status).index(self)


# Statuses of runs that reached their target; more draws would not improve the fit.
FINISHED = (Status.OK, Status.POOR_FIT)


class Verdict(NamedTuple):
    """Status of a result.

    Attributes
    ----------
    status : Status
        The most severe one that applies.
    message : str
        What was found and, unless the status is "ok", the remedy.
    """

    status: Status
    message: str


@dataclass(frozen=True)
class WeightSummary:
    """Figures that describe a set of weights.

    Attributes
    ----------
    n_draws : int
        Includes draws with zero weight.
    ess : float
    k_hat : float
        See `pareto.pareto_k`.
    largest_share : float
        Largest weight if the weights sum to one.
    tail_excess : float
        Mass of the largest hundredth of the weights, minus the hundredth that it would hold with equal
        weights.
    """

    n_draws: int
    ess: float
    k_hat: float
    largest_share: float
    tail_excess: float


def summarise(log_weights: NDArray[np.float64]) -> WeightSummary:
    """Compute the figures of log weights, shape (n_draws,).

    Examples
    --------
    >>> round(summarise(np.zeros(200)).largest_share, 6)
    0.005
    """
    n_draws, ess = len(log_weights), effective_sample_size(log_weights)
    if ess == 0.0:
        return WeightSummary(n_draws, 0.0, np.inf, 0.0, 0.0)
    weights = np.sort(normalised_weights(log_weights))
    n_tail = max(round(RELIABILITY.tail_share * n_draws), 1)
    excess = float(weights[-n_tail:].sum()) - n_tail / n_draws
    return WeightSummary(n_draws, ess, pareto_k(log_weights), float(weights[-1]), excess)


def reliable(weights: WeightSummary, limits: ReliabilityConfig = RELIABILITY) -> bool:
    """True if the errors from the weights can be trusted, because no heavy tail carries mass.

    With an efficiency near one, the tail is made of negligible differences. So k-hat counts only if the
    largest weights also hold more mass than their share, by more than `negligible_excess`.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry (2024), JMLR 25(72), for the bound on k-hat.
    """
    return weights.k_hat <= limits.heavy_tail or weights.tail_excess <= negligible_excess(weights, limits)


def negligible_excess(weights: WeightSummary, limits: ReliabilityConfig = RELIABILITY) -> float:
    """Excess mass of the largest weights that does not change a conclusion, whatever k-hat is.

    Examples
    --------
    >>> round(negligible_excess(summarise(np.zeros(10_000))), 6)
    0.0125
    """
    if not weights.ess:
        return limits.most_tail_excess
    return min(limits.most_tail_excess, limits.tail_per_error / math.sqrt(weights.ess))


def contradicting_evidence(
    result: Evidence,
    batches: Sequence[float],
    all_draws: Evidence | None,
) -> float | None:
    r"""Find an estimate of log Z that disagrees with the result because the result's own is too low.

    There are two checks. First, the weights of every batch give an unbiased estimate of Z that is never
    negative. By Markov's inequality it exceeds t Z with a probability of at most 1 / t. An estimate far above
    the result therefore shows that the result's draws have missed mass, even if it rests on few draws.
    Second, the estimate from all draws under the mixture of all proposals, which is biased low, must not
    exceed the result by many errors.

    Parameters
    ----------
    result : Evidence
    batches : sequence of float
        Estimates of log Z, one for each batch of the run.
    all_draws : Evidence or None
        Estimate from all draws under the mixture of their proposals.

    Returns
    -------
    float or None
        The estimate that disagrees.

    Examples
    --------
    >>> contradicting_evidence(Evidence(-25.0, 0.02), [-6.9, -24.9], None)
    -6.9
    """
    if not batches or result.log_evidence == -math.inf:
        return None
    highest = max(batches)
    if highest - result.log_evidence > math.log(RELIABILITY.least_odds * len(batches)):
        return highest
    if all_draws is not None and math.isfinite(all_draws.error):
        gap = all_draws.log_evidence - result.log_evidence
        error = math.hypot(all_draws.error, result.error)
        if gap > RELIABILITY.most_errors * error + RELIABILITY.smallest_gap:
            return all_draws.log_evidence
    return None


PLACED = (
    "modes were found by walkers in an approximation of the likelihood: there is no sign of a mode that they "
    "missed, so compare runs with other seeds"
)


def judge(
    weights: WeightSummary,
    n_effective: float,
    n_calls: int,
    contradiction: float | None = None,
    *,
    n_distinct: int | None = None,
    likelihood_only: bool = False,
    explored: bool = False,
    misfit: str | None = None,
    n_prior: int = 0,
    n_equal: int = 0,
    n_defending: int = 0,
    adapting: bool = False,
    limits: ReliabilityConfig = RELIABILITY,
) -> Verdict:
    """Return the most severe status that applies.

    Parameters
    ----------
    weights : WeightSummary
        Weights of the draws of the result.
    n_effective : float
        Required effective sample size.
    n_calls : int
        Number of likelihood calls of the run.
    contradiction : float, optional
        See `contradicting_evidence`.
    n_distinct : int, optional
        Number of distinct draws among the rows of the posterior. There are as many rows as effective samples.
    likelihood_only : bool
        True if the run had no simulations to find modes with. The message then says what may be missed, even
        if the status is "ok".
    explored : bool
        True if walkers in an approximation of the likelihood found the modes of such a run.
    misfit : str, optional
        Description of the evidence that the model does not fit the data.
    n_prior : int
        Number of draws from the prior in which the run looked for modes.
    n_equal : int
        Number of draws if a run without simulations found the same likelihood at all of them; otherwise zero.
        Such a run would miss any higher likelihood, and the weights would not show it.
    n_defending : int
        Draws from the prior in a run that began with samples of a former posterior; otherwise zero.
    adapting : bool
        True if the budget ended before the run drew a result. The result is then the best batch by its
        weights.
    limits : ReliabilityConfig
    """
    # Rounded down like the rows, so that 99.7 effective samples are not reported as 100.
    n_rows = whole_samples(weights.ess)
    found = f"{n_rows:,} of {n_effective:,.0f} effective samples from {n_calls:,} likelihood calls"
    if n_distinct is not None:
        found += f"; the posterior has {n_rows:,} rows, {n_distinct:,} of them distinct"
    also = f"; {misfit}" if misfit else ""
    assumed = f"; {PLACED}" if explored else f"; {may_be_missed(n_prior)}" if likelihood_only else ""
    lacking = f"; {may_be_lacking(n_defending)}" if n_defending else ""
    said: dict[Status, str] = {Status.OK: found + assumed + lacking}
    if misfit is not None:
        said[Status.POOR_FIT] = (
            f"{misfit}; samples and evidence are right for this model and these priors, but "
            f"{Status.POOR_FIT.remedy} ({found}){lacking}"
        )
    said |= _faults_of_weights(weights, n_effective, found, also, adapting, limits)
    if contradiction is not None:
        said[Status.MISSING_MASS] = (
            f"other draws of this run give log Z = {contradiction:.2f}, which is too high for its result: a "
            f"part of the posterior is almost missed; {Status.MISSING_MASS.remedy}"
        )
    if n_equal and contradiction is None:
        said[Status.MISSING_MASS] = _constant_at(n_equal)
    if weights.ess == 0.0:
        status = Status.NO_FINITE_LIKELIHOOD
        said[status] = f"log L was -inf or NaN at all of {n_calls:,} likelihood calls; {status.remedy}"
    worst = max(said, key=lambda status: status.severity)
    return Verdict(worst, said[worst])


def _faults_of_weights(
    weights: WeightSummary,
    n_effective: float,
    found: str,
    also: str,
    adapting: bool,
    limits: ReliabilityConfig,
) -> dict[Status, str]:
    """Statuses that the weights alone give, with their messages."""
    said: dict[Status, str] = {}
    if weights.ess < n_effective:
        status = Status.N_EFFECTIVE_NOT_REACHED
        valid = (
            "the budget ended while proposals were adapting, and this is the best batch by its weights, from "
            "which whole modes may be missing"
            if adapting
            else "the samples are valid but fewer than required"
        )
        said[status] = f"{found}; {valid}: {status.remedy}{also}"
    if weights.ess < limits.fewest_effective or weights.largest_share > limits.largest_share:
        status = Status.FEW_DISTINCT_SAMPLES
        said[status] = f"{found}, the largest weight holds {weights.largest_share:.1%}; {status.remedy}{also}"
    if not reliable(weights, limits):
        said[Status.UNRELIABLE_WEIGHTS] = (
            f"k-hat is {weights.k_hat:.2f} (above {limits.heavy_tail}) and a few weights dominate ({found}), "
            f"so the error of log Z is not to be trusted; {Status.UNRELIABLE_WEIGHTS.remedy}"
        )
    return said


def _constant_at(n_equal: int) -> str:
    return (
        f"log L is the same at all of {n_equal:,} draws, so nothing shows where it may be higher: less "
        f"than {_least_seen(n_equal):.2g} % of the prior may hold all of the evidence; unless log L is "
        f"constant, {Status.MISSING_MASS.remedy}"
    )


def may_be_missed(n_prior: int) -> str:
    """Describe what a run may have missed that found its modes in draws from the prior alone.

    Parameters
    ----------
    n_prior : int
        Number of independent draws. A region with a share s of the prior contains none of them with
        probability (1 - s) to the power of ``n_prior``.

    Examples
    --------
    >>> "more than 0.015 % of it" in may_be_missed(20_000)
    True
    """
    said = (
        "the run learned from the likelihood alone, at draws from the prior: it can miss a mode much "
        "narrower than the rest of the posterior without any sign, so compare runs with other seeds, or pass "
        "simulator= and noise="
    )
    if not n_prior:
        return said
    return (
        f"{said}. With 95 % probability, at least one of the {n_prior:,} draws from the prior lies in any "
        f"region that holds more than {_least_seen(n_prior):.2g} % of it; a mode in a smaller region may "
        "have been missed"
    )


def may_be_lacking(n_prior: int) -> str:
    """Describe what a run assumes that began with samples of a former posterior.

    Parameters
    ----------
    n_prior : int
        Number of draws from the prior; see `may_be_missed`.

    Examples
    --------
    >>> "more than 0.6 % of it" in may_be_lacking(500)
    True
    """
    return (
        "the run began with samples of a former posterior, and assumes that they contain every narrow mode: "
        f"with 95 % probability, at least one of the {n_prior:,} draws from the prior lies in any region "
        f"that holds more than {_least_seen(n_prior):.2g} % of it; a mode in a smaller region that the "
        "samples lack may have been missed, so compare a run without initial_result="
    )


def _least_seen(n_prior: int) -> float:
    """Smallest share of the prior, in per cent, that contains one of these draws with 95 % probability."""
    return 100.0 * -math.expm1(math.log(0.05) / n_prior)
