"""The mixture proposal: densities of every kind are fitted to one target, and each gets a share.

The members are a flow, the flows before it, Gaussian mixtures and kernels. Their shares are fitted to draws
from which no member has learnt. Gaussian mixtures are fitted in the latent space and in the unit cube,
kernels in one of the two, and one Gaussian in coordinates in which the marginal distributions are normal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import nn

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import CHARTS, Chart, MarginalKernels
from nbi_sampler.algorithm.proposals.marginal_map import MarginalMap
from nbi_sampler.algorithm.proposals.paraboloid import gaussian_by_regression
from nbi_sampler.algorithm.proposals.periodic import apply_cut
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
from nbi_sampler.core.types import Array
from nbi_sampler.networks.training.fit import OnEpoch, TrainingInfo, fit
from nbi_sampler.networks.training.objectives import WeightedObjective

__all__ = ["Fitting", "MixtureFit", "flows_in"]

FlowsIn = Callable[[tuple[Proposal, ...]], list[FlowProposal]]


class Fitting(NamedTuple):
    """The means of all fits of a refinement."""

    networks: Networks
    config: TrainingConfig
    rng: np.random.Generator
    on_epoch: OnEpoch | None = None


def flows_in(members: Iterable[Proposal]) -> list[FlowProposal]:
    """Flows among members of proposals, and among those of mixtures that are members, oldest first."""
    found: list[FlowProposal] = []
    for member in members:
        inner = member.members if isinstance(member, MixtureProposal) else (member,)
        found += [each for each in inner if isinstance(each, FlowProposal)]
    return found


class MixtureFit:
    """The fit of a mixture proposal: members of every kind for one target, and shares by its held-out draws.

    Parameters
    ----------
    target : Target
    periodic : ndarray of bool, shape (n_dim,)
    fitting : Fitting
    flows_in : callable
        Finds former flows for this target among members of proposals.
    """

    def __init__(
        self, target: Target, periodic: NDArray[np.bool_], fitting: Fitting, flows_in: FlowsIn = flows_in
    ) -> None:
        self.target = target
        self.fitting = fitting
        self.cut = target.thinnest_cut(periodic)
        # Cut coordinates of the draws, and the log density of the target in them where it is known.
        self.z = apply_cut(target.z, self.cut)
        self.log_density = None if target.log_target is None else target.log_target + log_normal(self.z)
        self._flows_in = flows_in

    def proposal(
        self, with_flow: bool = True, with_training: bool = True
    ) -> tuple[MixtureProposal, tuple[TrainingInfo, ...]]:
        """Mixture of all members that are worth their share, and the trainings of its flows.

        Parameters
        ----------
        with_flow : bool
            False for a mixture without flows.
        with_training : bool
            False for a mixture whose flows are former ones.
        """
        target = self.target
        flows: list[Proposal] = []
        trainings: tuple[TrainingInfo, ...] = ()
        # Tempered from the prior, a flow is worth less than its training: the next target is another.
        if with_flow and (target.located or target.exponent == 1.0):
            latest = target.members[target.n_retired :]
            former = [each for each in self._flows_in(latest) if each.context is None]
            flows = list[Proposal](former[::-1][: MIXTURE.most_flows - 1])
            if with_training:
                flow, info = self.flow(former)
                flows, trainings = [flow, *flows], (info,)
        smooth, chart = self._mixtures_in_charts()
        gaussians = (self._gaussian(), self._with_normal_marginals())
        smooth = [*(each for each in gaussians if each is not None), *smooth]
        local, fixed, fixed_shares = self._kernels(chart)
        fitted, wider = [*flows, *smooth, *local], [*local, *fixed[-len(MIXTURE.wide_shares) :]]
        members = (*fitted, *fixed, PriorProposal(target.z.shape[1]))
        shares = np.concatenate([np.zeros(len(fitted)), fixed_shares, [MIXTURE.prior_share]])
        if target.exponent < 1.0 and local:
            shares[len(fitted) - 1] = MIXTURE.exploring_share
        is_smooth = np.isin(np.arange(len(shares)), len(flows) + np.arange(len(smooth)))
        proposal = MixtureProposal.of_shares(members, self._shares(members, shares, is_smooth))
        if target.surface is not None:
            rng = self.fitting.rng
            proposal = target.surface.with_guided_kernels(proposal, wider, chart, self.cut, rng)
        return proposal, trainings

    def flow(self, former: Sequence[FlowProposal] = ()) -> tuple[FlowProposal, TrainingInfo]:
        """A flow for the target. It starts from a former one that is close to it, if there is one."""
        target, z = self.target, self.z
        networks, config, rng, on_epoch = self.fitting
        affine = AffineMap.standardising(z, target.weights)
        number = len(self._flows_in(target.members))
        make = networks.refinement_flows[number % len(networks.refinement_flows)]
        with seeded_modules(rng):
            flow = make(z.shape[1], 0)
        flow = flow.to(networks.device)
        start = next((each for each in former[::-1] if _goes_on(each, flow, affine, self.cut)), None)
        if start is not None:
            flow.load_state_dict(start.flow.state_dict())
            affine, rate = start.affine, MIXTURE.warm_rate * config.learning_rate
            n_epochs = max(int(MIXTURE.warm_epochs * config.n_epochs), 1)
            config = replace(config, n_epochs=n_epochs, learning_rate=rate)
        as_tensor = partial(torch.as_tensor, dtype=torch.float32, device=networks.device)
        known = self.log_density is not None and target.exponent == 1.0
        objective = WeightedObjective(
            flow,
            as_tensor(affine.backward(z)),
            as_tensor(target.weights),
            torch.as_tensor(target.held_out, device=networks.device),
            target.ess,
            config,
            rng,
            as_tensor(self.log_density) if known else None,
        )
        return FlowProposal(flow, None, affine, self.cut), fit(flow, objective, config, on_epoch)

    def _gaussian(self) -> Proposal | None:
        """The Gaussian by regression in the chart in which it fits better, from the draws not held out.

        A Gaussian likelihood with uniform priors is Gaussian in the unit cube alone. correlated20 (2,000
        effective samples, seed 1) takes 20,531 calls with both charts. With the latent space alone it takes
        25,318, and log Z was 2.5 errors too low.
        """
        target, learnt = self.target, self.target.learnt
        if target.log_target is None:
            return None
        made: list[Proposal] = []
        for chart in CHARTS:
            y = chart.coordinates(target.z, self.cut)
            mixture = gaussian_by_regression(y, target.log_target + chart.log_prior(y), learnt)
            gaussian = None if mixture is None else chart.of(mixture, self.cut, self.fitting.rng)
            made += [] if gaussian is None else [gaussian]

        def score(gaussian: Proposal) -> float:
            return float(learnt @ np.maximum(gaussian.log_ratio(target.z), MIXTURE.lowest))

        return max(made, key=score, default=None)

    def _mixtures_in_charts(self) -> tuple[list[Proposal], Chart]:
        """Gaussian mixtures in each chart that is worth it, and the chart for the largest and for kernels."""
        charts, sizes = CHARTS if self._near_edges() else CHARTS[:1], MIXTURE.em_kernels
        families = [self._gaussian_mixtures(chart, sizes[:-1]) for chart in charts]
        # Tempered from the prior, kernels in the latent space lose what reaches into an edge (rosenbrock).
        chart = charts[-1]
        if self.target.located and len(charts) > 1:
            chart = charts[int(np.argmax([self._score(family) for family in families]))]
        families.append(self._gaussian_mixtures(chart, sizes[-1:]))
        return [member for family in families for member in family], chart

    def _near_edges(self) -> bool:
        """True if some of the target lies where the latent space is stretched, but not in a far tail."""
        weights, farthest = self.target.weights, np.abs(self.z).max(axis=1)
        far = float(weights @ (farthest > MIXTURE.resolved))
        return float(weights @ (farthest > MIXTURE.stretched)) > MIXTURE.least_stretched >= far

    def _with_normal_marginals(self) -> Proposal | None:
        """The Gaussian in coordinates in which the marginal distributions are nearly normal.

        Many posteriors are skewed or have heavy tails in some parameters, and so are their powers, for which
        no flow is trained. None if the marginals are normal already, or if the draws are too few.
        `MixtureConfig` has the figures.
        """
        learnt, rng = self.target.learnt, self.fitting.rng
        if not self._supports(1):
            return None
        z = self.z[rng.choice(len(self.z), size=MIXTURE.marginal_draws, p=learnt)]
        marginal_map = MarginalMap.fitted(z)
        if marginal_map.gain(z) < MIXTURE.marginal_gain:
            return None
        mixture = fitted_by_em(marginal_map.forward(self.z)[0], learnt, 1, rng)
        return MarginalKernels(mixture, self.cut, marginal_map)

    def _gaussian_mixtures(self, chart: Chart, n_kernels: tuple[int, ...]) -> list[Proposal]:
        """Gaussian mixtures with as many kernels as the effective sample size supports."""
        learnt, rng = self.target.learnt, self.fitting.rng
        y = chart.coordinates(self.target.z, self.cut)
        supported = [n for n in n_kernels if self._supports(n)]
        fits = [chart.of(fitted_by_em(y, learnt, n, rng), self.cut, rng) for n in supported]
        return [each for each in fits if each is not None]

    def _supports(self, n_kernels: int) -> bool:
        """True if the effective draws suffice for so many Gaussians."""
        return n_kernels * (self.z.shape[1] + 2) <= self.target.learnt_ess

    def _score(self, family: list[Proposal]) -> float:
        """Weighted mean log density of held-out draws under a family of mixtures with fitted shares."""
        if not family:
            return -np.inf
        z, weights, _ = self.target.tested
        densities = log_ratios(family, z)
        shares = shares_by_likelihood(densities, weights, np.zeros(len(family)))
        mixture = logsumexp(densities + np.log(shares)[:, None], axis=0)
        return float(weights @ np.maximum(mixture, MIXTURE.lowest))

    def _kernels(self, chart: Chart) -> tuple[list[Proposal], list[Proposal], Array]:
        """Local kernels; kernels with a fixed share (high-weight and wider ones); these shares."""
        target, wider = self.target, zip(self.target.wider, MIXTURE.wide_shares, strict=True)
        place = chart, self.cut, self.fitting.rng
        local, _ = target.at(~target.held_out).kernels(*place, LOCAL_KERNELS)
        heavy, mass = target.kernels(*place, HIGH_WEIGHT_KERNELS)
        fixed = [(heavy, float(np.clip(mass, *MIXTURE.high_weight_shares)))]
        fixed += [(wide.kernels(*place, LOCAL_KERNELS)[0], share) for wide, share in wider]
        made = [(proposal, share) for proposal, share in fixed if proposal is not None]
        return [local] if local else [], [each for each, _ in made], np.array([share for _, share in made])

    def _shares(self, members: tuple[Proposal, ...], fixed: Array, smooth: NDArray[np.bool_]) -> Array:
        """Shares of members by the held-out draws: of largest efficiency for the posterior itself."""
        z, weights, log_target = self.target.tested
        densities, exponent = log_ratios(members, z), self.target.exponent
        if exponent == 1.0 and log_target is not None:
            return shares_by_efficiency(densities, weights, log_target, fixed)
        least = MIXTURE.mixtures_share if exponent < 1.0 else 0.0
        return shares_by_likelihood(densities, weights, fixed, smooth, least)


def _goes_on(former: FlowProposal, flow: nn.Module, affine: AffineMap, cut: Array) -> bool:
    """True if a flow can start from a former one: the same network, in nearly the same coordinates."""
    shapes = [[each.shape for each in module.state_dict().values()] for module in (former.flow, flow)]
    if shapes[0] != shapes[1] or not np.array_equal(former.cut, cut):
        return False
    shift = former.affine.backward(affine.mean[None])
    widths = np.linalg.svd(former.affine.inverse @ affine.factor, compute_uv=False)
    low, high = MIXTURE.warm_widths
    return bool(np.abs(shift).max() < MIXTURE.warm_shift and low < widths.min() and widths.max() < high)
