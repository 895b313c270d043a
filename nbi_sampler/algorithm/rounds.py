"""Fit the next proposal to simulations: featurizer and flow, put at the observed data.

Called by `snpe` in its rounds; the arithmetic of the losses is in `objectives`, the loop in `training`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import FlowProposal
from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.forward import ForwardModel
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density
from nbi_sampler.networks.training.fit import OnEpoch, TrainingInfo, fit
from nbi_sampler.networks.training.losses import LOSSES
from nbi_sampler.networks.training.noisy_data import NoisyData
from nbi_sampler.networks.training.objectives import NllObjective
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["FitInfo", "Networks", "fit_to_simulations"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Networks:
    """How networks are made and where they live.

    Attributes
    ----------
    featurizer : callable
        ``(shape, n_params) -> Featurizer``.
    flow : callable
        ``(n_dims, n_context) -> Density``.
    refinement_flows : tuple of callable
        ``(n_dims, 0) -> nn.Module``: unconditional flows that the refinement takes in turn.
    device : torch.device
    n_threads : int
        Threads for torch while it trains and samples.
    """

    featurizer: Callable[[tuple[int, int], int], Featurizer]
    flow: Callable[[int, int], Density]
    refinement_flows: tuple[Callable[[int, int], Density], ...]
    device: torch.device
    n_threads: int


@dataclass(frozen=True)
class FitInfo:
    """What people read about a fit.

    Attributes
    ----------
    training : TrainingInfo
    exponent : float
        Power of the weights that was fitted; 1 for the target itself.
    out_of_distribution : float
        How far outside the range of the simulated inputs the observed ones lie, in units of that range; 0
        inside, and 0 for fits that use no data.
    """

    training: TrainingInfo
    exponent: float = 1.0
    out_of_distribution: float = 0.0


def fit_to_simulations(
    batches: Sequence[Draws],
    forward: ForwardModel,
    space: ParameterSpace,
    networks: Networks,
    config: TrainingConfig,
    rng: np.random.Generator,
    loss: str = "nll",
    on_epoch: OnEpoch | None = None,
) -> tuple[FlowProposal, FitInfo]:
    """Train a conditional estimator on simulations and put it at the observed data.

    Parameters
    ----------
    batches : sequence of Draws
        With predictions; rows without a finite prediction are left out.
    forward : ForwardModel
    space : ParameterSpace
    networks : Networks
    config : TrainingConfig
    rng : numpy.random.Generator
    loss : str
        See `losses`.
    on_epoch : callable, optional
        See `training.fit`.

    Returns
    -------
    FlowProposal, FitInfo

    Raises
    ------
    ValueError
        With fewer than 20 finite predictions to learn from.
    """
    z, theta, predictions = _usable(batches)
    uniform = np.full(len(z), 1.0 / len(z))
    cut = thinnest_cut(z, uniform, space.periodic)
    z = apply_cut(z, cut)
    affine = AffineMap.standardising(z, uniform)
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32)
    data = NoisyData(forward, predictions, space.columns(theta), networks.device)
    with seeded_modules(rng):
        featurizer = networks.featurizer(forward.shape, space.n_dim).to(networks.device)
        featurizer.fit(data, rng)
        flow = networks.flow(space.n_dim, featurizer.n_features).to(networks.device)
    log_prior = torch.as_tensor(-0.5 * np.sum(z**2, axis=1), dtype=torch.float32)
    objective = LOSSES.named(loss).make(flow, featurizer, data, y, config, rng, log_prior)
    info = fit(nn.ModuleList([featurizer, flow]), objective, config, on_epoch)
    context, excess = _observed_features(featurizer, objective)
    return FlowProposal(flow, context, affine, cut), FitInfo(info, out_of_distribution=excess)


def _usable(batches: Sequence[Draws]) -> tuple[Array, Array, Array]:
    """Coordinates, parameters and predictions of the rows with a finite prediction."""
    z = np.concatenate([batch.z for batch in batches])
    theta = np.concatenate([batch.evaluation.theta for batch in batches])
    made = [part for batch in batches if (part := batch.evaluation.predictions) is not None]
    # Predictions of long data are most of the memory of a run: they are copied only where rows are left out.
    predictions = made[0] if len(made) == 1 else np.concatenate(made)
    finite = np.asarray(np.isfinite(predictions).all(axis=1))
    if finite.sum() < 20:
        raise ValueError(
            f"simulator: expected finite predictions, got {int(finite.sum())} of {len(finite)} draws; narrow "
            "the priors to where the model exists"
        )
    if finite.all():
        return z, theta, predictions
    return z[finite], theta[finite], predictions[finite]


@torch.no_grad()
def _observed_features(featurizer: Featurizer, objective: NllObjective) -> tuple[torch.Tensor, float]:
    """Features of the observed data, inputs clipped to the range of the simulated ones, and the excess.

    Outside that range a flow may go anywhere.
    """
    simulated = objective.example_inputs().flatten(1)
    observed = featurizer.reduce(torch.zeros(1, math.prod(objective.data.shape), device=simulated.device))
    low, high = simulated.amin(0), simulated.amax(0)
    margin = 0.1 * (high - low)
    flat = observed.flatten(1)
    clipped = torch.minimum(torch.maximum(flat, low - margin), high + margin)
    excess = ((flat - clipped).abs() / (high - low + 1e-6)).max()
    return featurizer(clipped.view(observed.shape)), float(excess)
