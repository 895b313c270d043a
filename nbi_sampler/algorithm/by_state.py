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

from nbi_sampler.algorithm.proposals.by_state import (
    IndependentStates,
    StateMixture,
    SubspaceProposal,
    rows_by_state,
)
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal, Proposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.target import WIDE_EXPONENTS, Target
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights
from nbi_sampler.priors.discrete import DiscreteParts, States

__all__ = ["RARE_SHARES", "StateFit", "fit_by_state", "flows_of_state"]

Array = NDArray[np.float64]

# Effective draws that a committee of a state needs; with fewer it keeps its last one, which is wider.
FEWEST_EFFECTIVE = 6.0
# Errors by which a coordinate's moments have to differ from the prior's for it to be fitted.
MOST_DEVIATIONS = 4.0
# Effective draws from which moments are compared: of fewer even a narrow peak's are not far enough off.
FEWEST_TO_COMPARE = 100.0
# Half of the draws of a state with fewer than that come from kernels by moments, a little wider.
# Own moments need so many effective draws, and more for each dimension.
KERNEL_WIDTH = 1.3
KERNEL_DEGREES = 8.0
FEWEST_FOR_MOMENTS = 4.0
MOMENTS_PER_DIMENSION = 2.0
# Most states with a share, with committees, and with flows among these: each flow is another training.
MOST_STATES = 40
MOST_COMMITTEES = 8
LEAST_MASS = 0.003
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

    Returns
    -------
    StateFit
    """
    weights = normalised_weights(target.log_weights)
    moments = _moments(target, weights, parts)
    groups = rows_by_state(parts.states(target.z))
    masses = np.array([weights[rows].sum() for _, rows in groups])
    order = np.argsort(-masses)[:MOST_STATES]
    states, members, shares = list[States](), list[Proposal](), list[float]()
    n_flows, covered = 0, 0.0
    for i in order:
        state, rows = groups[i]
        continuous = parts.continuous(state)
        ess = effective_sample_size(target.log_weights[rows[~target.held_out[rows]]])
        small = len(states) >= MOST_COMMITTEES or masses[i] < LEAST_MASS or ess < FEWEST_EFFECTIVE
        of_state = _in_state(target, rows, parts, state)
        own = _extrapolated(of_state) if small or ess < FEWEST_TO_COMPARE else None
        member: Proposal | None = None
        if len(continuous) == 0:
            member = PriorProposal(0)
        elif small:
            member = own or _latest_of_state(former, state)
        else:
            kept = _informed(of_state.z, normalised_weights(of_state.log_weights))
            with_flow = n_flows < MOST_FLOWS and masses[i] >= LEAST_FOR_FLOW and len(kept) > 0
            n_flows += with_flow
            member = PriorProposal(len(continuous))
            if len(kept):
                inner = committee(_of_columns(of_state, kept), continuous[kept], state, with_flow)
                member = SubspaceProposal(inner, kept, len(continuous))
        if len(continuous) and (small or ess < FEWEST_TO_COMPARE):
            other = own if own and not small else _borrowed(moments, continuous)
            both = (member, other) if member is not None else (other,)
            member = MixtureProposal(both, np.full(len(both), 1.0 / len(both)))
        assert member is not None
        states.append(state)
        members.append(member)
        shares.append(masses[i])
        covered += 0.0 if small and len(continuous) else masses[i]
    rare = _independent_states(target, weights, parts, moments)
    known = float(np.sum(shares))
    each = _with_wider_masses(np.array(shares) / known, np.array(states), target, parts)
    share = float(np.clip(1.0 - known, *RARE_SHARES))
    mixture = StateMixture(parts, np.array(states), each, tuple(members))
    return StateFit((mixture, rare), np.array([1.0 - share, share]), covered)


def _latest_of_state(members: tuple[Proposal, ...], state: States) -> Proposal | None:
    """What the last proposal that knew a state had for it, without what that had borrowed."""
    for mixture in reversed(members):
        if isinstance(mixture, StateMixture):
            for each, member in zip(mixture.states, mixture.members, strict=True):
                if (each == state).all() and isinstance(member, MixtureProposal):
                    return member.members[0] if len(member.members) > 1 else None
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
            own = member.members[0] if isinstance(member, MixtureProposal) else member
            if (each == state).all() and isinstance(own, SubspaceProposal):
                inner = own.member
                same = np.array_equal(parts.continuous(state)[own.kept], continuous)
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


def _extrapolated(of_state: Target) -> LatentKernels | None:
    r"""Kernels for a state with few effective draws, from more of them under a smaller power.

    With a Gaussian likelihood of precision :math:`\Lambda` about m, and the prior N(0, I), the moments under
    a power p are

    .. math:: \Sigma_p^{-1} = I + p \Lambda, \qquad \Sigma_p^{-1} \mu_p = p \Lambda m

    which gives those of the target itself. One kernel has these moments, the other those that were seen.
    Without them log Z of three switches was 0.032 too low (4.2 errors, 7,250 calls) under "ok", because all
    draws of a state with 3 % of the mass missed it; with them 0.006 too high (0.6 errors, 6,050 calls).
    """
    n_dim = of_state.z.shape[1]
    fewest = FEWEST_FOR_MOMENTS + MOMENTS_PER_DIMENSION * n_dim
    for seen, power in zip((of_state, *of_state.wider), (1.0, *WIDE_EXPONENTS), strict=True):
        if n_dim == 0 or len(seen.z) <= n_dim or effective_sample_size(seen.log_weights) < fewest:
            continue
        weights = normalised_weights(seen.log_weights)
        mean = weights @ seen.z
        centred = seen.z - mean
        covariance = (weights[:, None] * centred).T @ centred + 1e-9 * np.eye(n_dim)
        precision = np.linalg.inv(covariance)
        values, vectors = np.linalg.eigh((precision - np.eye(n_dim)) / power)
        at_target = np.linalg.inv(np.eye(n_dim) + (vectors * np.maximum(values, 0.0)) @ vectors.T)
        return _kernels_of([(at_target @ precision @ mean / power, at_target), (mean, covariance)])
    return None


def _borrowed(moments: tuple[Array, Array], continuous: NDArray[np.intp]) -> LatentKernels:
    """One kernel for a state, from what the parameters that are continuous in it are elsewhere."""
    mean, covariance = moments[0][continuous], moments[1][np.ix_(continuous, continuous)]
    return _kernels_of([(mean, covariance)])


def _kernels_of(moments: list[tuple[Array, Array]]) -> LatentKernels:
    means, covariances = (np.array(each) for each in zip(*moments, strict=True))
    factors = np.asarray(KERNEL_WIDTH * np.linalg.cholesky(covariances), dtype=np.float64)
    mixture = StudentMixture(np.full(len(means), 1.0 / len(means)), means, factors, KERNEL_DEGREES)
    return LatentKernels(mixture, np.zeros(means.shape[1]))


def _moments(target: Target, weights: Array, parts: DiscreteParts) -> tuple[Array, Array]:
    """Mean and covariance of all coordinates, each over the draws in which it, or a pair, is continuous.

    So a state that no draw has found yet is looked for where its parameters are in other states.
    """
    states = parts.states(target.z)
    known = (states == 0).astype(float)
    y = np.zeros(target.z.shape)
    for state, rows in rows_by_state(states):
        kept = parts.continuous(state)
        y[np.ix_(rows, kept)] = parts.reduced(target.z[rows], state)
    w = weights[:, None] * known
    mass = w.sum(axis=0) + 1e-300
    mean = (w * y).sum(axis=0) / mass
    centred = known * (y - mean)
    both, squares = known.T @ w, (weights[:, None] * known).T ** 2 @ known
    covariance = (centred.T @ (centred * weights[:, None])) / (both + 1e-300)
    enough = both**2 > FEWEST_EFFECTIVE * squares
    seen = np.diagonal(enough)
    covariance = np.where(enough & np.outer(seen, seen), covariance, 0.0)
    variance = np.where(seen, np.diagonal(covariance) + 1e-9, 1.0)
    mean = np.where(seen, mean, 0.0)
    covariance[np.diag_indices(len(mean))] = 0.0
    # Pairs from different draws need not make a covariance.
    for share in (1.0, 0.8, 0.5):
        whole = share * covariance + np.diag(variance)
        if np.linalg.eigvalsh(whole / np.sqrt(np.outer(variance, variance)))[0] > 1e-4:
            return mean, whole
    return mean, np.diag(variance)


def _independent_states(
    target: Target, weights: Array, parts: DiscreteParts, moments: tuple[Array, Array]
) -> IndependentStates:
    """Marginal shares of each parameter's states, and the moments of what is continuous."""
    states = parts.states(target.z)
    ess = effective_sample_size(target.log_weights)
    log_shares = []
    for d in range(parts.n_dim):
        prior = parts.probabilities(d)
        mass = np.bincount(states[:, d], weights, len(prior))
        with np.errstate(divide="ignore"):
            log_shares.append(np.log((ess * mass + PRIOR_WEIGHT * prior) / (ess + PRIOR_WEIGHT)))
    return IndependentStates(parts, tuple(log_shares), *moments)
