"""A proposal whose draws are thinned by an approximation, before the likelihood is called."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.proposals.proposal import CHUNK, MixtureProposal
from nbi_sampler.core.config import THINNING

__all__ = ["ThinnedProposal", "thinned"]

Array = NDArray[np.float64]
N_BISECTIONS = 40


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

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        kept, missing = [], n
        while missing > 0:
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
    return np.log(floor + (1.0 - floor) * np.exp(np.minimum(log_weights - log_threshold, 0.0)))


def thinned(proposal: MixtureProposal, approximation: Approximate, log_weights: Array) -> ThinnedProposal:
    """A thinned version of a proposal, of a given efficiency in the approximation.

    Parameters
    ----------
    proposal : MixtureProposal
    approximation : Approximate
    log_weights : ndarray, shape (n,)
        Log weights of draws of the proposal in the approximation.
    """
    weights = np.exp(log_weights - log_weights.max())

    def kept(log_threshold: float) -> Array:
        return np.minimum(weights * np.exp(-log_threshold), 1.0)

    low, high = np.log(weights.mean()), 0.0
    for _ in range(N_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = _kept_efficiency(weights, kept(middle)) >= THINNING.efficiency
        low, high = (low, middle) if enough else (middle, high)
    floor = THINNING.floor * float(kept(high).mean())
    log_threshold = high + log_weights.max()
    probability = np.exp(log_probability(log_weights, log_threshold, floor))
    mean = float(probability.mean())
    error = float(probability.std()) / (mean * np.sqrt(len(probability)))
    return ThinnedProposal(proposal, approximation, float(log_threshold), floor, float(np.log(mean)), error)


def _kept_efficiency(weights: Array, probability: Array) -> float:
    """Efficiency of draws that are kept with a probability, by the weights of all draws."""
    alive = weights > 0.0
    squares = np.sum(weights[alive] ** 2 / probability[alive])
    return float(weights.sum() ** 2 / (probability.sum() * squares))
