"""All draws of a run with the proposals they came from, and their weights.

Values, not behaviour: each round makes a new `History` with one more batch. Called by the rounds, the
refinement and the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.evaluation import Evaluation
from nbi_sampler.importance import mixture_log_ratio
from nbi_sampler.proposals import Proposal

__all__ = ["Draws", "History"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Independent draws from one proposal.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut latent coordinates.
    log_ratio : ndarray, shape (n,)
        ``log q - log prior`` under their own proposal.
    evaluation : Evaluation
    """

    z: Array
    log_ratio: Array
    evaluation: Evaluation

    def __len__(self) -> int:
        return len(self.z)

    @property
    def log_likelihood(self) -> Array:
        """Log-likelihoods, shape (n,)."""
        return self.evaluation.log_likelihood

    @property
    def log_weights(self) -> Array:
        """Log weights under their own proposal, shape (n,): independent of what was trained on them."""
        return self.log_likelihood - self.log_ratio


@dataclass(frozen=True)
class History:
    """Batches of draws in order, and the density of every proposal at every draw.

    Attributes
    ----------
    batches : tuple of Draws
    proposals : tuple of Proposal
    log_ratios : ndarray, shape (n_proposals, n_draws)
    """

    batches: tuple[Draws, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    log_ratios: Array | None = None

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @property
    def z(self) -> Array:
        """Uncut latent coordinates of all draws, shape (n_draws, n_dim)."""
        return np.concatenate([batch.z for batch in self.batches])

    @property
    def log_likelihood(self) -> Array:
        """Log-likelihoods of all draws, shape (n_draws,)."""
        return np.concatenate([batch.log_likelihood for batch in self.batches])

    @property
    def n_calls(self) -> int:
        """Calls of the user's likelihood or model so far."""
        return sum(batch.evaluation.n_calls for batch in self.batches)

    @property
    def log_weights(self) -> Array:
        """Log weights of all draws under the mixture of all proposals, shape (n_draws,).

        For fitting the next proposal, not for the evidence: draws that trained a proposal are weighted by it.
        """
        assert self.log_ratios is not None
        counts = np.array([len(batch) for batch in self.batches])
        return self.log_likelihood - mixture_log_ratio(self.log_ratios, counts)

    def extended(self, draws: Draws, proposal: Proposal) -> History:
        """A history with one more batch, drawn from ``proposal``."""
        proposals = (*self.proposals, proposal)
        at_new = np.stack([old.log_ratio(draws.z) for old in self.proposals] + [draws.log_ratio])
        if self.log_ratios is None:
            return History((draws,), proposals, at_new)
        above = np.concatenate([self.log_ratios, proposal.log_ratio(self.z)[None]])
        return History((*self.batches, draws), proposals, np.concatenate([above, at_new], axis=1))

    def recent(self, n_batches: int) -> History:
        """The last batches alone, as if only their proposals had been used."""
        if n_batches >= len(self.batches):
            return self
        assert self.log_ratios is not None
        n_draws = sum(len(batch) for batch in self.batches[-n_batches:])
        return History(
            self.batches[-n_batches:],
            self.proposals[-n_batches:],
            self.log_ratios[-n_batches:, -n_draws:],
        )
