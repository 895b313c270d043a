"""Fit a proposal to weighted draws state by state, where priors have discrete parts.

Every state that the weights support is a problem of its own, in fewer dimensions, and gets a mixture proposal
of its own; states of which little has been seen share one Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.mixture import Fitting, fit_mixture
from nbi_sampler.algorithm.proposals.by_state import (
    IndependentStates,
    StateMixture,
    SubspaceProposal,
    rows_by_state,
)
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import (
    FlowProposal,
    MixtureProposal,
    PriorProposal,
    Proposal,
    log_ratios,
)
from nbi_sampler.algorithm.proposals.shares import shares_by_likelihood
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.target import Target
from nbi_sampler.core.config import BY_STATE, MIXTURE, REFINEMENT
from nbi_sampler.importance.weights import effective_sample_size
from nbi_sampler.networks.training.fit import TrainingInfo
from nbi_sampler.priors.discrete import DiscreteParts, States
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["StateFit", "fit_by_state", "fit_states"]

Array = NDArray[np.float64]


class StateFit(NamedTuple):
    """A proposal by state.

    Attributes
    ----------
    members : tuple of Proposal
        States with mixture proposals; all others.
    shares : ndarray, shape (n_members,)
        Summing to 1.
    covered : float
        Mass of the states that have mixture proposals.
    trainings : tuple of TrainingInfo
    """

    members: tuple[Proposal, ...]
    shares: Array
    covered: float
    trainings: tuple[TrainingInfo, ...]


def fit_by_state(
    target: Target, space: ParameterSpace, fitting: Fitting
) -> tuple[MixtureProposal, tuple[TrainingInfo, ...]]:
    """Fit a mixture proposal to every state; beside them one for all where they leave out too much."""
    members, shares, covered, trainings = fit_states(target, space, fitting)
    if covered < BY_STATE.well_covered:
        one = fit_mixture(target, space.periodic, fitting)
        trainings += one.trainings
        every = (*members, one.proposal)
        z, weights, _ = target.tested
        divided_shares = shares_by_likelihood(log_ratios(every, z), weights, np.zeros(len(every)))
        divided = MixtureProposal.of_shares(every, divided_shares)
        rare, members, shares = members[-1], divided.members, divided.shares
        if not any(member is rare for member in members):
            members, shares = (*members, rare), np.append(shares, BY_STATE.rare_shares[0])
    shares = np.append((1.0 - MIXTURE.prior_share) * shares / shares.sum(), MIXTURE.prior_share)
    return MixtureProposal((*members, PriorProposal(space.n_dim)), shares), trainings


def fit_states(target: Target, space: ParameterSpace, fitting: Fitting) -> StateFit:
    """Fit a mixture proposal to the draws in each state, and a Gaussian to those of states hardly seen.

    Parameters
    ----------
    space : ParameterSpace
        With a discrete part at least.
    """
    parts = space.discrete
    moments = _moments(target, parts)
    groups = rows_by_state(parts.states(target.z))
    masses = np.array([target.weights[rows].sum() for _, rows in groups])
    order = np.argsort(-masses)[: BY_STATE.most_states]
    states, members, trainings = list[States](), list[Proposal](), list[TrainingInfo]()
    covered = 0.0
    for i in order:
        state, rows = groups[i]
        continuous = parts.continuous(state)
        ess = effective_sample_size(target.log_weights[rows[~target.held_out[rows]]])
        many = len(states) >= BY_STATE.most_mixtures
        small = many or masses[i] < BY_STATE.least_mass or ess < BY_STATE.fewest_effective
        thin = small or ess < BY_STATE.fewest_to_compare
        of_state = _in_state(target, rows, parts, state)
        own = _extrapolated(of_state) if thin else None
        member: Proposal | None
        if len(continuous) == 0:
            member = PriorProposal(0)
        elif small:
            member = own or _latest_of_state(target.members[target.n_retired :], state)
        else:
            with_flow = len(trainings) < BY_STATE.most_flows and masses[i] >= BY_STATE.least_for_flow
            member, made = _fit_state(of_state, space, state, fitting, with_flow)
            trainings += made
        if len(continuous) and thin:
            other = own if own and not small else _borrowed(moments, continuous)
            both = (member, other) if member is not None else (other,)
            member = MixtureProposal(both, np.full(len(both), 1.0 / len(both)))
        assert member is not None
        states.append(state)
        members.append(member)
        covered += 0.0 if small and len(continuous) else masses[i]
    rare = _independent_states(target, parts, moments)
    known = float(np.sum(masses[order]))
    each = _with_wider_masses(masses[order] / known, np.array(states), target, parts)
    share = float(np.clip(1.0 - known, *BY_STATE.rare_shares))
    mixture = StateMixture(parts, np.array(states), each, tuple(members))
    return StateFit((mixture, rare), np.array([1.0 - share, share]), covered, tuple(trainings))


def _fit_state(
    of_state: Target, space: ParameterSpace, state: States, fitting: Fitting, with_flow: bool
) -> tuple[Proposal, tuple[TrainingInfo, ...]]:
    """A mixture proposal for the parameters that matter in a state; the others follow the prior."""
    parts = space.discrete
    continuous = parts.continuous(state)
    kept = _informed(of_state.z, of_state.weights)
    if not len(kept):
        return PriorProposal(len(continuous)), ()
    informed = continuous[kept]
    whole = np.array([len(each) == 0 for each in parts.lower])
    former = partial(_flows_of_state, parts=parts, state=state, continuous=informed)
    periodic = (space.periodic & whole)[informed]
    made = fit_mixture(_of_columns(of_state, kept), periodic, fitting, former, with_flow)
    return SubspaceProposal(made.proposal, kept, len(continuous)), made.trainings


def _latest_of_state(members: tuple[Proposal, ...], state: States) -> Proposal | None:
    """Proposal for a state of the last one that knew it, without what that had borrowed."""
    for mixture in reversed(members):
        if isinstance(mixture, StateMixture):
            for each, member in zip(mixture.states, mixture.members, strict=True):
                if (each == state).all() and isinstance(member, MixtureProposal):
                    return member.members[0] if len(member.members) > 1 else None
                if (each == state).all():
                    return member
    return None


def _flows_of_state(
    members: tuple[Proposal, ...], parts: DiscreteParts, state: States, continuous: NDArray[np.intp]
) -> list[FlowProposal]:
    """Flows that former proposals of a state have for these parameters, each once, oldest first."""
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
    if ess < BY_STATE.fewest_to_compare:
        return np.arange(y.shape[1], dtype=np.int64)
    powers = [y, (y**2 - 1.0) / math.sqrt(2.0)]
    n_dim = y.shape[1]
    different = np.zeros(n_dim, dtype=bool)
    limit = BY_STATE.most_deviations / math.sqrt(ess)
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
    return replace(target, z=target.z[:, kept], wider=wider)


def _in_state(target: Target, rows: NDArray[np.intp], parts: DiscreteParts, state: States) -> Target:
    """The draws in a state, in its coordinates."""
    wider = []
    for wide in target.wider:
        here = np.flatnonzero((parts.states(wide.z) == state).all(axis=1))
        wider.append(_in_state(wide, here, parts, state))
    return replace(
        target,
        z=parts.reduced(target.z[rows], state),
        held_out=target.held_out[rows],
        log_weights=target.log_weights[rows],
        log_target=None if target.log_target is None else target.log_target[rows],
        wider=tuple(wider),
    )


def _with_wider_masses(shares: Array, states: States, target: Target, parts: DiscreteParts) -> Array:
    """Shares with those of the wider targets mixed in: a state may have been seen less than it weighs."""
    mixed = (1.0 - sum(BY_STATE.wide_shares)) * shares
    for wide, share in zip(target.wider, BY_STATE.wide_shares, strict=True):
        of_rows = parts.states(wide.z)
        mass = np.array([wide.weights[(of_rows == state).all(axis=1)].sum() for state in states])
        mixed += share * (mass / mass.sum() if mass.sum() > 0.0 else shares)
    mixed = np.maximum(mixed, BY_STATE.least_share)
    return mixed / mixed.sum()


def _extrapolated(of_state: Target) -> LatentKernels | None:
    r"""Kernels for a state with few effective draws, from more of them under a smaller power.

    With a Gaussian likelihood of precision :math:`\Lambda` about m, and the prior N(0, I), the moments under
    a power p are

    .. math:: \Sigma_p^{-1} = I + p \Lambda, \qquad \Sigma_p^{-1} \mu_p = p \Lambda m

    which gives those of the target itself. One kernel has these moments, the other those that were seen.
    Without them all draws of a state with 3 % of the mass of three switches missed it.
    """
    n_dim = of_state.z.shape[1]
    fewest = BY_STATE.fewest_for_moments + BY_STATE.moments_per_dimension * n_dim
    for seen, power in zip((of_state, *of_state.wider), (1.0, *REFINEMENT.wide_exponents), strict=True):
        if n_dim == 0 or len(seen.z) <= n_dim or effective_sample_size(seen.log_weights) < fewest:
            continue
        mean = seen.weights @ seen.z
        centred = seen.z - mean
        covariance = (seen.weights[:, None] * centred).T @ centred + 1e-9 * np.eye(n_dim)
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
    factors = np.asarray(BY_STATE.kernel_width * np.linalg.cholesky(covariances), dtype=np.float64)
    mixture = StudentMixture(np.full(len(means), 1.0 / len(means)), means, factors, BY_STATE.kernel_degrees)
    return LatentKernels(mixture, np.zeros(means.shape[1]))


def _moments(target: Target, parts: DiscreteParts) -> tuple[Array, Array]:
    """Mean and covariance of all coordinates, each over the draws in which it, or a pair, is continuous.

    So a state that no draw has found yet is looked for where its parameters are in other states.
    """
    states, weights = parts.states(target.z), target.weights
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
    enough = both**2 > BY_STATE.fewest_effective * squares
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
    target: Target, parts: DiscreteParts, moments: tuple[Array, Array]
) -> IndependentStates:
    """Marginal shares of each parameter's states, and the moments of what is continuous."""
    states = parts.states(target.z)
    ess, unseen = effective_sample_size(target.log_weights), BY_STATE.prior_weight
    log_shares = []
    for d in range(parts.n_dim):
        prior = parts.probabilities(d)
        mass = np.bincount(states[:, d], target.weights, len(prior))
        with np.errstate(divide="ignore"):
            log_shares.append(np.log((ess * mass + unseen * prior) / (ess + unseen)))
    return IndependentStates(parts, tuple(log_shares), *moments)
