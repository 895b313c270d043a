"""Fit a proposal to weighted draws state by state, where priors have discrete parts.

Every state that the weights support is a problem of its own, in fewer dimensions, and gets a committee of its
own; states of which little has been seen share one Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.target import Target
from nbi_sampler.priors.discrete import DiscreteParts, States
from nbi_sampler.proposals.by_state import IndependentStates, StateMixture, SubspaceProposal, rows_by_state
from nbi_sampler.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal, Proposal
from nbi_sampler.statistics.importance import effective_sample_size, normalised_weights

__all__ = ["StateFit", "fit_by_state", "flows_of_state"]

Array = NDArray[np.float64]

# Effective draws that a committee of a state needs; with fewer it keeps its last one, which is wider.
FEWEST_EFFECTIVE = 6.0
# Errors by which a coordinate's moments have to differ from the prior's for it to be fitted.
MOST_DEVIATIONS = 4.0
# Effective draws from which moments are compared: of fewer even a narrow peak's are not far enough off.
FEWEST_TO_COMPARE = 100.0
# Most states with committees, and with flows among these: each flow is another training.
MOST_STATES = 16
MOST_FLOWS = 2
LEAST_FOR_FLOW = 0.1
# Shares of states are the masses of these, tempered ones mixed in, and a least one.
WIDE_SHARES = (0.1, 0.05)
LEAST_SHARE = 0.01
# Share of the Gaussian for states without a committee: their mass, within limits.
RARE_SHARES = (0.02, 0.5)
# A state of which nothing was seen has as much weight as so many effective draws of its parameter's prior.
PRIOR_WEIGHT = 1.0

Committee = Callable[[Target, NDArray[np.intp], States, bool], Proposal]


class StateFit(NamedTuple):
    """A proposal by state.

    Attributes
    ----------
    members : tuple of Proposal
        States with committees; all others.
    shares : ndarray, shape (n_members,)
        Summing to 1.
    covered : float
        Mass of the states that have committees.
    """

    members: tuple[Proposal, ...]
    shares: Array
    covered: float


def fit_by_state(
    target: Target,
    parts: DiscreteParts,
    committee: Committee,
    former: tuple[Proposal, ...],
    rng: np.random.Generator,
) -> StateFit:
    """Fit a committee to the draws in each state.

    Parameters
    ----------
    target : Target
    parts : DiscreteParts
        With a discrete part at least.
    committee : callable
        ``(target, continuous, state, with_flow) -> Proposal`` over the continuous parameters of a state.
    former : tuple of Proposal
        Members of the latest proposals, oldest first.
    rng : numpy.random.Generator

    Returns
    -------
    StateFit
    """
    weights = normalised_weights(target.log_weights)
    groups = rows_by_state(parts.states(target.z))
    masses = np.array([weights[rows].sum() for _, rows in groups])
    order = np.argsort(-masses)[:MOST_STATES]
    states, members, shares = [], [], []
    n_flows = 0
    for i in order:
        state, rows = groups[i]
        continuous = parts.continuous(state)
        learnt = rows[~target.held_out[rows]]
        if effective_sample_size(target.log_weights[learnt]) < FEWEST_EFFECTIVE:
            known = _latest_of_state(former, state)
            if known is not None:
                states.append(state)
                members.append(known)
                shares.append(masses[i])
            continue
        of_state = _in_state(target, rows, parts, state)
        kept = _informed(of_state.z, normalised_weights(of_state.log_weights))
        with_flow = n_flows < MOST_FLOWS and masses[i] >= LEAST_FOR_FLOW and len(kept) > 0
        n_flows += with_flow
        member: Proposal = PriorProposal(len(continuous))
        if len(kept):
            inner = committee(_of_columns(of_state, kept), continuous[kept], state, with_flow)
            member = SubspaceProposal(inner, kept, len(continuous))
        states.append(state)
        members.append(member)
        shares.append(masses[i])
    rare = _independent_states(target, weights, parts, rng)
    if not states:
        return StateFit((rare,), np.ones(1), 0.0)
    covered = float(np.sum(shares))
    each = _with_wider_masses(np.array(shares) / covered, np.array(states), target, parts)
    share = float(np.clip(1.0 - covered, *RARE_SHARES))
    mixture = StateMixture(parts, np.array(states), each, tuple(members))
    return StateFit((mixture, rare), np.array([1.0 - share, share]), covered)


def _latest_of_state(members: tuple[Proposal, ...], state: States) -> Proposal | None:
    """What the last proposal that knew a state had for it."""
    for mixture in reversed(members):
        if isinstance(mixture, StateMixture):
            for each, member in zip(mixture.states, mixture.members, strict=True):
                if (each == state).all():
                    return member
    return None


def flows_of_state(
    members: tuple[Proposal, ...], parts: DiscreteParts, state: States, continuous: NDArray[np.intp]
) -> list[FlowProposal]:
    """Flows that earlier committees of a state have for these parameters, each once, oldest first."""
    found: dict[int, FlowProposal] = {}
    for mixture in members:
        if not isinstance(mixture, StateMixture):
            continue
        for each, member in zip(mixture.states, mixture.members, strict=True):
            if (each == state).all() and isinstance(member, SubspaceProposal):
                inner = member.member
                same = np.array_equal(parts.continuous(state)[member.kept], continuous)
                if same and isinstance(inner, MixtureProposal):
                    found |= {id(flow): flow for flow in inner.members if isinstance(flow, FlowProposal)}
    return list(found.values())


def _informed(y: Array, weights: Array) -> NDArray[np.int64]:
    """Coordinates that weighted draws tell apart from the prior: by moments, and by those of pairs.

    With an amplitude at zero, its mean and width follow the prior. A fit to draws would find something in
    their noise: what it finds costs more than what a difference too small to be seen here can be worth.
    """
    ess = effective_sample_size(np.log(weights[weights > 0.0]))
    if ess < FEWEST_TO_COMPARE:
        return np.arange(y.shape[1], dtype=np.int64)
    powers = [y, (y**2 - 1.0) / math.sqrt(2.0)]
    n_dim = y.shape[1]
    different = np.zeros(n_dim, dtype=bool)
    limit = MOST_DEVIATIONS / math.sqrt(ess)
    for own in powers:
        different |= np.abs(weights @ own) > limit
        for other in powers:
            centred = other - weights @ other
            scale = np.sqrt(weights @ centred**2) + 1e-300
            products = np.abs((own * weights[:, None]).T @ (centred / scale))
            np.fill_diagonal(products, 0.0)
            different |= products.max(axis=1) > limit
    return np.flatnonzero(different).astype(np.int64)


def _of_columns(target: Target, kept: NDArray[np.int64]) -> Target:
    wider = tuple(_of_columns(wide, kept) for wide in target.wider)
    return target._replace(z=target.z[:, kept], wider=wider)


def _in_state(target: Target, rows: NDArray[np.intp], parts: DiscreteParts, state: States) -> Target:
    """The draws in a state, in its coordinates."""
    wider = []
    for wide in target.wider:
        here = np.flatnonzero((parts.states(wide.z) == state).all(axis=1))
        wider.append(_in_state(wide, here, parts, state))
    return target._replace(
        z=parts.reduced(target.z[rows], state),
        held_out=target.held_out[rows],
        log_weights=target.log_weights[rows],
        wider=tuple(wider),
    )


def _with_wider_masses(shares: Array, states: States, target: Target, parts: DiscreteParts) -> Array:
    """Shares with those of the wider targets mixed in: a state may have been seen less than it weighs."""
    mixed = (1.0 - sum(WIDE_SHARES)) * shares
    for wide, share in zip(target.wider, WIDE_SHARES, strict=True):
        weights, of_rows = normalised_weights(wide.log_weights), parts.states(wide.z)
        mass = np.array([weights[(of_rows == state).all(axis=1)].sum() for state in states])
        mixed += share * (mass / mass.sum() if mass.sum() > 0.0 else shares)
    mixed = np.maximum(mixed, LEAST_SHARE)
    return mixed / mixed.sum()


def _independent_states(
    target: Target, weights: Array, parts: DiscreteParts, rng: np.random.Generator
) -> IndependentStates:
    """Marginal shares of each parameter's states, and the moments of what is continuous.

    A parameter in a part has no coordinate of its own: it follows the prior, as if the part were not there.
    """
    states = parts.states(target.z)
    ess = effective_sample_size(target.log_weights)
    y = rng.normal(size=target.z.shape)
    for state, rows in rows_by_state(states):
        y[np.ix_(rows, parts.continuous(state))] = parts.reduced(target.z[rows], state)
    log_shares = []
    for d in range(parts.n_dim):
        prior = parts.probabilities(d)
        mass = np.bincount(states[:, d], weights, len(prior))
        with np.errstate(divide="ignore"):
            log_shares.append(np.log((ess * mass + PRIOR_WEIGHT * prior) / (ess + PRIOR_WEIGHT)))
    mean = weights @ y
    centred = y - mean
    covariance = centred.T @ (centred * weights[:, None])
    # As if so many draws of the prior had been seen besides: few draws have too small a covariance.
    share = 1.0 / (1.0 + ess / parts.n_dim)
    return IndependentStates(
        parts, tuple(log_shares), mean, (1.0 - share) * covariance + share * np.eye(parts.n_dim)
    )
