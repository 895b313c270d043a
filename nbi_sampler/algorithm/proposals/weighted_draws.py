"""Weighted draws: a container that is passed whole to every fit of a density."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.proposals.proposal import Proposal
from nbi_sampler.core.config import BATCHES, INITIAL
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights
from nbi_sampler.priors.discrete import DiscreteParts, States

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["WeightedDraws", "one_in_so_many"]

Array = NDArray[np.float64]


def one_in_so_many(n: int) -> NDArray[np.bool_]:
    """Samples from which no fit learns, shape (n,): the same fraction as of draws."""
    return np.arange(n) % BATCHES.held_out == BATCHES.held_out - 1


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws and the weights with which they represent a distribution.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut latent coordinates, or those of a chart.
    log_weights : ndarray, shape (n,)
        Not normalised.
    """

    z: Array
    log_weights: Array

    @cached_property
    def weights(self) -> Array:
        """Weights that sum to one, shape (n,)."""
        return normalised_weights(self.log_weights)

    @cached_property
    def ess(self) -> float:
        """Effective sample size."""
        return effective_sample_size(self.log_weights)

    def at(self, rows: NDArray[np.bool_]) -> Self:
        """The draws that a mask of shape (n,) selects."""
        return replace(self, z=self.z[rows], log_weights=self.log_weights[rows])

    def in_state(self, parts: DiscreteParts, state: States) -> Self:
        """The draws in a discrete state, in the coordinates of this state."""
        some = self.at((parts.states(self.z) == state).all(axis=1))
        return replace(some, z=parts.reduced(some.z, state))

    def of_columns(self, columns: NDArray[np.int64]) -> Self:
        """The draws in some of their coordinates."""
        return replace(self, z=self.z[:, columns])

    def without_repeats(self, n: int, rng: np.random.Generator) -> Array:
        """Weighted sample of at most n different draws (Gumbel top-k), shape (at most n, n_dim)."""
        keys = self.log_weights + rng.gumbel(size=len(self.log_weights))
        n = min(n, int(np.isfinite(keys).sum()))
        return self.z[np.argsort(-keys)[:n]]

    def overlooked_by(self, proposal: Proposal) -> bool:
        """True if a proposal is thinner than the prior at too much of the weight; z are uncut here."""
        thin = proposal.log_ratio(self.z) < 0.0
        return float(self.weights @ thin) > INITIAL.most_elsewhere
