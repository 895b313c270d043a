r"""Proposals with discrete states: which parameters are at a spike, and which values discrete ones have.

A posterior under slab-and-spike or discrete priors is a mixture over states, and in each state fewer
parameters are continuous. A density over all latent coordinates would have to follow the steps between
states, and to learn that the likelihood is flat within each. Here each state has a share, and a proposal for
its continuous parameters. The others follow the prior within their interval exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.proposals.proposal import Proposal
from nbi_sampler.core.types import Array
from nbi_sampler.priors.discrete import DiscreteParts, States

__all__ = ["IndependentStates", "StateMixture", "SubspaceProposal", "rows_by_state"]


class StateMixture:
    r"""Shares of states, and a proposal for the continuous parameters of each.

    .. math:: \frac{q(z)}{p(z)} = \frac{\pi_s}{P(s)}\, \frac{q_s(y)}{N(y; 0, I)}

    with s the state of z, P its prior probability and y the coordinates of `DiscreteParts.reduced`.

    Parameters
    ----------
    parts : DiscreteParts
    states : ndarray of int, shape (n_states, n_dim)
    shares : ndarray, shape (n_states,)
        Positive values that sum to 1.
    members : tuple of Proposal
        Over the continuous parameters of each state.
    """

    def __init__(
        self, parts: DiscreteParts, states: States, shares: Array, members: tuple[Proposal, ...]
    ) -> None:
        self.parts = parts
        self.states = states
        self.shares = shares
        self.members = members

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        counts = rng.multinomial(n, self.shares)
        drawn = [
            self.parts.expanded(member.sample(int(k), rng), state, rng)
            for state, member, k in zip(self.states, self.members, counts, strict=True)
            if k
        ]
        return np.concatenate([np.zeros((0, self.parts.n_dim)), *drawn])

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, minus infinity in other states, shape (n,)."""
        result = np.full(len(z), -np.inf)
        log_shares = np.log(self.shares) - self.parts.log_prior(self.states)
        of_rows = self.parts.states(z)
        for state, member, log_share in zip(self.states, self.members, log_shares, strict=True):
            rows = (of_rows == state).all(axis=1)
            if rows.any():
                result[rows] = log_share + member.log_ratio(self.parts.reduced(z[rows], state))
        return result


class IndependentStates:
    r"""Independent states of all parameters, and one Gaussian for the continuous ones.

    It covers the states with few draws.

    Parameters
    ----------
    parts : DiscreteParts
    log_shares : tuple of ndarray
        Log shares of all states of each parameter, the continuous one first.
    mean : ndarray, shape (n_dim,)
    covariance : ndarray, shape (n_dim, n_dim)
        Moments of the coordinates `DiscreteParts.reduced` of all parameters.
    """

    def __init__(
        self, parts: DiscreteParts, log_shares: tuple[Array, ...], mean: Array, covariance: Array
    ) -> None:
        self.parts = parts
        self.log_shares = log_shares
        self.mean = mean
        self.covariance = covariance

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        states = np.zeros((n, self.parts.n_dim), dtype=np.int64)
        for d, log_shares in enumerate(self.log_shares):
            if len(log_shares) > 1:
                states[:, d] = rng.choice(len(log_shares), size=n, p=np.exp(log_shares))
        y = self.mean + rng.normal(size=(n, len(self.mean))) @ np.linalg.cholesky(self.covariance).T
        z = np.empty_like(y)
        for state, rows in rows_by_state(states):
            z[rows] = self.parts.expanded(y[np.ix_(rows, self.parts.continuous(state))], state, rng)
        return z

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        states = self.parts.states(z)
        result = -self.parts.log_prior(states)
        for d, log_shares in enumerate(self.log_shares):
            result += log_shares[states[:, d]]
        for state, rows in rows_by_state(states):
            kept = self.parts.continuous(state)
            y = self.parts.reduced(z[rows], state)
            factor = np.linalg.cholesky(self.covariance[np.ix_(kept, kept)])
            standard = np.linalg.solve(factor, (y - self.mean[kept]).T)
            result[rows] += 0.5 * (y**2).sum(axis=1) - 0.5 * (standard**2).sum(axis=0)
            result[rows] -= np.log(np.diagonal(factor)).sum()
        return result


class SubspaceProposal:
    """A proposal for some of the coordinates. The others follow the prior.

    Parameters
    ----------
    member : Proposal
        Proposal for the coordinates that are kept.
    kept : ndarray of int, shape (n_kept,)
        Ascending.
    n_dim : int
        Number of all coordinates.
    """

    def __init__(self, member: Proposal, kept: NDArray[np.int64], n_dim: int) -> None:
        self.member = member
        self.kept = kept
        self.n_dim = n_dim

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (n, n_dim)."""
        z = rng.normal(size=(n, self.n_dim))
        z[:, self.kept] = self.member.sample(n, rng)
        return z

    def log_ratio(self, z: Array) -> Array:
        """``log q - log prior``, shape (n,)."""
        return self.member.log_ratio(z[:, self.kept])


def rows_by_state(states: States) -> list[tuple[States, NDArray[np.intp]]]:
    """Each state among states of shape (n, n_dim), with the rows that are in it."""
    if not len(states):
        return []
    found, which = np.unique(states, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(found)))
    return list(zip(found, np.split(order, ends[:-1]), strict=True))
