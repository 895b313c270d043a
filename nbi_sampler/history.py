"""All draws of a run with the proposals they came from, and their weights.

Values, not behaviour: each round makes a new `History` with one more batch. Called by the rounds, the
refinement and the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.batch import Evaluation
from nbi_sampler.importance import mixture_log_ratio
from nbi_sampler.proposals import MixtureProposal, Proposal

__all__ = ["Draws", "History"]

Array = NDArray[np.float64]

HELD_OUT = 8


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
    """Batches of draws in order, and the density of every member of every proposal at every draw.

    Proposals share members (a flow serves several rounds), so densities are kept by member.

    Attributes
    ----------
    batches : tuple of Draws
    proposals : tuple of MixtureProposal
    members : tuple of Proposal
        Each once.
    log_ratios : ndarray, shape (n_members, n_draws)
    """

    batches: tuple[Draws, ...] = ()
    proposals: tuple[MixtureProposal, ...] = ()
    members: tuple[Proposal, ...] = ()
    log_ratios: Array = field(default_factory=lambda: np.zeros((0, 0)))

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
    def held_out(self) -> NDArray[np.bool_]:
        """Draws that no fit learns from, shape (n_draws,): every eighth finite one, the same in all rounds.

        Counted among those of finite likelihood and from the eighth on, so that a handful is learnt whole.
        """
        finite = [np.isfinite(batch.log_likelihood) for batch in self.batches]
        return np.concatenate([each & (np.cumsum(each) % HELD_OUT == 0) for each in finite])

    @property
    def log_weights(self) -> Array:
        """Log weights of all draws under the mixture of all proposals, shape (n_draws,).

        For fitting the next proposal, not for the evidence: draws that trained a proposal are weighted by it.
        """
        return self.log_likelihood - mixture_log_ratio(self.log_ratios, self._expected_counts())

    def extended(self, draws: Draws, proposal: MixtureProposal) -> History:
        """A history with one more batch, drawn from ``proposal``."""
        known = {id(member) for member in self.members}
        new = tuple(member for member in proposal.members if id(member) not in known)
        members = (*self.members, *new)
        right = np.stack([member.log_ratio(draws.z) for member in members])
        left = np.zeros((len(members), 0))
        if self.batches:
            z = self.z
            left = np.concatenate([self.log_ratios, *(member.log_ratio(z)[None] for member in new)])
        log_ratios = np.concatenate([left, right], axis=1)
        return History((*self.batches, draws), (*self.proposals, proposal), members, log_ratios)

    def recent(self, n_batches: int) -> History:
        """The last batches alone, as if only their proposals had been used."""
        if n_batches >= len(self.batches):
            return self
        batches, proposals = self.batches[-n_batches:], self.proposals[-n_batches:]
        used = {id(member) for proposal in proposals for member in proposal.members}
        kept = [i for i, member in enumerate(self.members) if id(member) in used]
        n_draws = sum(len(batch) for batch in batches)
        members = tuple(self.members[i] for i in kept)
        return History(batches, proposals, members, self.log_ratios[kept, -n_draws:])

    def _expected_counts(self) -> Array:
        """Expected number of draws from every member, shape (n_members,)."""
        index = {id(member): i for i, member in enumerate(self.members)}
        counts = np.zeros(len(self.members))
        for batch, proposal in zip(self.batches, self.proposals, strict=True):
            for member, share in zip(proposal.members, proposal.shares, strict=True):
                counts[index[id(member)]] += share * len(batch)
        return counts
