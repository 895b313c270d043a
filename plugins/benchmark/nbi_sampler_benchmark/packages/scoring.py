"""Scores of a learnt posterior: its density at held-out parameters, and the weights of its draws.

Densities are relative to the prior, so that they do not depend on the coordinates of a package.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.importance.weights import effective_sample_size, log_evidence
from nbi_sampler_benchmark.packages.inside.worker import Answer, Task
from nbi_sampler_benchmark.packages.simulations import SimulatedProblem, Simulations

__all__ = ["held_out_log_q", "make_task", "score"]

Array = NDArray[np.float64]


def make_task(
    simulated: SimulatedProblem,
    training: Simulations,
    held_out: Simulations,
    *,
    n_targets: int,
    n_draws: int,
    latent: bool,
    seed: int,
) -> Task:
    """Make the input of a package.

    Parameters
    ----------
    simulated : SimulatedProblem
    training, held_out : Simulations
        The targets are the first held-out data, followed by the problem's own.
    n_targets, n_draws : int
        Number of held-out targets, and of draws for each.
    latent : bool
        Whether parameters are passed as z.
    seed : int
    """
    return Task(
        theta=training.z if latent else training.theta,
        x=training.x,
        predictions=training.predictions,
        sigma=training.sigma,
        held_out_theta=held_out.z if latent else held_out.theta,
        held_out_x=held_out.x,
        targets=np.concatenate([held_out.x[:n_targets], simulated.observed[None]]),
        n_draws=np.array(n_draws),
        seed=np.array(seed),
    )


def held_out_log_q(simulated: SimulatedProblem, held_out: Simulations, answer: Answer, latent: bool) -> Array:
    r"""Log density of held-out parameters at their data, shape (m,), for any coordinates of the answer.

    .. math:: \log q(\theta | x) = \log q(z | x) - \log N(z; 0, I) + \log p(\theta)
    """
    if not latent:
        return answer.held_out_log_q
    return answer.held_out_log_q - log_normal(held_out.z) + simulated.log_prior(held_out.theta)


def score(
    simulated: SimulatedProblem, held_out: Simulations, answer: Answer, task: Task, latent: bool
) -> dict[str, Any]:
    """Figures of one package.

    Parameters
    ----------
    simulated : SimulatedProblem
    held_out : Simulations
    answer : Answer
    task : Task
    latent : bool
        Whether task and answer use z.

    Returns
    -------
    dict
        ``nll``, mean of -log q(theta | x) in the parameters, and its standard error; ``gain``, mean of log q
        minus log prior; median and quartiles of the ``efficiency`` of the targets over all draws;
        ``outside``, share of draws outside of the prior, which cost no call; ``ess_per_call``, median of the
        targets; and for the problem's own data ``own_efficiency``, ``own_log_evidence`` and its error.
    """
    log_q = held_out_log_q(simulated, held_out, answer, latent)
    gain = log_q - simulated.log_prior(held_out.theta)
    weighed = [
        _log_weights(simulated, x, draws, densities, latent)
        for x, draws, densities in zip(task.targets, answer.draws, answer.draws_log_q, strict=True)
    ]
    n_draws = int(task.n_draws)
    ess = np.array([effective_sample_size(log_weights) for log_weights, _ in weighed])
    calls = np.array([n for _, n in weighed])
    efficiency = ess[:-1] / n_draws
    lower, median, upper = (float(value) for value in np.quantile(efficiency, [0.25, 0.5, 0.75]))
    own = log_evidence(weighed[-1][0])
    return {
        "nll": float(-log_q.mean()),
        "nll_err": float(log_q.std(ddof=1) / math.sqrt(len(log_q))),
        "gain": float(gain.mean()),
        "efficiency": median,
        "efficiency_quartiles": [lower, upper],
        "outside": float(1.0 - calls[:-1].sum() / (n_draws * len(efficiency))),
        "ess_per_call": float(np.median(ess[:-1] / np.maximum(calls[:-1], 1))),
        "own_efficiency": float(ess[-1] / n_draws),
        "own_log_evidence": own.log_evidence,
        "own_log_evidence_err": own.error,
    }


def _log_weights(
    simulated: SimulatedProblem, x: Array, draws: Array, log_q: Array, latent: bool
) -> tuple[Array, int]:
    """Log likelihood plus log prior minus log q, shape (n,), and the number of likelihood calls."""
    log_prior = log_normal(draws) if latent else simulated.log_prior(draws)
    inside = np.isfinite(log_prior) & np.isfinite(log_q)
    log_weights = np.full(len(draws), -np.inf)
    if inside.any():
        z = draws[inside] if latent else simulated.space.to_z(draws[inside])
        log_likelihood = simulated.evaluator(x)(z).log_likelihood
        log_weights[inside] = log_likelihood + log_prior[inside] - log_q[inside]
    return log_weights, int(inside.sum())


def log_normal(z: Array) -> Array:
    """Log density of N(0, I), shape (n,), of z, shape (n, n_dim)."""
    return -0.5 * (z**2 + math.log(2.0 * math.pi)).sum(1)
