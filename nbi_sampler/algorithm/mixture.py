"""The mixture proposal: densities of every kind fitted to one target, and how much of each is drawn from.

A flow, the flows before it, Gaussian mixtures and kernels; shares fitted to draws that none of them has seen
decide between them. Mixtures are fitted in the latent space and in the unit cube, kernels in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import CHARTS, Chart, kernels_on_draws
from nbi_sampler.algorithm.proposals.local_regression import regression_guided_kernels
from nbi_sampler.algorithm.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal, Proposal
from nbi_sampler.algorithm.proposals.student_mixture import fitted_by_em
from nbi_sampler.algorithm.step import Networks
from nbi_sampler.algorithm.target import Target
from nbi_sampler.core.config import HIGH_WEIGHT_KERNELS, LOCAL_KERNELS, MIXTURE, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.importance.weights import effective_sample_size
from nbi_sampler.networks.training.fit import OnEpoch, TrainingInfo, fit
from nbi_sampler.networks.training.objectives import WeightedObjective

__all__ = ["Fitting", "MixtureFit", "fit_mixture", "flows_in", "with_regression_guided_kernels"]

Array = NDArray[np.float64]
FlowsIn = Callable[[tuple[Proposal, ...]], list[FlowProposal]]


class Fitting(NamedTuple):
    """The means of all fits of a refinement."""

    networks: Networks
    config: TrainingConfig
    rng: np.random.Generator
    on_epoch: OnEpoch | None = None


class MixtureFit(NamedTuple):
    """A mixture proposal, with the coordinates of its kernels and the wider ones of these."""

    proposal: MixtureProposal
    wider: list[Proposal]
    chart: Chart
    cut: Array
    trainings: tuple[TrainingInfo, ...]


def flows_in(members: Iterable[Proposal]) -> list[FlowProposal]:
    """Flows among members of proposals, and among those of mixtures that are members, oldest first."""
    found: list[FlowProposal] = []
    for member in members:
        inner = member.members if isinstance(member, MixtureProposal) else (member,)
        found += [each for each in inner if isinstance(each, FlowProposal)]
    return found


def fit_mixture(
    target: Target,
    periodic: NDArray[np.bool_],
    fitting: Fitting,
    flows_in: FlowsIn = flows_in,
    with_flow: bool = True,
) -> MixtureFit:
    """Fit every kind of density to a target, and shares to its held-out draws.

    Parameters
    ----------
    periodic : ndarray of bool, shape (n_dim,)
    flows_in : callable
        Finds former flows for this target among members of proposals.
    with_flow : bool
        False where a flow is not worth its training.
    """
    rng = fitting.rng
    cut = thinnest_cut(target.z, target.weights, periodic)
    flows: list[Proposal] = []
    trainings: tuple[TrainingInfo, ...] = ()
    if with_flow:
        flow, info = _fit_flow(target, cut, fitting, len(flows_in(target.members)))
        former = [each for each in flows_in(target.members[target.n_retired :]) if each.context is None]
        flows, trainings = [flow, *former[::-1][: MIXTURE.most_flows - 1]], (info,)
    mixtures, chart = _mixtures_in_charts(target, cut, rng)
    local, fixed, shares = _kernels(target, chart, cut, rng)
    fitted, wider = [*flows, *mixtures, *local], [*local, *fixed[-len(MIXTURE.wide_shares) :]]
    fixed.append(PriorProposal(target.z.shape[1]))
    shares = np.concatenate([np.zeros(len(fitted)), shares, [MIXTURE.prior_share]])
    if target.exponent < 1.0 and local:
        shares[len(fitted) - 1] = MIXTURE.exploring_share
    smooth = np.isin(np.arange(len(shares)), len(flows) + np.arange(len(mixtures)))
    members, least = (*fitted, *fixed), MIXTURE.mixtures_share
    proposal = MixtureProposal.fitted(members, shares, *target.tested, smooth, least)
    return MixtureFit(proposal, wider, chart, cut, trainings)


def with_regression_guided_kernels(
    made: MixtureFit, target: Target, rng: np.random.Generator
) -> MixtureProposal:
    """The proposal with kernels where a regression of log L predicts that it is too thin."""
    proposal = made.proposal
    if target.surface is None:
        return proposal
    kernels, share = regression_guided_kernels(
        *target.surface, proposal, made.wider, target.log_norm, made.chart, made.cut, rng
    )
    if kernels is None:
        return proposal
    return MixtureProposal((*proposal.members, kernels), np.append((1.0 - share) * proposal.shares, share))


def _fit_flow(target: Target, cut: Array, fitting: Fitting, number: int) -> tuple[FlowProposal, TrainingInfo]:
    networks, config, rng, on_epoch = fitting
    z = apply_cut(target.z, cut)
    affine = AffineMap.standardising(z, target.weights)
    device = networks.device
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32, device=device)
    w = torch.as_tensor(target.weights, dtype=torch.float32, device=device)
    held_out = torch.as_tensor(target.held_out, device=device)
    make = networks.refinement_flows[number % len(networks.refinement_flows)]
    with seeded_modules(rng):
        flow = make(z.shape[1], 0)
    flow = flow.to(device)
    ess = effective_sample_size(target.log_weights)
    objective = WeightedObjective(flow, y, w, held_out, ess, config, rng)
    return FlowProposal(flow, None, affine, cut), fit(flow, objective, config, on_epoch)


def _mixtures_in_charts(target: Target, cut: Array, rng: np.random.Generator) -> tuple[list[Proposal], Chart]:
    """Gaussian mixtures in every chart that is worth it, and the chart for the largest and for kernels."""
    charts, sizes = CHARTS if _near_edges(target, cut) else CHARTS[:1], MIXTURE.em_kernels
    families = [_gaussian_mixtures(target, chart, cut, sizes[:-1], rng) for chart in charts]
    # Tempered from the prior, kernels in the latent space lose what reaches into an edge (rosenbrock).
    chart = charts[-1]
    if target.located and len(charts) > 1:
        chart = charts[int(np.argmax([_score(family, *target.tested) for family in families]))]
    families.append(_gaussian_mixtures(target, chart, cut, sizes[-1:], rng))
    return [member for family in families for member in family], chart


def _near_edges(target: Target, cut: Array) -> bool:
    """True where enough of the target lies where the latent space is stretched, but not in a far tail."""
    farthest = np.abs(apply_cut(target.z, cut)).max(axis=1)
    far = float(target.weights @ (farthest > MIXTURE.resolved))
    return float(target.weights @ (farthest > MIXTURE.stretched)) > MIXTURE.least_stretched >= far


def _gaussian_mixtures(
    target: Target, chart: Chart, cut: Array, n_kernels: tuple[int, ...], rng: np.random.Generator
) -> list[Proposal]:
    """Gaussian mixtures of as many kernels as the effective size supports."""
    learnt = np.where(target.held_out, 0.0, target.weights)
    learnt /= learnt.sum()
    ess = effective_sample_size(np.log(learnt[learnt > 0.0]))
    y = chart.coordinates(target.z, cut)
    supported = [n for n in n_kernels if n * (y.shape[1] + 2) <= ess]
    fits = [chart.of(fitted_by_em(y, learnt, n, rng), cut, rng) for n in supported]
    return [each for each in fits if each is not None]


def _score(family: list[Proposal], z: Array, weights: Array) -> float:
    """Weighted mean log density of held-out draws under mixtures of a family with fitted shares."""
    if not family:
        return -np.inf
    mixture = MixtureProposal.fitted(tuple(family), np.zeros(len(family)), z, weights)
    return float(weights @ np.maximum(mixture.log_ratio(z), -1e3))


def _kernels(
    target: Target, chart: Chart, cut: Array, rng: np.random.Generator
) -> tuple[list[Proposal], list[Proposal], Array]:
    """Local kernels; those with a fixed share (high-weight and wider ones); and these shares."""
    seen = ~target.held_out
    local, _ = kernels_on_draws(target.z[seen], target.log_weights[seen], chart, cut, rng, LOCAL_KERNELS)
    heavy, mass = kernels_on_draws(target.z, target.log_weights, chart, cut, rng, HIGH_WEIGHT_KERNELS)
    fixed = [(heavy, float(np.clip(mass, *MIXTURE.high_weight_shares)))]
    for wide, share in zip(target.wider, MIXTURE.wide_shares, strict=True):
        kernels, _ = kernels_on_draws(wide.z, wide.log_weights, chart, cut, rng, LOCAL_KERNELS)
        fixed.append((kernels, share))
    made = [(proposal, share) for proposal, share in fixed if proposal is not None]
    return [local] if local else [], [each for each, _ in made], np.array([share for _, share in made])
