"""The target of a refinement: weighted draws, their weights tempered where too few of them count."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.proposals.proposal import Proposal
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.core.config import BATCHES, INITIAL, MIXTURE, REFINEMENT
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights, tempering_exponent

__all__ = ["Target", "Tested", "choose_target", "held_out_of", "samples_lack_mass", "with_samples"]

Array = NDArray[np.float64]


class Tested(NamedTuple):
    """Draws to which shares are fitted: z of shape (k, n_dim), weights that sum to 1, the log target."""

    z: Array
    weights: Array
    log_target: Array | None


@dataclass(frozen=True)
class Target:
    """All that a fit takes from the history: draws and weights, and the densities before.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
    held_out : ndarray of bool, shape (n,)
        Draws for the shares of a mixture, from which its members do not learn.
    log_weights : ndarray, shape (n,)
    exponent : float
        The power that the weights are raised to.
    log_norm : float
        Log of the mean of the weights over all draws.
    log_target : ndarray, shape (n,), or None
        Log of the target relative to the prior at the draws, not normalised; None where it is not known.
    wider : tuple of Target
        The same with smaller powers.
    located : bool
        True where rounds have come before.
    members : tuple of Proposal
        Of all proposals so far, oldest first.
    n_retired : int
        The first of these, which none of the latest proposals has.
    surface : tuple of ndarray, shapes (m, n_dim) and (m,), optional
        Draws and their tempered log-likelihoods, for a regression; None where rounds have come before.
    """

    z: Array
    held_out: NDArray[np.bool_]
    log_weights: Array
    exponent: float
    log_norm: float
    log_target: Array | None
    wider: tuple[Target, ...] = ()
    located: bool = False
    members: tuple[Proposal, ...] = ()
    n_retired: int = 0
    surface: tuple[Array, Array] | None = None

    @cached_property
    def weights(self) -> Array:
        """Weights that sum to one, shape (n,)."""
        return normalised_weights(self.log_weights)

    @cached_property
    def learnt(self) -> Array:
        """Weights of the draws that fits learn from: zero for those held out, summing to one, shape (n,)."""
        weights = np.where(self.held_out, 0.0, self.weights)
        return np.asarray(weights / weights.sum())

    @cached_property
    def tested(self) -> Tested:
        """Draws for the shares: held-out ones, or all if too few."""
        test = self.held_out & (self.weights > 0.0)
        if not test.any() or effective_sample_size(self.log_weights[test]) < MIXTURE.fewest_tested:
            test = self.weights > 0.0
        log_target = None if self.log_target is None else self.log_target[test]
        return Tested(self.z[test], self.weights[test] / self.weights[test].sum(), log_target)


def choose_target(history: History, n_dim: int, located: bool) -> Target:
    """Draws and weights for the next fit, by the largest power that leaves enough of the weights.

    From the prior, the likelihood is raised to that power. Once rounds have located the posterior, the power
    works on the weights of the last batches relative to their own proposals (the bridge), which starts from
    where the rounds have got to.

    Parameters
    ----------
    history : History
        With at least one finite log-likelihood.
    located : bool
        True where rounds have come before.

    References
    ----------
    Koblents & Miguez (2015, arXiv:1208.5600).
    """
    retired = history.retired.members if history.retired else ()
    members = (*retired, *history.members)
    wanted = max(REFINEMENT.minimum_ess, REFINEMENT.ess_per_dimension * n_dim)
    log_mixture = history.log_mixture_ratio
    if located and effective_sample_size(history.log_likelihood - log_mixture) < wanted:
        history = history.recent(BATCHES.recent)
        log_mixture = history.log_mixture_ratio
        finite = np.isfinite(history.log_likelihood)
        steps = np.where(finite, history.log_likelihood - log_mixture, 0.0)
        base = np.where(finite, 0.0, -np.inf)
    else:
        # The scan comes after the draws of a trained model, where there is one.
        n_scan = max(len(batch) for batch in history.batches[:2])
        wanted = max(wanted, 0.0 if located else REFINEMENT.ess_per_scan * n_scan)
        finite = np.isfinite(history.log_likelihood)
        # Of large log-likelihoods the differences are left, whatever constant they have in common.
        steps = np.where(finite, history.log_likelihood - history.log_likelihood.max(), 0.0)
        base = np.where(finite, -log_mixture, -np.inf)
    z, held_out = history.z, history.held_out
    exponent = tempering_exponent(np.where(finite, steps, -np.inf), wanted, base)

    def tempered(power: float) -> Target:
        """The draws that are not negligible under ``base + power * steps``."""
        log_weights = base + power * steps
        kept = log_weights > log_weights.max() - REFINEMENT.negligible
        log_norm = float(logsumexp(log_weights[kept])) - math.log(len(z))
        log_target = log_weights[kept] + log_mixture[kept]
        return Target(z[kept], held_out[kept], log_weights[kept], power, log_norm, log_target)

    near = finite & (exponent * steps > -REFINEMENT.regressed)
    return replace(
        tempered(exponent),
        wider=tuple(tempered(power * exponent) for power in REFINEMENT.wide_exponents),
        located=located,
        members=members,
        n_retired=len(retired),
        surface=None if located else (z[near], exponent * steps[near]),
    )


def held_out_of(former: FormerSamples) -> NDArray[np.bool_]:
    """Former samples that no fit learns from, shape (n,): as many as of draws."""
    return np.arange(len(former.z)) % BATCHES.held_out == BATCHES.held_out - 1


def samples_lack_mass(history: History, z: Array, weights: Array) -> bool:
    """True where weighted draws have mass where the first proposal, which former samples taught, is thin.

    Thin is what is thinner than the prior. Shapes (n, n_dim) and (n,), with weights that sum to 1.
    """
    elsewhere = history.proposals[0].log_ratio(z) < 0.0
    return float(weights @ elsewhere) > INITIAL.most_elsewhere


def with_samples(target: Target, former: FormerSamples, history: History, offset: float) -> Target:
    """A target with former samples beside its draws, each set with a mass of its effective size.

    For a likelihood that is the former one: then both are weighted draws from one posterior.

    Parameters
    ----------
    offset : float
        Log-likelihood of now minus the former one.
    """
    assert target.log_target is not None and former.log_likelihood is not None
    first = int(np.flatnonzero((history.z == target.z[0]).all(axis=1))[0])
    constant = float(target.log_target[0] - history.log_likelihood[first])
    return replace(
        target,
        z=np.concatenate([target.z, former.z]),
        held_out=np.concatenate([target.held_out, held_out_of(former)]),
        log_weights=np.concatenate([_scaled(target.log_weights), _scaled(former.log_weights)]),
        log_target=np.concatenate([target.log_target, former.log_likelihood + offset + constant]),
    )


def _scaled(log_weights: Array) -> Array:
    """Log weights that sum to their effective size."""
    return np.asarray(log_weights + logsumexp(log_weights) - logsumexp(2.0 * log_weights))
