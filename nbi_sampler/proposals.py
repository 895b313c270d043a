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
from scipy.special import gammaln, logsumexp
from torch import Tensor, nn

from nbi_sampler.periodic import apply_cut, remove_cut
from nbi_sampler.randomness import torch_generator

__all__ = ["AffineMap", "FlowProposal", "MixtureProposal", "PriorProposal", "Proposal", "StudentProposal"]

Array = NDArray[np.float64]

CHUNK = 20_000


class Proposal(Protocol):
    """A distribution over uncut latent coordinates."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""

    def log_ratio(self, z: Array) -> Array:
        """``log q(z) - log N(z; 0, I)`` for z of shape (n, n_dim), shape (n,)."""


class AffineMap:
    """z = mean + factor y with a lower-triangular factor.

    Parameters
    ----------
    mean : ndarray, shape (n_dim,)
    factor : ndarray, shape (n_dim, n_dim)
    """

    def __init__(self, mean: Array, factor: Array) -> None:
        self.mean = mean
        self.factor = factor
        self.inverse = np.linalg.inv(factor)
        self.log_det = float(np.log(np.abs(np.diag(factor))).sum())

    @classmethod
    def standardising(cls, z: Array, weights: Array) -> AffineMap:
        """The map from a standard normal to the mean and covariance of weighted draws.

        Parameters
        ----------
        z : ndarray, shape (n, n_dim)
        weights : ndarray, shape (n,)
            Summing to 1.
        """
        mean = weights @ z
        centred = z - mean
        covariance = centred.T @ (centred * weights[:, None])
        variance = np.diag(covariance) + 1e-300
        ridge = np.diag(1e-9 * variance + 1e-18)
        return cls(mean, np.linalg.cholesky(covariance + ridge))

    def forward(self, y: Array) -> Array:
        """Y to z, both of shape (n, n_dim)."""
        return y @ self.factor.T + self.mean

    def backward(self, z: Array) -> Array:
        """Z to y, both of shape (n, n_dim)."""
        return (z - self.mean) @ self.inverse.T


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
    flow : nn.Module
        With ``log_prob(y, context)`` and ``sample(n, context, generator)``.
    context : Tensor, shape (1, n_context), or None
    affine : AffineMap
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    """

    def __init__(self, flow: nn.Module, context: Tensor | None, affine: AffineMap, cut: Array) -> None:
        self.flow = flow
        self.context = context
        self.affine = affine
        self.cut = cut
        self._reference = next(iter(flow.parameters()), torch.zeros(1))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        generator = torch_generator(rng, self._reference.device)
        chunks = [
            self.flow.sample(min(CHUNK, n - start), self.context, generator).double().cpu().numpy()
            for start in range(0, n, CHUNK)
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
            for part in y.split(CHUNK)
        ]
        log_q = (np.concatenate(chunks) if chunks else np.zeros(0)) - self.affine.log_det
        return np.where(np.isfinite(log_q), log_q, -np.inf) - _log_normal(z)


class StudentProposal:
    r"""Multivariate Student-t in cut coordinates: the wide, heavy-tailed part of a defensive mixture.

    Parameters
    ----------
    affine : AffineMap
        Location and scale.
    cut : ndarray, shape (n_dim,)
    degrees : float
        Degrees of freedom.
    """

    def __init__(self, affine: AffineMap, cut: Array, degrees: float = 4.0) -> None:
        self.affine = affine
        self.cut = cut
        self.degrees = degrees

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        normal = rng.normal(size=(n, len(self.cut)))
        divisor = np.sqrt(rng.chisquare(self.degrees, size=(n, 1)) / self.degrees)
        return remove_cut(self.affine.forward(normal / divisor), self.cut)

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        z = apply_cut(z, self.cut)
        n_dim, degrees = z.shape[1], self.degrees
        square = np.sum(self.affine.backward(z) ** 2, axis=1)
        log_q = (
            gammaln(0.5 * (degrees + n_dim))
            - gammaln(0.5 * degrees)
            - 0.5 * n_dim * math.log(degrees * math.pi)
            - 0.5 * (degrees + n_dim) * np.log1p(square / degrees)
            - self.affine.log_det
        )
        return log_q - _log_normal(z)


class MixtureProposal:
    """Fixed shares of several proposals; with a share of something wide, weights stay bounded.

    Parameters
    ----------
    parts : sequence of Proposal
    shares : sequence of float
        Summing to 1.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185 (defensive mixtures).
    """

    def __init__(self, parts: tuple[Proposal, ...], shares: tuple[float, ...]) -> None:
        self.parts = parts
        self.shares = shares

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws in random order, shape (n, n_dim)."""
        counts = rng.multinomial(n, self.shares)
        return rng.permutation(
            np.concatenate([part.sample(k, rng) for part, k in zip(self.parts, counts, strict=True)])
        )

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior`` of the mixture, shape (n,)."""
        log_ratios = np.stack([part.log_ratio(z) for part in self.parts])
        return np.asarray(logsumexp(log_ratios + np.log(self.shares)[:, None], axis=0))


def _log_normal(z: Array) -> Array:
    return -0.5 * np.sum(z**2, axis=1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)
