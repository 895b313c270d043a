"""Exact answers from proposals: draws, weights by the likelihood, evidence and a verdict for every target.

The importance sampler of the sampler, for many targets at once; simulations for several of them are made
together. Called by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.amortised.noise import Observation
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.proposals.proposal import Proposal
from nbi_sampler.randomness import stage_generator
from nbi_sampler.reporting.status import judge, summarise
from nbi_sampler.statistics.importance import log_evidence, normalised_weights

__all__ = ["Inference", "LogLikelihood", "infer"]

Array = NDArray[np.float64]
LogLikelihood = Callable[[Array, Array, Observation], ArrayLike]

# Numbers of simulated data held at a time.
MOST_NUMBERS = 5_000_000

_REMEDIES = {
    "no finite likelihood": "log L is -inf or NaN at every draw; check the data and the simulator",
    "unreliable weights": "a few weights dominate, and error bars cannot be trusted; train on more "
    "simulations, or run the sampler from this model",
    "few distinct samples": "raise n_samples, or train on more simulations",
}


@dataclass(frozen=True)
class Inference:
    """The posterior of one target.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    samples : ndarray, shape (n_samples, n_dim)
    weights : ndarray, shape (n_samples,)
        Summing to 1; NaN where no likelihood was finite.
    log_likelihood : ndarray, shape (n_samples,)
    log_weights : ndarray, shape (n_samples,)
        ``log L + log prior - log q``.
    log_evidence, log_evidence_err : float
    ess, efficiency, k_hat : float
    p_value : float
        Chance that a simulation is as unlike the others as the data are.
    status : str
        "ok", "few distinct samples", "unreliable weights" or "no finite likelihood".
    message : str
        What to do about it.
    """

    names: tuple[str, ...]
    samples: Array
    weights: Array
    log_likelihood: Array
    log_weights: Array
    log_evidence: float
    log_evidence_err: float
    ess: float
    efficiency: float
    k_hat: float
    p_value: float
    status: str
    message: str


def infer(
    proposals: Sequence[Proposal],
    observations: Sequence[Observation],
    p_values: Array,
    evaluator: Evaluator,
    log_likelihood: LogLikelihood,
    n_samples: int,
    entropy: int,
    on_target: Callable[[], None] | None = None,
) -> list[Inference]:
    """Draw from every proposal, simulate, weigh.

    Parameters
    ----------
    proposals : sequence of Proposal
    observations : sequence of Observation
        Data of the targets.
    p_values : ndarray, shape (n_targets,)
    evaluator : Evaluator
        Whose predictions are simulations.
    log_likelihood : callable
        ``(x, y, observation) -> ndarray, shape (n,)`` with simulations x, shape (n, n_data), of parameters y,
        shape (n, n_dim).
    n_samples : int
        For each target.
    entropy : int
        Seed.
    on_target : callable, optional
        Called after every target.
    """
    results = []
    for group in _groups(len(proposals), n_samples, evaluator):
        rngs = [stage_generator(entropy, "predict", i) for i in group]
        z = [proposals[i].sample(n_samples, rng) for i, rng in zip(group, rngs, strict=True)]
        made = evaluator(np.concatenate(z))
        assert made.predictions is not None
        for k, i in enumerate(group):
            rows = slice(k * n_samples, (k + 1) * n_samples)
            theta = made.theta[rows]
            log_l = _checked(log_likelihood(made.predictions[rows], theta, observations[i]), n_samples)
            # Draws that violate a constraint are not simulated.
            log_l[np.isnan(log_l) | ~np.isfinite(made.log_likelihood[rows])] = -np.inf
            log_ratio = proposals[i].log_ratio(z[k])
            results.append(_judged(evaluator.space.names, theta, log_l, log_ratio, float(p_values[i])))
            if on_target is not None:
                on_target()
    return results


def _groups(n_targets: int, n_samples: int, evaluator: Evaluator) -> Iterator[range]:
    """Targets whose simulations are made together."""
    assert evaluator.forward is not None
    size = max(1, MOST_NUMBERS // (n_samples * max(len(evaluator.forward.observed), 1)))
    for first in range(0, n_targets, size):
        yield range(first, min(first + size, n_targets))


def _checked(values: ArrayLike, n: int) -> Array:
    log_l = np.array(values, dtype=float)
    if log_l.shape != (n,):
        raise ValueError(f"log_likelihood: expected a value for each of {n} draws, got shape {log_l.shape}")
    if (log_l == np.inf).any():
        raise ValueError(
            "log_likelihood: expected finite values or -inf, got +inf; look for a division by zero"
        )
    return log_l


def _judged(
    names: tuple[str, ...], theta: Array, log_l: Array, log_ratio: Array, p_value: float
) -> Inference:
    log_weights = log_l - log_ratio
    found = summarise(log_weights)
    evidence = log_evidence(log_weights)
    status = judge(found, 0.0, len(theta)).status
    weights = normalised_weights(log_weights) if found.ess else np.full(len(theta), np.nan)
    return Inference(
        names=names,
        samples=theta,
        weights=weights,
        log_likelihood=log_l,
        log_weights=log_weights,
        log_evidence=evidence.log_evidence,
        log_evidence_err=evidence.error,
        ess=found.ess,
        efficiency=found.ess / len(theta),
        k_hat=found.k_hat,
        p_value=p_value,
        status=status,
        message=_REMEDIES.get(status, ""),
    )
