"""The mixture proposal: densities of every kind fitted to one target, and how much of each is drawn from.

A flow, the flows before it, Gaussian mixtures and kernels; shares fitted to draws that none of them has seen
decide between them. Mixtures are fitted in the latent space and in the unit cube, kernels in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import nn

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import CHARTS, Chart, LatentKernels, kernels_on_draws
from nbi_sampler.algorithm.proposals.local_regression import regression_guided_kernels
from nbi_sampler.algorithm.proposals.paraboloid import gaussian_by_regression
from nbi_sampler.algorithm.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import (
    FlowProposal,
    MixtureProposal,
    PriorProposal,
    Proposal,
    log_normal,
    log_ratios,
)
from nbi_sampler.algorithm.proposals.shares import shares_by_efficiency, shares_by_likelihood
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
    # Tempered from the prior, a flow is worth less than its training: the next target is another.
    if with_flow and (target.located or target.exponent == 1.0):
        former = [each for each in flows_in(target.members[target.n_retired :]) if each.context is None]
        flow, info = _fit_flow(target, cut, fitting, len(flows_in(target.members)), former)
        flows, trainings = [flow, *former[::-1][: MIXTURE.most_flows - 1]], (info,)
    smooth, chart = _mixtures_in_charts(target, cut, rng)
    gaussian = _gaussian(target, cut)
    smooth = smooth if gaussian is None else [gaussian, *smooth]
    local, fixed, fixed_shares = _kernels(target, chart, cut, rng)
    fitted, wider = [*flows, *smooth, *local], [*local, *fixed[-len(MIXTURE.wide_shares) :]]
    members = (*fitted, *fixed, PriorProposal(target.z.shape[1]))
    shares = np.concatenate([np.zeros(len(fitted)), fixed_shares, [MIXTURE.prior_share]])
    if target.exponent < 1.0 and local:
        shares[len(fitted) - 1] = MIXTURE.exploring_share
    is_smooth = np.isin(np.arange(len(shares)), len(flows) + np.arange(len(smooth)))
    proposal = MixtureProposal.of_shares(members, _shares(target, members, shares, is_smooth))
    return MixtureFit(proposal, wider, chart, cut, trainings)


def _shares(target: Target, members: tuple[Proposal, ...], fixed: Array, smooth: NDArray[np.bool_]) -> Array:
    """Shares of members by the draws held out: of the largest efficiency for the posterior itself."""
    z, weights, log_target = target.tested
    densities = log_ratios(members, z)
    if target.exponent == 1.0 and log_target is not None:
        return shares_by_efficiency(densities, weights, log_target, fixed)
    least = MIXTURE.mixtures_share if target.exponent < 1.0 else 0.0
    return shares_by_likelihood(densities, weights, fixed, smooth, least)


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


def _fit_flow(
    target: Target, cut: Array, fitting: Fitting, number: int, former: list[FlowProposal]
) -> tuple[FlowProposal, TrainingInfo]:
    """A flow for the target, trained on from a former one where that is close to it."""
    networks, config, rng, on_epoch = fitting
    z = apply_cut(target.z, cut)
    affine = AffineMap.standardising(z, target.weights)
    make = networks.refinement_flows[number % len(networks.refinement_flows)]
    with seeded_modules(rng):
        flow = make(z.shape[1], 0)
    flow = flow.to(networks.device)
    start = next((each for each in former[::-1] if _goes_on(each, flow, affine, cut)), None)
    if start is not None:
        flow.load_state_dict(start.flow.state_dict())
        affine, rate = start.affine, MIXTURE.warm_rate * config.learning_rate
        n_epochs = max(int(MIXTURE.warm_epochs * config.n_epochs), 1)
        config = replace(config, n_epochs=n_epochs, learning_rate=rate)
    log_target = target.log_target if target.exponent == 1.0 else None
    as_tensor = partial(torch.as_tensor, dtype=torch.float32, device=networks.device)
    objective = WeightedObjective(
        flow,
        as_tensor(affine.backward(z)),
        as_tensor(target.weights),
        torch.as_tensor(target.held_out, device=networks.device),
        effective_sample_size(target.log_weights),
        config,
        rng,
        None if log_target is None else as_tensor(log_target + log_normal(z)),
    )
    return FlowProposal(flow, None, affine, cut), fit(flow, objective, config, on_epoch)


def _goes_on(former: FlowProposal, flow: nn.Module, affine: AffineMap, cut: Array) -> bool:
    """True where a flow can start from a former one: the same network, for nearly the same coordinates."""
    shapes = [[each.shape for each in module.state_dict().values()] for module in (former.flow, flow)]
    if shapes[0] != shapes[1] or not np.array_equal(former.cut, cut):
        return False
    shift = former.affine.backward(affine.mean[None])
    widths = np.linalg.svd(former.affine.inverse @ affine.factor, compute_uv=False)
    low, high = MIXTURE.warm_widths
    return bool(np.abs(shift).max() < MIXTURE.warm_shift and low < widths.min() and widths.max() < high)


def _gaussian(target: Target, cut: Array) -> Proposal | None:
    """The Gaussian by regression, of draws that are not held out, in the latent space."""
    if target.log_target is None:
        return None
    z = apply_cut(target.z, cut)
    mixture = gaussian_by_regression(z, target.log_target + log_normal(z), target.learnt)
    return None if mixture is None else LatentKernels(mixture, cut)


def _mixtures_in_charts(target: Target, cut: Array, rng: np.random.Generator) -> tuple[list[Proposal], Chart]:
    """Gaussian mixtures in every chart that is worth it, and the chart for the largest and for kernels."""
    charts, sizes = CHARTS if _near_edges(target, cut) else CHARTS[:1], MIXTURE.em_kernels
    families = [_gaussian_mixtures(target, chart, cut, sizes[:-1], rng) for chart in charts]
    # Tempered from the prior, kernels in the latent space lose what reaches into an edge (rosenbrock).
    chart = charts[-1]
    if target.located and len(charts) > 1:
        chart = charts[int(np.argmax([_score(family, target) for family in families]))]
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
    learnt = target.learnt
    ess = effective_sample_size(np.log(learnt[learnt > 0.0]))
    y = chart.coordinates(target.z, cut)
    supported = [n for n in n_kernels if n * (y.shape[1] + 2) <= ess]
    fits = [chart.of(fitted_by_em(y, learnt, n, rng), cut, rng) for n in supported]
    return [each for each in fits if each is not None]


def _score(family: list[Proposal], target: Target) -> float:
    """Weighted mean log density of held-out draws under mixtures of a family with fitted shares."""
    if not family:
        return -np.inf
    z, weights, _ = target.tested
    densities = log_ratios(family, z)
    shares = shares_by_likelihood(densities, weights, np.zeros(len(family)))
    mixture = logsumexp(densities + np.log(shares)[:, None], axis=0)
    return float(weights @ np.maximum(mixture, -1e3))


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
