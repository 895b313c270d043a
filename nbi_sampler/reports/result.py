"""From the final state of a run to bilby's `Result`, as nested samplers fill it.

`result_fields` gives plain values, which the sampler sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from bilby.core.prior import PriorDict
from numpy.typing import NDArray

from nbi_sampler import __version__
from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.state import State
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.importance.reliability import contradicting_evidence, judge, summarise
from nbi_sampler.importance.weights import (
    effective_sample_size,
    efficiency,
    equal_weight_indices,
    log_evidence,
    normalised_weights,
    whole_samples,
)
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.findings import Findings

__all__ = ["in_order", "log_prior_density", "result_fields", "run_summary", "weighted_draws"]

Array = NDArray[np.float64]

N_COMPARED = 3


def result_fields(state: State, space: ParameterSpace, priors: PriorDict, seed: int) -> dict[str, Any]:
    """Attributes of bilby's result, but for its meta data and times.

    Parameters
    ----------
    state : State
        Of a run that has ended.
    space : ParameterSpace
    priors : bilby.core.prior.PriorDict
    seed : int
        Of the run; decides which draws become rows of equal weight.

    Returns
    -------
    dict
        ``nested_samples`` are the weighted draws, those of weight zero left out; ``samples``, which become
        the posterior, are as many rows of equal weight as the effective sample size, rounded down
        (`equal_weight_indices`). Both are empty when no likelihood was finite.
    """
    draws = _result_draws(state)
    log_weights, theta, log_likelihood = _joined(draws, space.n_dim)
    evidence = log_evidence(log_weights)
    kept = np.flatnonzero(np.isfinite(log_weights))
    weights = normalised_weights(log_weights[kept]) if len(kept) else np.zeros(0)
    # Weights may underflow to zero, and bilby takes their logarithm.
    kept, weights = kept[weights > 0.0], weights[weights > 0.0]
    log_prior = np.full(len(theta), np.nan)
    log_prior[kept] = log_prior_density(theta[kept], space, priors)
    frame = pd.DataFrame(theta[kept], columns=list(space.names))
    frame["log_likelihood"] = log_likelihood[kept]
    # bilby's reweighting wants this column and takes it out before it evaluates a prior.
    frame["log_prior"] = log_prior[kept]
    frame["weights"] = weights
    equal = _rows_of_equal_weight(log_weights, seed)
    return {
        "nested_samples": frame,
        "samples": theta[equal],
        "log_likelihood_evaluations": log_likelihood[equal],
        "log_prior_evaluations": log_prior[equal],
        "log_evidence": evidence.log_evidence,
        "log_evidence_err": evidence.error,
        "information_gain": _information_gain(log_likelihood[kept], weights, evidence.log_evidence),
        "num_likelihood_evaluations": state.n_calls,
    }


def in_order(fields: dict[str, Any], names: Sequence[str], asked: Sequence[str]) -> dict[str, Any]:
    """The fields of `result_fields` with the parameters in another order.

    Parameters
    ----------
    fields : dict of str to object
    names : sequence of str
        The parameters in the order of the run.
    asked : sequence of str
        The same in the order of the result.
    """
    frame = fields["nested_samples"]
    others = [name for name in frame if name not in names]
    samples = fields["samples"][:, [list(names).index(name) for name in asked]]
    return fields | {"samples": samples, "nested_samples": frame[[*asked, *others]]}


def run_summary(
    state: State,
    config: SnpeConfig,
    n_dim: int,
    note: str,
    seconds: float,
    findings: Findings | None = None,
) -> dict[str, dict[str, Any]]:
    """Entries of the result's meta data: ``"run_statistics"``, with dynesty's keys, and ``"nbi"``.

    Parameters
    ----------
    state : State
    config : SnpeConfig
    n_dim : int
    note : str
        How the likelihood is called.
    seconds : float
        Of the whole run.
    findings : Findings, optional
        What the result says of model and priors.

    Returns
    -------
    dict of str to dict
        The table of rounds is a dictionary with keys ``"0"``, ``"1"`` and so on, because bilby cannot write a
        list of dictionaries to HDF5; `meta_data.rounds_of` makes it a list.
    """
    draws = _result_draws(state)
    assert config.seed is not None
    log_weights = _joined(draws, n_dim)[0]
    weights = summarise(log_weights)
    n_distinct = len(np.unique(_rows_of_equal_weight(log_weights, config.seed)))
    findings = findings or Findings()
    status, message = judge(
        weights,
        config.n_effective,
        state.n_calls,
        _contradiction(state, draws, n_dim),
        n_distinct=n_distinct,
        likelihood_only=state.count("prior") > 0 and not state.count("rounds"),
        n_prior=sum(record.n_draws for record in state.records if record.phase == "prior"),
        misfit=findings.misfit,
    )
    trained_on = {id(each) for each in state.history.batches}
    last = tuple(each for each in draws if id(each) not in trained_on) or draws[-1:]
    statistics = {
        "nlikelihood": state.n_calls,
        "neffsamples": whole_samples(weights.ess),
        "sampling_time_s": int(seconds),
    }
    own = {
        "status": status,
        "message": "; ".join([message, *findings.sentences]),
        "efficiency": efficiency(_joined(last, n_dim)[0]),
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
        "tier": note,
        "versions": {
            "nbi_sampler": __version__,
            **{name: version(name) for name in ("torch", "bilby", "numpy")},
        },
    }
    return {"run_statistics": statistics, "nbi": own}


def _rows_of_equal_weight(log_weights: Array, seed: int) -> NDArray[np.intp]:
    """Draws that are the rows of the posterior, shape (n_rows,): the same for the same seed."""
    if not np.isfinite(log_weights).any():
        return np.zeros(0, dtype=np.intp)
    return equal_weight_indices(log_weights, stage_generator(seed, "result"))


def _contradiction(state: State, draws: tuple[Draws, ...], n_dim: int) -> float | None:
    """See `reliability.contradicting_evidence`."""
    batches = [record.log_evidence for record in state.records]
    all_draws = log_evidence(state.history.log_weights) if state.history.batches else None
    return contradicting_evidence(log_evidence(_joined(draws, n_dim)[0]), batches, all_draws)


def log_prior_density(theta: Array, space: ParameterSpace, priors: PriorDict) -> Array:
    """Log density of bilby's priors at theta of shape (n, n_dim), without the indicator of constraints.

    Parameter by parameter, because ``PriorDict.ln_prob`` renormalises constrained priors by random draws in
    bilby 2 and forgets constraints in some versions of bilby 3.

    Parameters
    ----------
    theta : ndarray, shape (n, n_dim)
        Within the constraints.
    space : ParameterSpace
    priors : bilby.core.prior.PriorDict

    Returns
    -------
    ndarray, shape (n,)
    """
    first = np.array([_sum_of_densities(space.row(row), space, priors) for row in theta[:N_COMPARED]])
    try:
        with np.errstate(all="ignore"):
            densities = np.asarray(_sum_of_densities(space.columns(theta), space, priors), dtype=np.float64)
    # A prior may be the user's own, and its density may take one number at a time.
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


def weighted_draws(state: State, n_dim: int) -> tuple[Array, Array]:
    """Log weights and parameters of the draws that a result would have now, shapes (n,) and (n, n_dim).

    Parameters
    ----------
    state : State
        Of a run that may still go on.
    n_dim : int
    """
    log_weights, theta, _ = _joined(_result_draws(state), n_dim)
    return log_weights, theta


def _result_draws(state: State) -> tuple[Draws, ...]:
    """Draws of the result; where the budget ended before there were any, the best batch so far."""
    if state.final or not state.history.batches:
        return state.final
    return (max(state.history.batches, key=lambda each: effective_sample_size(each.log_weights)),)


def _joined(draws: tuple[Draws, ...], n_dim: int) -> tuple[Array, Array, Array]:
    """Log weights, parameters and log-likelihoods, shapes (n,), (n, n_dim) and (n,)."""
    if not draws:
        return np.zeros(0), np.zeros((0, n_dim)), np.zeros(0)
    return (
        np.concatenate([each.log_weights for each in draws]),
        np.concatenate([each.evaluation.theta for each in draws]),
        np.concatenate([each.log_likelihood for each in draws]),
    )


def _information_gain(log_likelihood: Array, weights: Array, log_z: float) -> float:
    """Kullback-Leibler divergence of the posterior from the prior, in nats."""
    return float(np.sum(weights * log_likelihood) - log_z) if len(weights) else 0.0
