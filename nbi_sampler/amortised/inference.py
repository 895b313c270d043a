"""Importance sampling for many targets: draws, weights, evidence and a status for each.

This is the importance sampling of a run, applied to many targets. Simulations for several targets are made
together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nbi_sampler.algorithm.proposals.proposal import Proposal
from nbi_sampler.amortised.data_format import Observation
from nbi_sampler.core.config import INFERENCE
from nbi_sampler.core.guarded import warn_user
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.importance.reliability import Status, judge, summarise
from nbi_sampler.importance.weights import log_evidence, normalised_weights

__all__ = [
    *("Inference", "Inferences", "LogLikelihood", "UnreliableWeightsWarning", "infer", "warn_of_weights"),
]

LogLikelihood = Callable[[Array, Array, Observation], ArrayLike]

# Most numbers of simulated data in memory at a time.
MOST_NUMBERS = 5_000_000
# Most targets in a printed summary, and most parameters of each.
MOST_SHOWN, MOST_NAMED = 10, 4
# Smaller errors are written with a power of ten.
MOST_SHOWN_DECIMALS = 8


@dataclass(frozen=True, repr=False)
class Inference:
    """The posterior of one target.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters.
    samples : ndarray, shape (n_samples, n_dim)
    weights : ndarray, shape (n_samples,)
        They sum to 1, and are NaN if no likelihood was finite.
    log_likelihood : ndarray, shape (n_samples,)
    log_weights : ndarray, shape (n_samples,)
        ``log L + log prior - log q``.
    log_evidence, log_evidence_err : float
    ess, efficiency, k_hat : float
    p_value : float
        Share of simulations that are at least as unusual as the data.
    status : str
        "ok", "few distinct samples", "unreliable weights" or "no finite likelihood".
    message : str
        What to do if the status is not "ok".
    mean, standard_deviation : ndarray, shape (n_dim,)
        Moments of the weighted samples.
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

    @property
    def mean(self) -> Array:
        """Weighted mean of each parameter, shape (n_dim,)."""
        return np.asarray(self.weights @ self.samples)

    @property
    def standard_deviation(self) -> Array:
        """Weighted standard deviation of each parameter, shape (n_dim,)."""
        return np.asarray(np.sqrt(self.weights @ (self.samples - self.mean) ** 2))

    def __repr__(self) -> str:
        width = max(map(len, self.names))
        lines = [
            f"Inference: {self.status}" + (f" ({self.message})" if self.message else ""),
            f"  ess {self.ess:,.0f} of {len(self.samples):,} draws, efficiency {self.efficiency:.1%}, "
            f"k_hat {self.k_hat:.2f}, p_value {self.p_value:.3g}",
            f"  log_evidence {self.log_evidence:.3f} +- {self.log_evidence_err:.3f}",
            *(
                f"  {name:{width}s} {_with_error(mean, deviation)}"
                for name, mean, deviation in zip(self.names, self.mean, self.standard_deviation, strict=True)
            ),
        ]
        return "\n".join(lines)


def _with_error(mean: float, deviation: float) -> str:
    """Mean and standard deviation, both to two digits of the deviation.

    Examples
    --------
    >>> _with_error(2.50183, 0.162), _with_error(5379.5712, 0.0478), _with_error(1.2e-21, 3e-22)
    ('2.50 +- 0.16', '5379.571 +- 0.048', '1.2e-21 +- 3e-22')
    """
    n_decimals = 1 - math.floor(math.log10(deviation)) if 0.0 < deviation < math.inf else MOST_SHOWN_DECIMALS
    if not 0 <= n_decimals < MOST_SHOWN_DECIMALS:
        return f"{mean:.4g} +- {deviation:.2g}"
    return f"{mean:.{n_decimals}f} +- {deviation:.{n_decimals}f}"


class Inferences(list[Inference]):
    """The posteriors of several targets: a list that prints a summary."""

    def __repr__(self) -> str:
        if len(self) == 1:
            return f"[{self[0]!r}]"
        counts = Counter(each.status for each in self)
        found = ", ".join(f"{n} {status!r}" for status, n in counts.most_common())
        lines = [f"{len(self)} inferences: {found or 'none'}"]
        for i, each in enumerate(self[:MOST_SHOWN]):
            values = ", ".join(
                f"{name} {_with_error(mean, deviation)}"
                for name, mean, deviation in zip(
                    each.names[:MOST_NAMED], each.mean, each.standard_deviation, strict=False
                )
            )
            more = ", ..." if len(each.names) > MOST_NAMED else ""
            lines.append(
                f"  {i}: {each.status}, ess {each.ess:,.0f}, log_evidence {each.log_evidence:.2f} +- "
                f"{each.log_evidence_err:.2f}; {values}{more}"
            )
        if len(self) > MOST_SHOWN:
            lines.append(f"  ... and {len(self) - MOST_SHOWN:,} more")
        return "\n".join(lines)


def infer(
    proposals: Sequence[Proposal],
    observations: Sequence[Observation],
    p_values: Array,
    evaluator: Evaluator,
    log_likelihood: LogLikelihood,
    n_samples: int,
    entropy: int,
    on_target: Callable[[], None] | None = None,
) -> Inferences:
    """Draw from the proposal of each target, simulate the draws, and weight them.

    Parameters
    ----------
    proposals : sequence of Proposal
        One for each target.
    observations : sequence of Observation
        Data of the targets.
    p_values : ndarray, shape (n_targets,)
        See `Inference`.
    evaluator : Evaluator
        Its predictions are simulations.
    log_likelihood : callable
        ``(x, y, observation) -> ndarray, shape (n,)`` for simulations x, shape (n, n_data), and their
        parameters y, shape (n, n_dim).
    n_samples : int
        Number of draws for each target.
    entropy : int
        Seed.
    on_target : callable, optional
        Called after each target.
    """
    results = Inferences()
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
    """Yield groups of targets whose simulations are made together."""
    assert evaluator.forward is not None
    size = max(1, MOST_NUMBERS // (n_samples * max(len(evaluator.forward.observed), 1)))
    for first in range(0, n_targets, size):
        yield range(first, min(first + size, n_targets))


def _checked(values: ArrayLike, n: int) -> Array:
    log_l = as_real_numbers(values, "log_likelihood").copy()
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
        status=str(status),
        message="" if status == Status.OK else status.remedy_of_model,
    )


class UnreliableWeightsWarning(UserWarning):
    """The weighted samples do not represent the posterior; `NBI.infer` shows why."""


def warn_of_weights(found: Sequence[Inference]) -> None:
    """Warn if the status of an `Inference` says that weights are bad; the warning names the user's line."""
    bad = [
        each
        for each in found
        if each.status != Status.OK
        and (each.status != Status.FEW_DISTINCT_SAMPLES or each.efficiency < INFERENCE.least_efficiency)
    ]
    if not bad:
        return
    worst = min(bad, key=lambda each: each.ess)
    warn_user(
        f"weights: {len(bad)} of {len(found)} targets have bad ones; the worst: {worst.status}, "
        f"{worst.ess:.0f} effective samples of {len(worst.samples)}, k_hat {worst.k_hat:.2f}: "
        f"{worst.message}. `infer` tells more of every target",
        UnreliableWeightsWarning,
    )
