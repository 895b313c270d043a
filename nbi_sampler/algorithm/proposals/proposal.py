"""Distributions over z from which a round draws, each with its density relative to the prior.

Densities are ratios to the prior N(0, I): they do not change when a periodic parameter is cut elsewhere, and
the importance weight is simply log L minus the log ratio.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut
from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.randomness import torch_generator
from nbi_sampler.networks.flows import Density

__all__ = ["FlowProposal", "MixtureProposal", "PriorProposal", "Proposal", "log_normal"]

Array = NDArray[np.float64]

# Rows at a time, for the memory. A GPU has room for more, and takes as long for fewer.
CHUNK = 20_000
CHUNK_OF_GPU = 200_000


class Proposal(Protocol):
    """A distribution over uncut latent coordinates."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""

    def log_ratio(self, z: Array) -> Array:
        """``log q(z) - log N(z; 0, I)`` for z of shape (n, n_dim), shape (n,)."""


class PriorProposal:
    """The prior itself.

    Parameters
    ----------
    n_dim : int
    """

    def __init__(self, n_dim: int) -> None:
        self.n_dim = n_dim

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        return rng.normal(size=(n, self.n_dim))

    def log_ratio(self, z: Array) -> Array:
        """Zero for every row."""
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
        """``log q - log prior``; minus infinity where the flow gives no finite density, shape (n,)."""
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
    """Fixed shares of several proposals; with a share of something wide, weights stay bounded.

    Every batch of a run is drawn from one of these, be it of a single member.

    Parameters
    ----------
    members : tuple of Proposal
    shares : ndarray, shape (n_members,)
        Positive, summing to 1.

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
    def fitted(
        cls,
        members: tuple[Proposal, ...],
        shares: Array,
        z: Array,
        weights: Array,
        smooth: NDArray[np.bool_] | None = None,
        least_smooth: float = 0.0,
    ) -> MixtureProposal:
        """Shares that maximise the weighted likelihood of draws on which no member was fitted.

        Parameters
        ----------
        shares : ndarray, shape (n_members,)
            Fixed shares; zero for the members that divide the rest between them.
        z : ndarray, shape (n, n_dim)
        weights : ndarray, shape (n,)
            Summing to 1.
        smooth : ndarray of bool, shape (n_members,), optional
            Members that together get ``least_smooth`` of what is divided, whatever the likelihood says: a
            few draws cannot tell how thin the others are where they have seen none.
        """
        fitted = np.flatnonzero(shares == 0.0)
        if not len(fitted):
            return cls(members, shares / shares.sum())
        log_ratios = np.stack([members[i].log_ratio(z) for i in fitted])
        shares = shares.copy()
        divided = _shares_by_em(log_ratios, weights)
        chosen = np.zeros(len(fitted), dtype=bool) if smooth is None else smooth[fitted]
        had = divided[chosen].sum()
        if chosen.any() and had < least_smooth:
            divided *= (1.0 - least_smooth) / (1.0 - had)
            divided[chosen] = least_smooth * _shares_by_em(log_ratios[chosen], weights)
        shares[fitted] = (1.0 - shares.sum()) * divided
        kept = np.flatnonzero(shares >= MIXTURE.smallest_share)
        return cls(tuple(members[i] for i in kept), shares[kept] / shares[kept].sum())

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws in random order, shape (n, n_dim)."""
        counts = rng.multinomial(n, self.shares)
        drawn = [member.sample(int(k), rng) for member, k in zip(self.members, counts, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior`` of the mixture, shape (n,)."""
        log_ratios = np.stack([member.log_ratio(z) for member in self.members])
        return np.asarray(logsumexp(log_ratios + np.log(self.shares)[:, None], axis=0))


def _shares_by_em(log_ratios: Array, weights: Array) -> Array:
    """Expectation maximisation for the shares alone, from equal ones, shape (n_members,)."""
    n_members = len(log_ratios)
    shares = np.full(n_members, 1.0 / n_members)
    for _ in range(MIXTURE.share_steps):
        log_joint = log_ratios + np.log(shares)[:, None]
        responsibility = np.exp(log_joint - logsumexp(log_joint, axis=0))
        shares = np.nan_to_num(responsibility) @ weights + 1e-6 / n_members
        shares /= shares.sum()
    return shares


def log_normal(z: Array) -> Array:
    """Log density of the prior N(0, I) at z of shape (n, n_dim), shape (n,)."""
    return -0.5 * np.sum(z**2, axis=1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)
