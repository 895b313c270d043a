"""Proposals that a surrogate of the posterior teaches, where weighted draws are too few to teach a good one.

The surrogate learns the values of the log density at all draws so far. Draws from it cost no call of the
likelihood. They only teach the next proposal: the weights of its draws come from the likelihood itself, as
always.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mixture import Fitting, MixtureFit
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.hamiltonian import moved
from nbi_sampler.algorithm.proposals.periodic import apply_cut, remove_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, log_normal, log_ratios
from nbi_sampler.algorithm.proposals.shares import shares_by_efficiency
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import Target
from nbi_sampler.core.config import SURROGATE, TAUGHT_FLOW, TAUGHT_TRAINING
from nbi_sampler.networks.flows import flow_factory
from nbi_sampler.networks.surrogate import Surrogate, fit_surrogate
from nbi_sampler.networks.training.fit import TrainingInfo

__all__ = ["guided_proposal", "surrogate_is_due", "taught_target"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]


def surrogate_is_due(step: Step, exponent: float) -> bool:
    """True if a surrogate may pay: the refinement has not reached the posterior, or is inefficient there.

    Parameters
    ----------
    step : Step
    exponent : float
        Power of the target of the next fit.
    """
    state, evaluator = step.state, step.problem.evaluator
    if evaluator.space.discrete or not state.count("refinement"):
        return False
    if exponent < 1.0:
        return state.count("rounds") > 0
    return state.best is not None and state.best.record.efficiency < SURROGATE.poor


class _Known(NamedTuple):
    """Draws near the top of the log density, which is raised to a power, and its values relative to the top.

    Shapes (n, n_dim), (n,) and (n,).
    """

    z: Array
    values: Array
    held_out: NDArray[np.bool_]
    power: float


def taught_target(
    target: Target, history: History, periodic: NDArray[np.bool_], fitting: Fitting
) -> Target | None:
    """Draws of equal weight from a surrogate of the posterior, as a target for the next proposal.

    Parameters
    ----------
    target : Target
        Weighted draws. The walks start from these if they represent the posterior itself, and from the
        draws of high density otherwise.
    history : History
    periodic : ndarray of bool, shape (n_dim,)
    fitting : Fitting

    Returns
    -------
    Target or None
        None if the draws are too few, or the surrogate predicts those held out too poorly.
    """
    known = _known(history)
    if known is None:
        return None
    high = WeightedDraws(known.z, known.values)
    cut = thinnest_cut(high.z, high.weights, periodic)
    affine = AffineMap.standardising(apply_cut(high.z, cut), high.weights)
    device, rng = fitting.networks.device, fitting.rng
    as_tensor = partial(torch.as_tensor, dtype=torch.float32, device=device)
    surrogate, info = fit_surrogate(
        as_tensor(affine.backward(apply_cut(known.z, cut))),
        as_tensor(known.values),
        torch.as_tensor(known.held_out, device=device),
        rng,
    )
    logger.debug("surrogate of %d draws, power %.2f: residual %.2f", len(known.z), known.power, info.best)
    if not info.best < SURROGATE.worst:
        return None
    begin = target if target.exponent == 1.0 else high
    chosen = rng.choice(len(begin.z), SURROGATE.n_walks, p=begin.weights)
    starts = as_tensor(affine.backward(apply_cut(begin.z[chosen], cut)))
    walked = moved(partial(_flattened, surrogate), starts, rng)
    with torch.no_grad():
        log_density = _flattened(surrogate, walked).double().cpu().numpy()
    z = affine.forward(walked.double().cpu().numpy())
    drawn = WeightedDraws(remove_cut(z, cut), np.zeros(len(z)))
    taught = Target.of_samples(drawn, log_density - log_normal(z))
    return replace(taught, members=target.members, n_retired=target.n_retired)


def _known(history: History) -> _Known | None:
    """The draws that a surrogate learns from; None if they are too few.

    The log density is raised to the power that puts enough draws within ``SURROGATE.depth`` of the top.
    """
    finite = np.isfinite(history.log_likelihood)
    z, held_out = history.z[finite], history.held_out[finite]
    n_high = SURROGATE.draws_per_dimension * z.shape[1]
    if len(z) < 2 * n_high:
        return None
    values = history.log_likelihood[finite] + log_normal(z)
    values -= values.max()
    power = min(1.0, SURROGATE.depth / max(-np.partition(values, -n_high)[-n_high], 1e-300))
    near = power * values > -SURROGATE.nearest
    return _Known(z[near], power * values[near], held_out[near], power)


def _flattened(surrogate: Surrogate, x: Tensor) -> Tensor:
    """Log density with wider tails, and no higher than a little above the highest draw.

    What the surrogate has above that is extrapolated. With wider tails the weights stay bounded.
    """
    return SURROGATE.flattened * surrogate(x).clamp(max=SURROGATE.highest)


def guided_proposal(
    target: Target, taught: Target, periodic: NDArray[np.bool_], fitting: Fitting
) -> tuple[MixtureProposal, tuple[TrainingInfo, ...]]:
    """Mixture of a proposal for the draws of a surrogate with the one for the weighted draws.

    Parameters
    ----------
    target : Target
        Weighted draws. Those held out decide on the share of the surrogate's proposal, if they represent the
        posterior itself.
    taught : Target
        Draws from the surrogate.
    periodic : ndarray of bool, shape (n_dim,)
    fitting : Fitting

    Returns
    -------
    MixtureProposal
    tuple of TrainingInfo
    """
    usual, _ = MixtureFit(target, periodic, fitting).proposal(with_flow=False)
    networks = replace(fitting.networks, refinement_flows=(flow_factory(TAUGHT_FLOW),))
    larger = fitting._replace(networks=networks, config=TAUGHT_TRAINING)
    guide, trainings = MixtureFit(taught, periodic, larger).proposal()
    share = SURROGATE.share
    if target.exponent == 1.0:
        z, weights, log_target = target.tested
        assert log_target is not None
        densities = log_ratios((guide, usual), z)
        by_efficiency = shares_by_efficiency(densities, weights, log_target, np.zeros(2))
        share = float(np.clip(by_efficiency[0], *SURROGATE.share_limits))
    shares = np.concatenate([share * guide.shares, (1.0 - share) * usual.shares])
    return MixtureProposal((*guide.members, *usual.members), shares), trainings
