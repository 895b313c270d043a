"""Conversion of the final state of a run to bilby's `Result`, with the fields of nested samplers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler import __version__
from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.mode_search import began_with_samples
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Problem
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.importance.reliability import (
    Verdict,
    WeightSummary,
    contradicting_evidence,
    judge,
    summarise,
)
from nbi_sampler.importance.weights import (
    Evidence,
    effective_sample_size,
    efficiency,
    equal_weight_indices,
    log_evidence,
    normalised_weights,
    whole_samples,
)
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.events import Outcome
from nbi_sampler.reports.findings import Findings, find

__all__ = ["FinishedRun", "ResultDraws", "finished_run", "in_order", "log_prior_density"]

# Rows at which densities of many rows in one call are compared with single ones.
N_COMPARED = 3


@dataclass(frozen=True, eq=False)
class ResultDraws:
    """Draws of the result, or of the result that there would be if the run ended now.

    Attributes
    ----------
    batches : tuple of Draws
        If the budget ended before there were any, they are the best batch so far.
    n_dim : int
    """

    batches: tuple[Draws, ...]
    n_dim: int

    @classmethod
    def of(cls, state: State, n_dim: int) -> ResultDraws:
        """Take the draws from the state of a run."""
        if state.final or not state.history.batches:
            return cls(state.final, n_dim)
        best = max(state.history.batches, key=lambda each: effective_sample_size(each.log_weights))
        return cls((best,), n_dim)

    @cached_property
    def log_weights(self) -> Array:
        """Log weights under the proposals of the batches, shape (n,)."""
        return np.concatenate([np.zeros(0), *(each.log_weights for each in self.batches)])

    @cached_property
    def theta(self) -> Array:
        """Parameters, shape (n, n_dim)."""
        return np.concatenate([np.zeros((0, self.n_dim)), *(each.evaluation.theta for each in self.batches)])

    @cached_property
    def log_likelihood(self) -> Array:
        """Log-likelihoods, shape (n,)."""
        return np.concatenate([np.zeros(0), *(each.log_likelihood for each in self.batches)])

    @cached_property
    def evidence(self) -> Evidence:
        """Evidence from all draws, with the error that their log ratios share."""
        value, error = log_evidence(self.log_weights)
        shared = max((each.log_ratio_error for each in self.batches), default=0.0)
        return Evidence(value, math.hypot(error, shared))

    def equal_weight_rows(self, seed: int) -> NDArray[np.intp]:
        """Draw the rows of the posterior, shape (n_rows,); the same seed gives the same rows."""
        if not np.isfinite(self.log_weights).any():
            return np.zeros(0, dtype=np.intp)
        return equal_weight_indices(self.log_weights, stage_generator(seed, "result"))


class FinishedRun(NamedTuple):
    """A finished run, for bilby, for people and for plugins.

    Attributes
    ----------
    fields : dict of str to object
        Attributes of bilby's result, except for its meta data and times. ``nested_samples`` are the weighted
        draws without those of weight zero. ``samples``, which become the posterior, are draws of equal
        weight, and their number is the effective sample size, rounded down (`equal_weight_indices`). Both are
        empty if no likelihood was finite.
    meta_data : dict of str to dict
        Entries ``"run_statistics"``, with dynesty's keys, and ``"nbi"``. The table of rounds in the latter is
        a dictionary with keys ``"0"``, ``"1"`` and so on, because bilby cannot write a list of dictionaries
        to HDF5; `meta_data.rounds_of` makes it a list.
    outcome : Outcome
    findings : Findings
        Findings about model and priors.
    """

    fields: dict[str, Any]
    meta_data: dict[str, dict[str, Any]]
    outcome: Outcome
    findings: Findings


def finished_run(
    state: State,
    problem: Problem,
    config: SnpeConfig,
    priors: PriorDict,
    seconds: float = 0.0,
    is_constant: bool = False,
) -> FinishedRun:
    """Summarise a run.

    Parameters
    ----------
    state : State
        The final state.
    problem : Problem
    config : SnpeConfig
        The seed of the run, which decides which draws become rows of equal weight.
    priors : bilby.core.prior.PriorDict
    seconds : float
        Duration of the whole run.
    is_constant : bool
        True if the likelihood is known to be constant.
    """
    assert config.seed is not None
    space = problem.evaluator.space
    draws = ResultDraws.of(state, space.n_dim)
    rows, weights = draws.equal_weight_rows(config.seed), summarise(draws.log_weights)
    findings = find(state, problem.evaluator.forward, space, priors, config.seed)
    n_distinct = len(np.unique(rows))
    n_equal = 0 if is_constant else _n_equal(state, draws)
    explored = state.count("prior") > 0 and problem.approximates
    verdict = _verdict(state, config, draws, weights, n_distinct, findings, n_equal, explored)
    trained_on = {id(each) for each in state.history.batches}
    last = tuple(each for each in draws.batches if id(each) not in trained_on) or draws.batches[-1:]
    own = {
        "status": str(verdict.status),
        "message": "; ".join([verdict.message, *findings.sentences]),
        "efficiency": efficiency(ResultDraws(last, space.n_dim).log_weights),
        "ess": weights.ess,
        "n_effective": float(config.n_effective),
        "n_distinct": n_distinct,
        "k_hat": weights.k_hat,
        "largest_weight_share": weights.largest_share,
        **findings.as_dict(),
        "n_calls": state.n_calls,
        "n_nan": sum(record.n_nan for record in state.records),
        "rounds": {str(number): record.as_dict() for number, record in enumerate(state.records)},
        "out_of_distribution": next(
            (r.out_of_distribution for r in reversed(state.records) if r.phase == "rounds"), 0.0
        ),
        "seed": config.seed,
        "tier": problem.evaluator.note,
        "versions": {"nbi_sampler": __version__, **_versions_of_packages()},
    }
    statistics = {
        "nlikelihood": state.n_calls,
        "neffsamples": whole_samples(weights.ess),
        "sampling_time_s": int(seconds),
    }
    same = ("status", "message", "ess", "efficiency", "k_hat", "n_calls")
    value, error = draws.evidence
    return FinishedRun(
        fields={**_fields(draws, rows, space, priors), "num_likelihood_evaluations": state.n_calls},
        meta_data={"run_statistics": statistics, "nbi": own},
        outcome=Outcome(log_evidence=value, log_evidence_err=error, **{name: own[name] for name in same}),
        findings=findings,
    )


def in_order(fields: dict[str, Any], names: Sequence[str], wanted: Sequence[str]) -> dict[str, Any]:
    """Change the parameters in fields of a result from the order ``names`` of the run to another order."""
    frame = fields["nested_samples"]
    others = [name for name in frame if name not in names]
    samples = fields["samples"][:, [list(names).index(name) for name in wanted]]
    return fields | {"samples": samples, "nested_samples": frame[[*wanted, *others]]}


def _fields(
    draws: ResultDraws, rows: NDArray[np.intp], space: ParameterSpace, priors: PriorDict
) -> dict[str, Any]:
    log_weights, theta, log_likelihood = draws.log_weights, draws.theta, draws.log_likelihood
    kept = np.flatnonzero(np.isfinite(log_weights))
    weights = normalised_weights(log_weights[kept]) if len(kept) else np.zeros(0)
    # Weights may underflow to zero, and bilby takes their logarithm.
    kept, weights = kept[weights > 0.0], weights[weights > 0.0]
    log_prior = np.full(len(theta), np.nan)
    log_prior[kept] = log_prior_density(theta[kept], space, priors)
    frame = pd.DataFrame(theta[kept], columns=list(space.names))
    frame["log_likelihood"] = log_likelihood[kept]
    # bilby's reweighting requires this column, and removes it before it evaluates a prior.
    frame["log_prior"] = log_prior[kept]
    frame["weights"] = weights
    value, error = draws.evidence
    # Kullback-Leibler divergence of the posterior from the prior, in nats.
    gain = float(np.sum(weights * log_likelihood[kept]) - value) if len(weights) else 0.0
    return {
        "nested_samples": frame,
        "samples": theta[rows],
        "log_likelihood_evaluations": log_likelihood[rows],
        "log_prior_evaluations": log_prior[rows],
        "log_evidence": value,
        "log_evidence_err": error,
        "information_gain": gain,
    }


@cache
def _versions_of_packages() -> dict[str, str]:
    """Versions of the packages that affect the numbers; reading them takes milliseconds."""
    return {name: version(name) for name in ("torch", "bilby", "numpy")}


def _verdict(
    state: State,
    config: SnpeConfig,
    draws: ResultDraws,
    weights: WeightSummary,
    n_distinct: int,
    findings: Findings,
    n_equal: int,
    explored: bool,
) -> Verdict:
    batches = [record.log_evidence for record in state.records]
    all_draws = log_evidence(state.history.log_weights) if state.history.batches else None
    likelihood_only = state.count("prior") > 0 and not state.count("rounds")
    return judge(
        weights,
        config.n_effective,
        state.n_calls,
        contradicting_evidence(draws.evidence, batches, all_draws),
        n_distinct=n_distinct,
        likelihood_only=likelihood_only,
        explored=explored,
        n_prior=sum(record.n_draws for record in state.records if record.phase == "prior"),
        misfit=findings.misfit,
        n_equal=n_equal if likelihood_only else 0,
        n_defending=state.history.n_from_prior if began_with_samples(state) else 0,
        adapting=not state.final and bool(state.history.batches),
    )


def _n_equal(state: State, draws: ResultDraws) -> int:
    """Number of draws if the likelihood was the same at all of them; otherwise zero."""
    batches = {id(each): each for each in (*state.history.batches, *draws.batches)}
    values = np.concatenate([np.zeros(0), *(each.log_likelihood for each in batches.values())])
    return len(values) if len(values) and np.isfinite(values).all() and np.ptp(values) == 0.0 else 0


def log_prior_density(theta: Array, space: ParameterSpace, priors: PriorDict) -> Array:
    """Log density of bilby's priors at theta within the constraints, shapes (n, n_dim) and (n,).

    It is computed for each parameter, without the indicator of constraints. ``PriorDict.ln_prob`` would
    renormalise constrained priors by random draws in bilby 2, and ignores constraints in some versions of
    bilby 3.
    """
    first = np.array([_sum_of_densities(space.row(row), space, priors) for row in theta[:N_COMPARED]])
    try:
        with np.errstate(all="ignore"):
            densities = np.asarray(_sum_of_densities(space.columns(theta), space, priors), dtype=np.float64)
    # A prior may be the user's own, and its density may accept only single numbers.
    except Exception:
        densities = np.zeros(0)
    if densities.shape == (len(theta),) and np.allclose(densities[: len(first)], first, equal_nan=True):
        return densities
    return np.array([_sum_of_densities(space.row(row), space, priors) for row in theta], dtype=np.float64)


def _sum_of_densities(parameters: Mapping[str, Any], space: ParameterSpace, priors: PriorDict) -> Any:
    total: Any = 0.0
    for name in space.names:
        needed = getattr(priors[name], "required_variables", None) or ()
        total = total + priors[name].ln_prob(parameters[name], **{key: parameters[key] for key in needed})
    return total
