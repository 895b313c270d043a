"""All draws of a run, the proposals that they came from, and their weights.

A `History` never changes. Each batch makes a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal, Proposal, log_ratios
from nbi_sampler.core.config import BATCHES
from nbi_sampler.core.types import Array
from nbi_sampler.evaluation.batch import Evaluation, Predicted
from nbi_sampler.importance.weights import log_evidence, mixture_log_ratio, normalised_weights

__all__ = ["Draws", "History"]


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
    log_ratio_error : float
        Error that all log ratios share, of a proposal with an estimated normalisation.
    """

    z: Array
    log_ratio: Array
    evaluation: Evaluation
    log_ratio_error: float = 0.0

    def __len__(self) -> int:
        return len(self.z)

    @property
    def log_likelihood(self) -> Array:
        """Log-likelihoods, shape (n,)."""
        return self.evaluation.log_likelihood

    @property
    def log_weights(self) -> Array:
        """Log weights under the proposal of this batch, which was not trained on these draws, shape (n,)."""
        return self.log_likelihood - self.log_ratio

    def without_predictions(self, some: bool) -> Draws:
        """The same draws without predictions, or with ``some`` of them, which represent the posterior."""
        evaluation = self.evaluation
        predicted = self._some_predicted() if some else None
        return replace(self, evaluation=replace(evaluation, predictions=None, predicted=predicted))

    def _some_predicted(self) -> Predicted | None:
        """Predictions at equally spaced quantiles of the weights. The draws are in random order already."""
        predictions, log_weights = self.evaluation.predictions, self.log_weights
        if predictions is None or not np.isfinite(log_weights).any():
            return None
        n_kept = BATCHES.most_numbers_kept // predictions.shape[1]
        n_kept = int(np.clip(n_kept, BATCHES.fewest_kept, BATCHES.most_kept))
        total = np.cumsum(normalised_weights(log_weights))
        rows = np.searchsorted(total, total[-1] * (np.arange(n_kept) + 0.5) / n_kept)
        return Predicted(rows, predictions[rows])


