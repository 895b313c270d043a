"""Distributions over z, each with its density relative to the prior.

Densities are ratios to the prior N(0, I). They do not depend on the cut of a periodic parameter, and the log
importance weight is log L minus the log ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.core.types import Array
from nbi_sampler.networks.flows import Density

__all__ = ["FlowProposal", "MixtureProposal", "PriorProposal", "Proposal", "log_normal", "log_ratios"]

# Rows at a time, to limit the memory. A GPU has room for more, and fewer would not be faster.
CHUNK = 20_000
CHUNK_OF_GPU = 200_000


class Proposal(Protocol):
    """A distribution over uncut latent coordinates."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""

    def log_ratio(self, z: Array) -> Array:
        """``log q(z) - log N(z; 0, I)`` for z of shape (n, n_dim), shape (n,)."""


class PriorProposal:
    """The prior itself, of ``n_dim`` parameters."""

    def __init__(self, n_dim: int) -> None:
        self.n_dim = n_dim

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        return rng.normal(size=(n, self.n_dim))

    def log_ratio(self, z: Array) -> Array:
        """Zero for each row."""
        return np.zeros(len(z))


class FlowProposal:
    """A flow at one context, in standardised and cut coordinates.

    Parameters
    ----------
    flow : Density
    context : Tensor, shape (1, n_context), or None
    affine : AffineMap
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    """

    def __init__(self, flow: Density, context: Tensor | None, affine: AffineMap, cut: Array) -> None:
        self.flow = flow
        self.context = context
        self.affine = affine
        self.cut = cut
        self._reference = next(iter(flow.parameters()), torch.zeros(1))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        generator = torch_generator(rng, self._reference.device)
        chunk = self._rows_at_once()
        chunks = [
            self.flow.sample(min(chunk, n - start), self.context, generator).double().cpu().numpy()
            for start in range(0, n, chunk)
        ]
        y = np.concatenate(chunks) if chunks else np.zeros((0, len(self.cut)))
        return remove_cut(self.affine.forward(y), self.cut)

    @torch.no_grad()
    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,); minus infinity where the flow has no finite density."""
        z = apply_cut(z, self.cut)
        y = torch.as_tensor(self.affine.backward(z), dtype=self._reference.dtype)
        chunks = [
            self.flow.log_prob(part.to(self._reference.device), self.context).double().cpu().numpy()
            for part in y.split(self._rows_at_once())
        ]
        log_q = (np.concatenate(chunks) if chunks else np.zeros(0)) - self.affine.log_det
        return np.where(np.isfinite(log_q), log_q, -np.inf) - log_normal(z)

    def _rows_at_once(self) -> int:
        return CHUNK if self._reference.device.type == "cpu" else CHUNK_OF_GPU


class MixtureProposal:
    """Several proposals with fixed shares. If one of them is wide, the importance weights are bounded.

    Each batch of a run is drawn from such a mixture, which may have a single member.

    Parameters
    ----------
    members : tuple of Proposal
    shares : ndarray, shape (n_members,)
        Positive values that sum to 1.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185 (defensive mixtures).
    """

    def __init__(self, members: tuple[Proposal, ...], shares: Array) -> None:
        self.members = members
        self.shares = shares

    @classmethod
    def single(cls, proposal: Proposal) -> MixtureProposal:
        """One proposal alone."""
        return cls((proposal,), np.ones(1))

    @classmethod
    def of_shares(cls, members: tuple[Proposal, ...], shares: Array) -> MixtureProposal:
        """A mixture of the members whose shares are worth the cost of their densities."""
        kept = np.flatnonzero(shares >= MIXTURE.smallest_share)
        return cls(tuple(members[i] for i in kept), shares[kept] / shares[kept].sum())

    @property
    def log_ratio_error(self) -> float:
        """Error that the log ratios of all draws share: that of a member with an estimated normalisation."""
        return max(getattr(member, "log_ratio_error", 0.0) for member in self.members)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws in random order, shape (n, n_dim)."""
        counts = rng.multinomial(n, self.shares)
        drawn = [member.sample(int(k), rng) for member, k in zip(self.members, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior`` of the mixture, shape (n,)."""
        return self.log_ratio_from(log_ratios(self.members, z))

    def log_ratio_from(self, of_members: Array) -> Array:
        """The same from the log ratios of its members, shape (n_members, n)."""
        return np.asarray(logsumexp(of_members + np.log(self.shares)[:, None], axis=0))


def log_ratios(members: Sequence[Proposal], z: Array) -> Array:
    """``log q - log prior`` of several proposals, shape (n_members, n)."""
    return np.stack([member.log_ratio(z) for member in members])


def log_normal(z: Array) -> Array:
    """Log density of the prior N(0, I) at z of shape (n, n_dim), shape (n,)."""
    return -0.5 * np.sum(z**2, axis=1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)
