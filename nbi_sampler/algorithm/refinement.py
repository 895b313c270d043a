"""Fit the next proposal to the posterior itself: all draws so far, weighted, by a committee of densities.

A flow, the flows before it, Gaussian mixtures and local kernels are fitted to the same weighted draws; shares
fitted to draws that none of them has seen decide how much of each the proposal is made of. Mixtures are
fitted in the latent space and in the unit cube, kernels in one of them. Called by `snpe` once the rounds have
found the posterior, or from the prior when there is nothing to simulate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.algorithm.history import RECENT, History
from nbi_sampler.algorithm.rounds import FitInfo, Networks
from nbi_sampler.config import TrainingConfig
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.proposals.kernels import CHARTS, Chart
from nbi_sampler.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.proposals.proposal import FlowProposal, MixtureProposal, PriorProposal, Proposal
from nbi_sampler.proposals.scouting import scouting_kernels
from nbi_sampler.proposals.student_mixture import fitted_by_em, frontier_kernels, local_kernels
from nbi_sampler.randomness import seeded_modules
from nbi_sampler.statistics.importance import effective_sample_size, normalised_weights, tempering_exponent
from nbi_sampler.training.fit import OnEpoch, TrainingInfo, fit
from nbi_sampler.training.objectives import WeightedObjective

__all__ = ["fit_to_weights"]

Array = NDArray[np.float64]

# Log weights so far below the largest cannot matter.
NEGLIGIBLE = 25.0
# What is so far below the largest log-likelihood, tempered, says nothing of its shape near the top.
REACH = 60.0
# Effective draws that a fit needs before it aims at the posterior itself: at least, for each dimension, and
# for each draw of the first scan, which has to carry all modes down.
MINIMUM_ESS = 200.0
ESS_PER_DIMENSION = 20.0
ESS_PER_SCAN = 0.05
# The committee: flows (the last ones are kept), Gaussian mixtures, local kernels, and its fixed shares: wider
# kernels (weights to these powers), the prior, and while the weights are tempered the local kernels. Of the
# rest the Gaussian mixtures get a least share: on transit it takes the efficiency from 8-60 % to 34-57 %.
MOST_FLOWS = 3
EM_KERNELS = (1, 3, 10, 30)
WIDE_EXPONENTS = (0.5, 0.1)
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
    target = _choose_target(history, space.n_dim, located)
    weights = normalised_weights(target.log_weights)
    cut = thinnest_cut(target.z, weights, space.periodic)
    flow, info = _fit_flow(target, weights, cut, space, networks, config, rng, _n_flows(history), on_epoch)
    flows: list[Proposal] = [flow, *_latest_flows(history, MOST_FLOWS - 1)]
    test = target.held_out & (weights > 0.0)
    test_z, test_weights = target.z[test], weights[test] / weights[test].sum()
    mixtures, chart = _mixtures_in_charts(target, weights, cut, located, test_z, test_weights, rng)
    local, fixed, shares = _kernels(target, weights, cut, chart, rng)
    fitted, wider = [*flows, *mixtures, *local], [*local, *fixed[-len(WIDE_SHARES) :]]
    fixed.append(PriorProposal(space.n_dim))
    shares = np.concatenate([np.zeros(len(fitted)), shares, [PRIOR_SHARE]])
    if target.exponent < 1.0 and local:
        shares[len(fitted) - 1] = EXPLORING_SHARE
    smooth = np.isin(np.arange(len(shares)), len(flows) + np.arange(len(mixtures)))
    proposal = MixtureProposal.fitted((*fitted, *fixed), shares, test_z, test_weights, smooth, MIXTURES_SHARE)
    if not located:
        proposal = _with_scouts(proposal, wider, history, target, cut, chart, rng)
    return proposal, FitInfo(info, target.exponent)


class _Target(NamedTuple):
    """Draws to fit, their log weights, the power and the log of the mean of these, and the same but wider."""

    z: Array
    held_out: NDArray[np.bool_]
    log_weights: Array
    exponent: float
    log_norm: float
    wider: tuple[_Target, ...] = ()


def _tempered(history: History, base: Array, steps: Array, exponent: float) -> _Target:
    """Log weights ``base + exponent * steps``, of the draws that are not negligible in them."""
    log_weights = base + exponent * steps
    kept = log_weights > log_weights.max() - NEGLIGIBLE
    log_norm = float(logsumexp(log_weights[kept])) - math.log(len(history))
    return _Target(history.z[kept], history.held_out[kept], log_weights[kept], exponent, log_norm)


def _choose_target(history: History, n_dim: int, located: bool) -> _Target:
    wanted = max(MINIMUM_ESS, ESS_PER_DIMENSION * n_dim)
    if located and effective_sample_size(history.log_weights) < wanted:
        history = history.recent(RECENT)
        finite = np.isfinite(history.log_likelihood)
        steps = np.where(finite, history.log_weights, 0.0)
        base = np.where(finite, 0.0, -np.inf)
    else:
        # The scan comes after the draws of a trained model, where there is one.
        n_scan = max(len(batch) for batch in history.batches[:2])
        wanted = max(wanted, 0.0 if located else ESS_PER_SCAN * n_scan)
        finite = np.isfinite(history.log_likelihood)
        # Of large log-likelihoods the differences are left, whatever constant they have in common.
        steps = np.where(finite, history.log_likelihood - history.log_likelihood.max(), 0.0)
        base = np.where(finite, -history.log_mixture_ratio, -np.inf)
    exponent = tempering_exponent(np.where(finite, steps, -np.inf), wanted, base)
    wider = tuple(_tempered(history, base, steps, power * exponent) for power in WIDE_EXPONENTS)
    return _tempered(history, base, steps, exponent)._replace(wider=wider)


def _fit_flow(
    target: _Target,
    weights: Array,
    cut: Array,
    space: ParameterSpace,
    networks: Networks,
    config: TrainingConfig,
    rng: np.random.Generator,
    number: int,
    on_epoch: OnEpoch | None,
) -> tuple[FlowProposal, TrainingInfo]:
    z = apply_cut(target.z, cut)
    affine = AffineMap.standardising(z, weights)
    device = networks.device
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32, device=device)
    w = torch.as_tensor(weights, dtype=torch.float32, device=device)
    held_out = torch.as_tensor(target.held_out, device=device)
    make = networks.refinement_flows[number % len(networks.refinement_flows)]
    with seeded_modules(rng):
        flow = make(space.n_dim, 0)
    flow = flow.to(device)
    ess = effective_sample_size(target.log_weights)
    info = fit(flow, WeightedObjective(flow, y, w, held_out, ess, config, rng), config, on_epoch)
    return FlowProposal(flow, None, affine, cut), info


def _near_edges(z: Array, weights: Array, cut: Array) -> bool:
    """Whether enough of the target lies where the latent space is stretched, but not in a far tail."""
    farthest = np.abs(apply_cut(z, cut)).max(axis=1)
    far = float(weights @ (farthest > RESOLVED))
    return float(weights @ (farthest > STRETCHED)) > LEAST_STRETCHED >= far


def _mixtures_in_charts(
    target: _Target,
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
    target: _Target,
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
    target: _Target, weights: Array, cut: Array, chart: Chart, rng: np.random.Generator
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
    proposal: MixtureProposal,
    wider: list[Proposal],
    history: History,
    target: _Target,
    cut: Array,
    chart: Chart,
    rng: np.random.Generator,
) -> MixtureProposal:
    """The proposal with kernels where it is predicted to be too thin."""
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


def _n_flows(history: History) -> int:
    retired = history.retired.members if history.retired else ()
    return sum(isinstance(member, FlowProposal) for member in (*retired, *history.members))


def _latest_flows(history: History, most: int) -> list[Proposal]:
    """The last unconditional flows, newest first: a committee costs no training."""
    flows = [m for m in history.members if isinstance(m, FlowProposal) and m.context is None]
    return list(flows[::-1][:most])