@dataclass(frozen=True)
class History:
    """Batches of draws in order, and the densities of all proposals at each draw.

    Proposals share members (a flow serves several rounds), so the densities are kept for each member. Members
    that none of the last proposals has are retired: they become one mixture with one density, so that a long
    run does not fill the memory.

    Attributes
    ----------
    batches : tuple of Draws
    proposals : tuple of MixtureProposal
    members : tuple of Proposal
        Members of the last proposals, each once, and those that the history was made to know.
    counts : ndarray, shape (n_members,)
        Expected number of draws from each member, zero before its proposal is drawn from.
    log_ratios : ndarray, shape (n_members, n_draws)
    retired : MixtureProposal, optional
        Mixture of the former members, with shares in proportion to the draws from them.
    n_retired : float
        Expected number of draws from this mixture.
    log_retired : ndarray, shape (n_draws,), or empty
        Log ratio of this mixture at the draws.
    """

    batches: tuple[Draws, ...] = ()
    proposals: tuple[MixtureProposal, ...] = ()
    members: tuple[Proposal, ...] = ()
    counts: Array = field(default_factory=lambda: np.zeros(0))
    log_ratios: Array = field(default_factory=lambda: np.zeros((0, 0)))
    retired: MixtureProposal | None = None
    n_retired: float = 0.0
    log_retired: Array = field(default_factory=lambda: np.zeros(0))

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
        """Draws from which no fit learns, shape (n_draws,): one in eight, the same in all rounds.

        Only draws with a finite log-likelihood are counted, and the first one held out is the eighth. A
        handful of draws is therefore used whole.
        """
        finite = [np.isfinite(batch.log_likelihood) for batch in self.batches]
        return np.concatenate([each & (np.cumsum(each) % BATCHES.held_out == 0) for each in finite])

    @property
    def log_mixture_ratio(self) -> Array:
        """Log of the mixture of all proposals relative to the prior, at all draws, shape (n_draws,)."""
        drawn = self.counts > 0.0
        log_ratios, counts = self.log_ratios[drawn], self.counts[drawn]
        if self.retired is not None:
            log_ratios = np.concatenate([log_ratios, self.log_retired[None]])
            counts = np.append(counts, self.n_retired)
        return mixture_log_ratio(log_ratios, counts)

    @property
    def log_weights(self) -> Array:
        """Log weights of all draws under the mixture of all proposals, shape (n_draws,).

        They serve to fit the next proposal. They do not serve for the evidence, because draws are weighted by
        proposals that were trained on them.
        """
        return self.log_likelihood - self.log_mixture_ratio

    @property
    def n_from_prior(self) -> int:
        """Expected number of draws from the prior itself, rounded down."""
        expected = 0.0
        for batch, proposal in zip(self.batches, self.proposals, strict=True):
            of_prior = [isinstance(member, PriorProposal) for member in proposal.members]
            expected += len(batch) * float(proposal.shares[of_prior].sum())
        # Guards against rounding: a share times a number must give the number from which the share was made.
        return int(expected + 1e-6)

    def efficiency_of(self, proposal: MixtureProposal) -> float:
        r"""Efficiency of a proposal as estimated from all draws, including tails that its own batch missed.

        .. math:: 1 / \mathrm{E}_p[p / q] \approx 1 / \sum_i W_i\, p(z_i) / q(z_i)

        W are the weights under the mixture of all proposals. The value is between 0 and 1 but for noise, and
        0 if no weight is positive. It serves to compare proposals. It favours a proposal that was fitted to
        the draws.
        """
        log_weights = self.log_weights
        log_z = log_evidence(log_weights).log_evidence
        if not np.isfinite(log_z):
            return 0.0
        counted = np.isfinite(log_weights)
        log_mass = log_weights[counted] - log_z - np.log(len(self))
        log_target = self.log_likelihood[counted] - log_z
        history = self.knowing(proposal)
        rows = {id(member): i for i, member in enumerate(history.members)}
        of_members = history.log_ratios[[rows[id(member)] for member in proposal.members]]
        log_proposal = proposal.log_ratio_from(of_members[:, counted])
        return float(np.exp(-logsumexp(log_mass + log_target - log_proposal)))

    def knowing(self, proposal: MixtureProposal) -> History:
        """The history with the densities of a proposal's members at all draws, before any draw from it."""
        known = {id(member) for member in self.members}
        new = tuple(member for member in proposal.members if id(member) not in known)
        if not new:
            return self
        at_draws = log_ratios(new, self.z) if self.batches else np.zeros((len(new), 0))
        return replace(
            self,
            members=(*self.members, *new),
            counts=np.append(self.counts, np.zeros(len(new))),
            log_ratios=np.concatenate([self.log_ratios, at_draws]),
        )

    def extended(self, draws: Draws, proposal: MixtureProposal) -> History:
        """A history with one more batch, drawn from ``proposal``."""
        before = self.knowing(proposal)
        at_draws = log_ratios(before.members, draws.z)
        log_retired = self.log_retired
        if self.retired is not None:
            log_retired = np.concatenate([log_retired, self.retired.log_ratio(draws.z)])
        history = replace(
            before,
            batches=(*self.batches, draws),
            proposals=(*self.proposals, proposal),
            counts=before.counts + _expected_counts(before.members, [proposal], [len(draws)]),
            log_ratios=np.concatenate([before.log_ratios, at_draws], axis=1),
            log_retired=log_retired,
        )
        return history._with_old_members_retired()

    def recent(self, n_batches: int) -> History:
        """The last batches, at most ``BATCHES.recent``, as if only their proposals had been used."""
        if n_batches >= len(self.batches):
            return self
        batches, proposals = self.batches[-n_batches:], self.proposals[-n_batches:]
        kept = np.flatnonzero(self._serves(n_batches))
        n_draws = [len(batch) for batch in batches]
        members = tuple(self.members[i] for i in kept)
        counts = _expected_counts(members, proposals, n_draws)
        return History(batches, proposals, members, counts, self.log_ratios[kept, -sum(n_draws) :])

    def _serves(self, n_batches: int) -> NDArray[np.bool_]:
        """Mask of the members that the last proposals have, shape (n_members,)."""
        used = {id(member) for proposal in self.proposals[-n_batches:] for member in proposal.members}
        return np.array([id(member) in used for member in self.members])

    def _with_old_members_retired(self) -> History:
        serves = self._serves(BATCHES.recent)
        if serves.all():
            return self
        old = tuple(member for member, kept in zip(self.members, serves, strict=True) if not kept)
        log_ratios, counts = self.log_ratios[~serves], self.counts[~serves]
        each = counts
        if self.retired is not None:
            log_ratios = np.concatenate([self.log_retired[None], log_ratios])
            each = np.concatenate([self.n_retired * self.retired.shares, counts])
            old, counts = (*self.retired.members, *old), np.concatenate([[self.n_retired], counts])
        return replace(
            self,
            members=tuple(member for member, kept in zip(self.members, serves, strict=True) if kept),
            counts=self.counts[serves],
            log_ratios=self.log_ratios[serves],
            retired=MixtureProposal(old, each / each.sum()),
            n_retired=float(each.sum()),
            log_retired=mixture_log_ratio(log_ratios, counts),
        )


def _expected_counts(
    members: Sequence[Proposal], proposals: Sequence[MixtureProposal], n_draws: Sequence[int]
) -> Array:
    """Expected number of draws from each member, given the draws from each proposal, shape (n_members,)."""
    index = {id(member): i for i, member in enumerate(members)}
    counts = np.zeros(len(members))
    for proposal, n in zip(proposals, n_draws, strict=True):
        for member, share in zip(proposal.members, proposal.shares, strict=True):
            counts[index[id(member)]] += share * n
    return counts
