"""Fit the next proposal to the posterior itself: all draws so far, weighted, by a committee of densities.

A flow, the flows before it, Gaussian mixtures and local kernels are fitted to the same weighted draws; shares
fitted to draws that none of them has seen decide how much of each the proposal is made of. Mixtures are
fitted in the latent space and in the unit cube, kernels in one of them. Called by `snpe` once the rounds have
found the posterior, or from the prior when there is nothing to simulate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nbi_sampler.algorithm.by_state import RARE_SHARES, fit_by_state, flows_of_state
from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import CHARTS, Chart
from nbi_sampler.algorithm.proposals.local_regression import scouting_kernels
from nbi_sampler.algorithm.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal, Proposal
from nbi_sampler.algorithm.proposals.student_mixture import fitted_by_em, frontier_kernels, local_kernels
from nbi_sampler.algorithm.rounds import FitInfo, Networks
from nbi_sampler.algorithm.target import Target, choose_target
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights
from nbi_sampler.networks.training.fit import OnEpoch, TrainingInfo, fit
from nbi_sampler.networks.training.objectives import WeightedObjective
from nbi_sampler.priors.discrete import States
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["fit_to_weights"]

Array = NDArray[np.float64]

# Effective held-out draws from which shares are fitted to them.
FEWEST_TESTED = 8.0
# Mass of the states with committees of their own from which none for all is needed.
WELL_COVERED = 0.9
# What is so far below the largest log-likelihood, tempered, says nothing of its shape near the top.
REACH = 60.0
# The committee: flows (the last ones are kept), Gaussian mixtures, local kernels, and its fixed shares: wider
# kernels, the prior, and while the weights are tempered the local kernels. Of the
# rest the Gaussian mixtures get a least share: on transit it takes the efficiency from 8-60 % to 34-57 %.
MOST_FLOWS = 3
EM_KERNELS = (1, 3, 10, 30)
WIDE_SHARES = (0.06, 0.015)
PRIOR_SHARE = 0.005
MIXTURES_SHARE = 0.25
EXPLORING_SHARE = 0.15
# Latent coordinate beyond which a bounded prior is stretched, and the mass out there that makes the unit cube
# worth a fit.
STRETCHED = 1.5
LEAST_STRETCHED = 0.01
# Beyond it the unit cube has no digits left to tell places apart.
RESOLVED = 6.0
# Share of the kernels on draws that stand out by their weight: the mass of these, within limits.
FRONTIER_SHARES = (0.03, 0.3)


def fit_to_weights(
    history: History,
    space: ParameterSpace,
    networks: Networks,
    config: TrainingConfig,
    rng: np.random.Generator,
    located: bool,
    on_epoch: OnEpoch | None = None,
) -> tuple[MixtureProposal, FitInfo]:
    """Next proposal from all draws, weighted under the mixture of all proposals.

    While too few of the weights count, they are tempered. From the prior, the likelihood is raised to the
    largest power that leaves enough of them. Once rounds have located the posterior, the power works on the
    weights of the last batches relative to their own proposals (the bridge), which starts from where the
    rounds have got to.

    Parameters
    ----------
    history : History
        With at least one finite log-likelihood.
    space : ParameterSpace
    networks : Networks
    config : TrainingConfig
    rng : numpy.random.Generator
    located : bool
        Whether rounds have come before.
    on_epoch : callable, optional
        See `training.fit`.

    Returns
    -------
    MixtureProposal, FitInfo

    References
    ----------
    Owen & Zhou (2000), JASA 95, 135; Koblents & Miguez (2015, arXiv:1208.5600); Cappé et al. (2008,
    arXiv:0710.4242) for adapting the shares of a mixture.
    """
    target = choose_target(history, space.n_dim, located)
    settings = _Settings(networks, config, rng, located, on_epoch)
    if space.discrete:
        proposal, trainings = _by_state(target, history, space, settings)
        return proposal, FitInfo(_joined(trainings), target.exponent)
    former, number = _flows(history.members), len(_flows(_all_members(history)))
    committee = _committee(target, space.periodic, settings, former, number)
    proposal = committee.proposal
    if not located:
        proposal = _with_scouts(committee, history, target, rng)
    return proposal, FitInfo(_joined(committee.trainings), target.exponent)


class _Settings(NamedTuple):
    """What all fits of a refinement have in common."""

    networks: Networks
    config: TrainingConfig
    rng: np.random.Generator
    located: bool
    on_epoch: OnEpoch | None


class _Committee(NamedTuple):
    """A mixture of all kinds of densities, and what its kernels are made in."""

    proposal: MixtureProposal
    wider: list[Proposal]
    cut: Array
    chart: Chart
    trainings: tuple[TrainingInfo, ...]


def _committee(
    target: Target,
    periodic: NDArray[np.bool_],
    settings: _Settings,
    former: list[FlowProposal],
    number: int,
    with_flow: bool = True,
) -> _Committee:
    """Fit every kind of density to a target.

    ``former`` are the flows of the latest proposals, oldest first, and ``number`` is how many there were.
    """
    rng = settings.rng
    weights = normalised_weights(target.log_weights)
    cut = thinnest_cut(target.z, weights, periodic)
    flows: list[Proposal] = []
    trainings: tuple[TrainingInfo, ...] = ()
    if with_flow:
        flow, info = _fit_flow(target, weights, cut, settings, number)
        latest = [each for each in former if each.context is None]
        flows, trainings = [flow, *latest[::-1][: MOST_FLOWS - 1]], (info,)
    test_z, test_weights = _held_out(target, weights)
    mixtures, chart = _mixtures_in_charts(target, weights, cut, settings.located, test_z, test_weights, rng)
    local, fixed, shares = _kernels(target, weights, cut, chart, rng)
    fitted, wider = [*flows, *mixtures, *local], [*local, *fixed[-len(WIDE_SHARES) :]]
    fixed.append(PriorProposal(target.z.shape[1]))
    shares = np.concatenate([np.zeros(len(fitted)), shares, [PRIOR_SHARE]])
    if target.exponent < 1.0 and local:
        shares[len(fitted) - 1] = EXPLORING_SHARE
    smooth = np.isin(np.arange(len(shares)), len(flows) + np.arange(len(mixtures)))
    proposal = MixtureProposal.fitted((*fitted, *fixed), shares, test_z, test_weights, smooth, MIXTURES_SHARE)
    return _Committee(proposal, wider, cut, chart, trainings)


def _by_state(
    target: Target, history: History, space: ParameterSpace, settings: _Settings
) -> tuple[MixtureProposal, tuple[TrainingInfo, ...]]:
    """A committee for every discrete state; beside them one for all where they leave out too much."""
    parts, trainings = space.discrete, list[TrainingInfo]()
    whole = np.array([len(each) == 0 for each in parts.lower])

    def fitted(of_state: Target, continuous: NDArray[np.intp], state: States, with_flow: bool) -> Proposal:
        periodic = (space.periodic & whole)[continuous]
        former = flows_of_state(history.members, parts, state, continuous)
        number = len(flows_of_state(_all_members(history), parts, state, continuous))
        made = _committee(of_state, periodic, settings, former, number, with_flow)
        trainings.extend(made.trainings)
        return made.proposal

    fit = fit_by_state(target, parts, fitted, history.members)
    members, shares = fit.members, fit.shares
    if fit.covered < WELL_COVERED:
        former, number = _flows(history.members), len(_flows(_all_members(history)))
        one = _committee(target, space.periodic, settings, former, number)
        trainings.extend(one.trainings)
        test_z, test_weights = _held_out(target, normalised_weights(target.log_weights))
        every = (*members, one.proposal)
        divided = MixtureProposal.fitted(every, np.zeros(len(every)), test_z, test_weights)
        rare, members, shares = members[-1], divided.members, divided.shares
        if not any(member is rare for member in members):
            members, shares = (*members, rare), np.append(shares, RARE_SHARES[0])
    prior = PriorProposal(space.n_dim)
    shares = np.append((1.0 - PRIOR_SHARE) * shares / shares.sum(), PRIOR_SHARE)
    return MixtureProposal((*members, prior), shares), tuple(trainings)


def _held_out(target: Target, weights: Array) -> tuple[Array, Array]:
    """Draws on which shares are fitted, and their weights: the held-out ones, all where these are too few."""
    test = target.held_out & (weights > 0.0)
    if not test.any() or effective_sample_size(target.log_weights[test]) < FEWEST_TESTED:
        test = weights > 0.0
    return target.z[test], weights[test] / weights[test].sum()


def _joined(trainings: Sequence[TrainingInfo]) -> TrainingInfo:
    """The first of several trainings, with the seconds of all."""
    if not trainings:
        return TrainingInfo(best=0.0, training=(), validation=(), n_steps=0, n_skipped=0, seconds=0.0)
    return replace(trainings[0], seconds=sum(each.seconds for each in trainings))


def _fit_flow(
    target: Target, weights: Array, cut: Array, settings: _Settings, number: int
) -> tuple[FlowProposal, TrainingInfo]:
    networks, config, rng = settings.networks, settings.config, settings.rng
    z = apply_cut(target.z, cut)
    affine = AffineMap.standardising(z, weights)
    device = networks.device
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32, device=device)
    w = torch.as_tensor(weights, dtype=torch.float32, device=device)
    held_out = torch.as_tensor(target.held_out, device=device)
    make = networks.refinement_flows[number % len(networks.refinement_flows)]
    with seeded_modules(rng):
        flow = make(z.shape[1], 0)
    flow = flow.to(device)
    ess = effective_sample_size(target.log_weights)
    objective = WeightedObjective(flow, y, w, held_out, ess, config, rng)
    return FlowProposal(flow, None, affine, cut), fit(flow, objective, config, settings.on_epoch)


def _near_edges(z: Array, weights: Array, cut: Array) -> bool:
    """Whether enough of the target lies where the latent space is stretched, but not in a far tail."""
    farthest = np.abs(apply_cut(z, cut)).max(axis=1)
    far = float(weights @ (farthest > RESOLVED))
    return float(weights @ (farthest > STRETCHED)) > LEAST_STRETCHED >= far


def _mixtures_in_charts(
    target: Target,
    weights: Array,
    cut: Array,
    located: bool,
    test_z: Array,
    test_weights: Array,
    rng: np.random.Generator,
) -> tuple[list[Proposal], Chart]:
    """Gaussian mixtures in every chart that is worth it, and the chart for the largest and for kernels."""
    charts = CHARTS if _near_edges(target.z, weights, cut) else CHARTS[:1]
    families = [_gaussian_mixtures(target, weights, cut, chart, EM_KERNELS[:-1], rng) for chart in charts]
    # Tempered from the prior, kernels in the latent space lose what reaches into an edge (rosenbrock).
    chart = charts[-1]
    if located and len(charts) > 1:
        chart = charts[int(np.argmax([_score(family, test_z, test_weights) for family in families]))]
    families.append(_gaussian_mixtures(target, weights, cut, chart, EM_KERNELS[-1:], rng))
    return [member for family in families for member in family], chart


def _gaussian_mixtures(
    target: Target,
    weights: Array,
    cut: Array,
    chart: Chart,
    n_kernels: Sequence[int],
    rng: np.random.Generator,
) -> list[Proposal]:
    """Gaussian mixtures of as many kernels as the effective size supports."""
    learnt = np.where(target.held_out, 0.0, weights)
    learnt /= learnt.sum()
    ess = effective_sample_size(np.log(learnt[learnt > 0.0]))
    y = chart.coordinates(target.z, cut)
    supported = [n for n in n_kernels if n * (y.shape[1] + 2) <= ess]
    fits = [chart.of(fitted_by_em(y, learnt, n, rng), cut, rng) for n in supported]
    return [each for each in fits if each is not None]


def _kernels(
    target: Target, weights: Array, cut: Array, chart: Chart, rng: np.random.Generator
) -> tuple[list[Proposal], list[Proposal], Array]:
    """Local kernels; those with a fixed share (wider ones, and where weights stand out); and these shares."""
    y, seen = chart.coordinates(target.z, cut), ~target.held_out
    local = chart.of(local_kernels(y[seen], target.log_weights[seen], rng), cut, rng)
    fixed: list[tuple[Proposal | None, float]] = []
    frontier, mass = frontier_kernels(y, weights, rng)
    if frontier is not None:
        fixed.append((chart.of(frontier, cut, rng), float(np.clip(mass, *FRONTIER_SHARES))))
    for wide, share in zip(target.wider, WIDE_SHARES, strict=True):
        mixture = local_kernels(chart.coordinates(wide.z, cut), wide.log_weights, rng)
        fixed.append((chart.of(mixture, cut, rng), share))
    made = [(proposal, share) for proposal, share in fixed if proposal is not None]
    return [local] if local else [], [each for each, _ in made], np.array([share for _, share in made])


def _with_scouts(
    committee: _Committee, history: History, target: Target, rng: np.random.Generator
) -> MixtureProposal:
    """The proposal with kernels where it is predicted to be too thin."""
    proposal, wider, cut, chart, _ = committee
    finite = np.isfinite(history.log_likelihood)
    z, log_likelihood = history.z[finite], history.log_likelihood[finite]
    log_target = target.exponent * (log_likelihood - log_likelihood.max())
    known = log_target > log_target.max() - REACH
    kernels, share = scouting_kernels(
        z[known], log_target[known], proposal, wider, target.log_norm, chart, cut, rng
    )
    if kernels is None:
        return proposal
    return MixtureProposal((*proposal.members, kernels), np.append((1.0 - share) * proposal.shares, share))


def _score(family: list[Proposal], z: Array, weights: Array) -> float:
    """Weighted mean log density of held-out draws under mixtures of a family with fitted shares."""
    if not family:
        return -np.inf
    mixture = MixtureProposal.fitted(tuple(family), np.zeros(len(family)), z, weights)
    return float(weights @ np.maximum(mixture.log_ratio(z), -1e3))


def _all_members(history: History) -> tuple[Proposal, ...]:
    return (*(history.retired.members if history.retired else ()), *history.members)


def _flows(members: Iterable[Proposal]) -> list[FlowProposal]:
    """Flows among members of proposals, and among those of committees that are members."""
    found: list[FlowProposal] = []
    for member in members:
        inner = member.members if isinstance(member, MixtureProposal) else (member,)
        found += [each for each in inner if isinstance(each, FlowProposal)]
    return found
