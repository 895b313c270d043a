"""The target of a refinement: all draws so far with weights, which are tempered if too few of them count."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.pooling import lacks_a_mode
from nbi_sampler.algorithm.proposals.local_regression import Surface
from nbi_sampler.algorithm.proposals.proposal import Proposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.core.config import BATCHES, MIXTURE, REFINEMENT
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import effective_sample_size, tempering_exponent
from nbi_sampler.priors.discrete import DiscreteParts, States

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Target", "Tested", "choose_target"]


class Tested(NamedTuple):
    """Draws to which shares are fitted: z of shape (k, n_dim), weights that sum to 1, the log target."""

    z: Array
    weights: Array
    log_target: Array | None


@dataclass(frozen=True, eq=False)
class Target(WeightedDraws):
    """Weighted draws of the distribution that the next proposal is fitted to, and the densities before.

    Attributes
    ----------
    held_out : ndarray of bool, shape (n,)
        Draws that decide on the shares of a mixture. Its members do not learn from them.
    exponent : float
        The power to which the weights are raised.
    log_target : ndarray, shape (n,), or None
        Log density of the target relative to the prior at the draws, not normalised. None if unknown.
    wider : tuple of WeightedDraws
        Draws of the same target with smaller powers.
    located : bool
        True after rounds.
    members : tuple of Proposal
        Members of all proposals so far, oldest first.
    n_retired : int
        Number of members at the beginning that none of the latest proposals has.
    surface : Surface, optional
        Draws and their tempered log-likelihoods. None after rounds, and in other coordinates.
    """

    held_out: NDArray[np.bool_]
    exponent: float
    log_target: Array | None
    wider: tuple[WeightedDraws, ...] = ()
    located: bool = False
    members: tuple[Proposal, ...] = ()
    n_retired: int = 0
    surface: Surface | None = None

    @classmethod
    def of_samples(
        cls, samples: WeightedDraws, log_target: Array | None, n_chains: int | None = None
    ) -> Target:
        """Samples of a posterior as a target. They tell of no wider distribution than themselves.

        They may be states of chains, all at one time after the other. A chain is then held out with all its
        states, because states of one chain resemble each other.
        """
        every, wider = BATCHES.held_out, (samples, samples)
        chain = np.arange(len(samples.z)) % (n_chains or len(samples.z))
        held_out = chain % every == every - 1
        return cls(samples.z, samples.log_weights, held_out, 1.0, log_target, wider, located=True)

    @cached_property
    def learnt(self) -> Array:
        """Weights that are zero for the draws held out, summing to one, shape (n,)."""
        weights = np.where(self.held_out, 0.0, self.weights)
        return np.asarray(weights / weights.sum())

    @cached_property
    def learnt_ess(self) -> float:
        """Effective sample size of the draws that fits learn from."""
        return effective_sample_size(self.log_weights[~self.held_out])

    @cached_property
    def tested(self) -> Tested:
        """The draws that decide on shares: those held out, or all if these are too few."""
        test = self.held_out & (self.weights > 0.0)
        if not test.any() or effective_sample_size(self.log_weights[test]) < MIXTURE.fewest_tested:
            test = self.weights > 0.0
        log_target = None if self.log_target is None else self.log_target[test]
        return Tested(self.z[test], self.weights[test] / self.weights[test].sum(), log_target)

    def at(self, rows: NDArray[np.bool_]) -> Self:
        """The draws that a mask of shape (n,) selects; the wider ones as they are."""
        log_target = None if self.log_target is None else self.log_target[rows]
        return replace(super().at(rows), held_out=self.held_out[rows], log_target=log_target)

    def in_state(self, parts: DiscreteParts, state: States) -> Self:
        """All draws in a discrete state, in the coordinates of this state."""
        wider = tuple(wide.in_state(parts, state) for wide in self.wider)
        return replace(super().in_state(parts, state), wider=wider, surface=None)

    def of_columns(self, columns: NDArray[np.int64]) -> Self:
        """All draws in some of their coordinates."""
        wider = tuple(wide.of_columns(columns) for wide in self.wider)
        return replace(super().of_columns(columns), wider=wider, surface=None)

    def joined(self, samples: Target, history: History) -> Target:
        """The target with samples of a former posterior added, or without them if they lack some of its mass.

        Draws and samples represent one posterior, so each set has a mass of its effective size. The samples
        come with the log-likelihood of now.
        """
        if lacks_a_mode(self.weights, history.proposals[0].log_ratio(self.z)):
            return self
        assert self.log_target is not None and samples.log_target is not None
        first = int(np.flatnonzero((history.z == self.z[0]).all(axis=1))[0])
        constant = float(self.log_target[0] - history.log_likelihood[first])
        log_weights = [
            each + logsumexp(each) - logsumexp(2.0 * each) for each in (self.log_weights, samples.log_weights)
        ]
        return replace(
            self,
            z=np.concatenate([self.z, samples.z]),
            held_out=np.concatenate([self.held_out, samples.held_out]),
            log_weights=np.concatenate(log_weights),
            log_target=np.concatenate([self.log_target, samples.log_target + constant]),
        )


def choose_target(history: History, n_dim: int, located: bool, searched: bool = False) -> Target:
    """Target of the next fit: the largest power of the weights that leaves enough effective draws.

    Without rounds, the likelihood is raised to this power, so that the target lies between the prior and the
    posterior. After rounds, the weights of the last batches are raised to it, so that the target lies between
    the last proposals and the posterior (the bridge).

    Parameters
    ----------
    history : History
        With at least one finite log-likelihood.
    located : bool
        True after rounds.
    searched : bool
        True after a search for modes, whose draws are about the modes and not about the prior. Fewer of them
        then suffice for the posterior itself.

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
    fewest = max(REFINEMENT.searched, REFINEMENT.searched_per_dimension * n_dim)
    if searched and effective_sample_size(steps + base) >= fewest:
        exponent = 1.0
    else:
        exponent = tempering_exponent(np.where(finite, steps, -np.inf), wanted, base)

    def tempered(power: float) -> Target:
        """Target with log weights ``base + power * steps``, without the draws of negligible weight."""
        log_weights = base + power * steps
        kept = log_weights > log_weights.max() - REFINEMENT.negligible
        log_target = log_weights[kept] + log_mixture[kept]
        return Target(z[kept], log_weights[kept], held_out[kept], power, log_target)

    target, surface = tempered(exponent), None
    if not located:
        near = finite & (exponent * steps > -REFINEMENT.regressed)
        log_norm = float(logsumexp(target.log_weights)) - math.log(len(z))
        surface = Surface(z[near], exponent * steps[near], log_norm)
    return replace(
        target,
        wider=tuple(tempered(power * exponent) for power in REFINEMENT.wide_exponents),
        located=located,
        members=members,
        n_retired=len(retired),
        surface=surface,
    )
