"""A proposal whose draws are thinned by an approximation, before the likelihood is called."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy.special import logsumexp

from nbi_sampler.algorithm.proposals.proposal import CHUNK, MixtureProposal
from nbi_sampler.core.config import THINNING
from nbi_sampler.core.types import Array

__all__ = ["ThinnedProposal", "thinned"]


class Approximate(Protocol):
    """An approximation of the likelihood, as a function of latent coordinates."""

    def flattened(self, z: Array) -> Array:
        """Log of a power of it, for z of shape (n, n_dim), shape (n,)."""


class ThinnedProposal:
    r"""Draws of another proposal, each kept with a probability that rises with its weight.

    With an approximate likelihood :math:`\tilde L`, a threshold c and a floor f, the probability and the
    density are

    .. math::
        \alpha = f + (1 - f) \min(1, w / c), \quad w = \tilde L\, p / q, \qquad
        q' = \alpha\, q / A, \quad A = \mathrm{E}_q[\alpha]

    A is estimated once, from many draws, and its error is one that all log ratios share. Because of the floor
    the weights are at most A / f times those of the other proposal, whatever the approximation lacks.

    Parameters
    ----------
    proposal : MixtureProposal
    approximation : Approximate
    log_threshold : float
    floor : float
    log_acceptance : float
        Log of A.
    log_ratio_error : float
        Standard deviation of its estimate.

    References
    ----------
    Liu, Chen & Wong (1998), JASA 93, 1022 (rejection control).
    """

    def __init__(
        self,
        proposal: MixtureProposal,
        approximation: Approximate,
        log_threshold: float,
        floor: float,
        log_acceptance: float,
        log_ratio_error: float,
    ) -> None:
        self.proposal = proposal
        self.approximation = approximation
        self.log_threshold = log_threshold
        self.floor = floor
        self.log_acceptance = log_acceptance
        self.log_ratio_error = log_ratio_error

    def with_acceptance(self, log_weights: Array) -> ThinnedProposal:
        """The same proposal, with the mean probability by draws of the other one with these log weights."""
        kept = np.exp(log_probability(log_weights, self.log_threshold, self.floor))
        error = float(kept.std() / (kept.mean() * np.sqrt(len(kept))))
        rule = self.proposal, self.approximation, self.log_threshold, self.floor
        return ThinnedProposal(*rule, float(np.log(kept.mean())), error)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        kept: list[Array] = []
        missing = n
        # A mixture may ask for no draws.
        while missing > 0 or not kept:
            wanted = 1.1 * missing * np.exp(-self.log_acceptance) + 100.0
            z = self.proposal.sample(int(min(wanted, CHUNK)), rng)
            kept.append(z[np.log(rng.random(len(z))) < self._log_probability(z, self.proposal.log_ratio(z))])
            missing -= len(kept[-1])
        return np.concatenate(kept)[:n]

    def log_ratio(self, z: Array) -> Array:
        """``log q' - log prior`` for z of shape (n, n_dim), shape (n,)."""
        log_ratio = self.proposal.log_ratio(z)
        return log_ratio + self._log_probability(z, log_ratio) - self.log_acceptance

    def _log_probability(self, z: Array, log_ratio: Array) -> Array:
        log_weights = self.approximation.flattened(z) - log_ratio
        return log_probability(log_weights, self.log_threshold, self.floor)


def log_probability(log_weights: Array, log_threshold: float, floor: float) -> Array:
    """Log probability of draws with these weights to be kept, shape (n,).

    Examples
    --------
    >>> np.exp(log_probability(np.log([0.5, 2.0]), 0.0, 0.1)).round(3)
    array([0.55, 1.  ])
    """
    if floor == 1.0:
        return np.zeros(len(log_weights))
    log_ratio = np.minimum(log_weights - log_threshold, 0.0)
    return np.logaddexp(math.log(floor), math.log1p(-floor) + log_ratio) if floor else log_ratio


def thinned(
    proposal: MixtureProposal, approximation: Approximate, log_weights: Array
) -> tuple[ThinnedProposal, float]:
    """The thinned version of a proposal whose effective samples cost least, and its efficiency.

    A larger threshold makes the kept draws more efficient in the approximation, and takes more draws of the
    proposal for each of them. If the approximation excludes all draws, all are kept, and the efficiency is 0.

    Parameters
    ----------
    proposal : MixtureProposal
    approximation : Approximate
    log_weights : ndarray, shape (n,)
        Log weights of draws of the proposal in the approximation.
    """
    if not np.isfinite(log_weights).any():
        return ThinnedProposal(proposal, approximation, 0.0, 1.0, 0.0, 0.0), 0.0
    highest = log_weights.max()
    log_mean = float(np.log(np.exp(log_weights - highest).mean()))
    thresholds = highest + np.linspace(log_mean, 0.0, THINNING.n_thresholds)

    def cost(log_threshold: float) -> float:
        log_kept = log_probability(log_weights, log_threshold, 0.0)
        return (1.0 + THINNING.draw / np.exp(log_kept).mean()) / _kept_efficiency(log_weights, log_kept)

    best = float(min(thresholds, key=cost))
    floor = THINNING.floor * float(np.exp(log_probability(log_weights, best, 0.0)).mean())
    thin = ThinnedProposal(proposal, approximation, best, floor, 0.0, 0.0).with_acceptance(log_weights)
    return thin, _kept_efficiency(log_weights, log_probability(log_weights, best, floor))


def _kept_efficiency(log_weights: Array, log_kept: Array) -> float:
    """Efficiency of draws that are kept with a probability, from the weights of all draws."""
    alive = np.isfinite(log_weights)
    log_sums = logsumexp(log_weights[alive]), logsumexp(2.0 * log_weights[alive] - log_kept[alive])
    return float(np.exp(2.0 * log_sums[0] - log_sums[1] - logsumexp(log_kept)))
