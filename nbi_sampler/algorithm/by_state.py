"""Fit a proposal to weighted draws state by state, if priors have discrete parts.

Each state with enough weight is a problem of its own, in fewer dimensions, and gets its own mixture proposal.
States with few draws share one Gaussian.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.mixture import Fitting, MixtureFit
from nbi_sampler.algorithm.one_state import OneState, gaussian_kernels
from nbi_sampler.algorithm.proposals.by_state import IndependentStates, StateMixture, rows_by_state
from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal, Proposal, log_ratios
from nbi_sampler.algorithm.proposals.shares import shares_by_likelihood
from nbi_sampler.algorithm.target import Target
from nbi_sampler.core.config import BY_STATE, MIXTURE
from nbi_sampler.core.types import Array
from nbi_sampler.networks.training.fit import TrainingInfo
from nbi_sampler.priors.discrete import States
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["StateFit", "StatesFit"]


class StateFit(NamedTuple):
    """A proposal by state.

    Attributes
    ----------
    members : tuple of Proposal
        The states with mixture proposals, and all others.
    shares : ndarray, shape (n_members,)
        Summing to 1.
    covered : float
        Mass of the states with mixture proposals.
    trainings : tuple of TrainingInfo
    """

    members: tuple[Proposal, ...]
    shares: Array
    covered: float
    trainings: tuple[TrainingInfo, ...]


class StatesFit:
    """The fit of a proposal by state.

    Parameters
    ----------
    target : Target
    space : ParameterSpace
        With at least one discrete part.
    fitting : Fitting
    """

    def __init__(self, target: Target, space: ParameterSpace, fitting: Fitting) -> None:
        self.target = target
        self.space = space
        self.parts = space.discrete
        self.fitting = fitting

    def proposal(self) -> tuple[MixtureProposal, tuple[TrainingInfo, ...]]:
        """A mixture proposal for each state. If these leave out too much, one for all states joins them."""
        members, shares, covered, trainings = self.by_state()
        if covered < BY_STATE.well_covered:
            whole = replace(self.target, surface=None)
            one, more = MixtureFit(whole, self.space.periodic, self.fitting).proposal()
            trainings += more
            every = (*members, one)
            z, weights, _ = self.target.tested
            divided_shares = shares_by_likelihood(log_ratios(every, z), weights, np.zeros(len(every)))
            divided = MixtureProposal.of_shares(every, divided_shares)
            rare, members, shares = members[-1], divided.members, divided.shares
            if not any(member is rare for member in members):
                members, shares = (*members, rare), np.append(shares, BY_STATE.rare_shares[0])
        shares = np.append((1.0 - MIXTURE.prior_share) * shares / shares.sum(), MIXTURE.prior_share)
        return MixtureProposal((*members, PriorProposal(self.space.n_dim)), shares), trainings

    def by_state(self) -> StateFit:
        """Mixture proposals for the states with most mass, and a Gaussian for all other states."""
        groups = rows_by_state(self.states)
        masses = np.array([self.target.weights[rows].sum() for _, rows in groups])
        order = np.argsort(-masses)[: BY_STATE.most_states]
        members, trainings = list[Proposal](), list[TrainingInfo]()
        covered = 0.0
        for i in order:
            state, _ = groups[i]
            one = OneState(self.parts, state, self.target.in_state(self.parts, state))
            many = len(members) >= BY_STATE.most_mixtures
            few = one.target.learnt_ess < BY_STATE.fewest_effective
            small = many or few or masses[i] < BY_STATE.least_mass
            with_flow = len(trainings) < BY_STATE.most_flows and masses[i] >= BY_STATE.least_for_flow
            member, made = self._member(one, small, with_flow)
            members.append(member)
            trainings += made
            covered += 0.0 if small and len(one.continuous) else masses[i]
        states, known = np.array([groups[i][0] for i in order]), float(np.sum(masses[order]))
        shares = self._with_wider_masses(masses[order] / known, states)
        rare = float(np.clip(1.0 - known, *BY_STATE.rare_shares))
        mixture = StateMixture(self.parts, states, shares, tuple(members))
        both = (mixture, self._independent_states())
        return StateFit(both, np.array([1.0 - rare, rare]), covered, tuple(trainings))

    @cached_property
    def states(self) -> States:
        """Discrete state of each draw, shape (n, n_dim)."""
        return self.parts.states(self.target.z)

    def _member(
        self, one: OneState, small: bool, with_flow: bool
    ) -> tuple[Proposal, tuple[TrainingInfo, ...]]:
        """Proposal for the continuous parameters of a state; of a small one, its last or a borrowed one."""
        if not len(one.continuous):
            return PriorProposal(0), ()
        thin = small or one.target.learnt_ess < BY_STATE.fewest_to_compare
        own = [one.by_regression(), one.extrapolated()] if thin else []
        members: list[Proposal] = [each for each in own if each is not None]
        made: tuple[TrainingInfo, ...] = ()
        if not small:
            fitted, made = one.fitted(self.space.periodic, self.fitting, with_flow)
            members.insert(0, fitted)
        elif not members and (latest := one.latest()) is not None:
            members.append(latest)
        if thin and len(members) < 2:
            members.append(self._borrowed(one.continuous))
        if len(members) == 1 and not thin:
            return members[0], made
        return MixtureProposal(tuple(members), np.full(len(members), 1.0 / len(members))), made

    def _borrowed(self, continuous: NDArray[np.intp]) -> LatentKernels:
        """One kernel for a state, with the moments that its continuous parameters have in other states."""
        mean, covariance = self.moments
        return gaussian_kernels([(mean[continuous], covariance[np.ix_(continuous, continuous)])])

    def _with_wider_masses(self, shares: Array, states: States) -> Array:
        """Shares, mixed with those of the wider targets: a state may have more mass than its draws show."""
        mixed = (1.0 - sum(BY_STATE.wide_shares)) * shares
        for wide, share in zip(self.target.wider, BY_STATE.wide_shares, strict=True):
            of_rows = self.parts.states(wide.z)
            mass = np.array([wide.weights[(of_rows == state).all(axis=1)].sum() for state in states])
            mixed += share * (mass / mass.sum() if mass.sum() > 0.0 else shares)
        mixed = np.maximum(mixed, BY_STATE.least_share)
        return mixed / mixed.sum()

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance of all coordinates, each from draws in which it, or the pair, is continuous.

        A state without draws is then looked for where its parameters are in other states.
        """
        target, parts, states = self.target, self.parts, self.states
        weights = target.weights
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
        for share in BY_STATE.covariance_shares:
            whole = share * covariance + np.diag(variance)
            correlation = whole / np.sqrt(np.outer(variance, variance))
            if np.linalg.eigvalsh(correlation)[0] > BY_STATE.least_eigenvalue:
                return mean, whole
        return mean, np.diag(variance)

    def _independent_states(self) -> IndependentStates:
        """Shares of the states of each parameter by itself, and one Gaussian for what is continuous."""
        unseen = BY_STATE.prior_weight
        log_shares = []
        for d in range(self.parts.n_dim):
            prior = self.parts.probabilities(d)
            mass = np.bincount(self.states[:, d], self.target.weights, len(prior))
            with np.errstate(divide="ignore"):
                log_shares.append(
                    np.log((self.target.ess * mass + unseen * prior) / (self.target.ess + unseen))
                )
        return IndependentStates(self.parts, tuple(log_shares), *self.moments)
