"""The rounds: a featurizer and a flow are fitted to simulations, and draws come from it at the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.periodic import apply_cut
from nbi_sampler.algorithm.proposals.proposal import FlowProposal, MixtureProposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.state import Best, FitInfo, State
from nbi_sampler.algorithm.step import Networks, Step
from nbi_sampler.core.config import BATCHES, REFINEMENT, SnpeConfig, TrainingConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.core.types import Array
from nbi_sampler.forward import ForwardModel
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.training.fit import OnEpoch, fit
from nbi_sampler.networks.training.losses import LOSSES
from nbi_sampler.networks.training.noisy_data import NoisyData
from nbi_sampler.networks.training.objectives import NllObjective
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["fit_to_simulations", "n_learnt_from", "simulate_and_train"]


def simulate_and_train(step: Step) -> tuple[State, str]:
    """Train on the simulations, and draw from the flow at the observed data (Algorithm 1)."""
    state, config = step.state, step.config
    proposal, info = step.fitted("rounds", lambda: _fit(step))
    before = state.records[-1]
    state = step.drawn("rounds", proposal, step.n_sims, info)
    now = state.records[-1]
    fell = before.phase == "rounds" and (
        now.ess < before.ess or now.log_evidence < before.log_evidence - REFINEMENT.lost_evidence
    )
    if not fell:
        state = replace(state, best=Best(proposal, now))
    if fell or state.count("rounds") >= config.n_rounds:
        return state, "located" if config.refine else "ended"
    return state, "located" if config.refine and step.has_located(state) else "gaining"


def n_learnt_from(state: State, config: SnpeConfig) -> int:
    """Number of batches from which the next round learns: with NLL only the last, after the first round."""
    if LOSSES.named(config.loss).all_rounds or not state.count("rounds"):
        return len(state.history.batches)
    return 1


def _fit(step: Step) -> tuple[MixtureProposal, FitInfo]:
    state, problem = step.state, step.problem
    assert problem.evaluator.forward is not None
    proposal, info = fit_to_simulations(
        state.history.batches[-n_learnt_from(state, step.config) :],
        problem.evaluator.forward,
        problem.evaluator.space,
        problem.networks,
        problem.training,
        step.generator("train"),
        step.config.loss,
        on_epoch=step.observer.epoch_finished,
    )
    return MixtureProposal.single(proposal), info


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
    """Train a conditional flow on simulations, and evaluate it at the observed data.

    Parameters
    ----------
    batches : sequence of Draws
        Draws with predictions. Rows without a finite prediction are left out.
    loss : str
        See `losses`.
    on_epoch : callable, optional
        See `training.fit`.

    Raises
    ------
    ValueError
        If too few predictions are finite.
    """
    z, theta, predictions = _usable(batches)
    cut = WeightedDraws(z, np.zeros(len(z))).thinnest_cut(space.periodic)
    z = apply_cut(z, cut)
    affine = AffineMap.standardising(z, np.full(len(z), 1.0 / len(z)))
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
    """Coordinates, parameters and predictions of the rows with a finite prediction.

    Batches before a restart from the prior have no predictions any more.
    """
    simulated = [(batch, part) for batch in batches if (part := batch.evaluation.predictions) is not None]
    z = np.concatenate([batch.z for batch, _ in simulated])
    theta = np.concatenate([batch.evaluation.theta for batch, _ in simulated])
    made = [part for _, part in simulated]
    # Predictions of long data take most of the memory, so they are copied only if rows are left out.
    predictions = made[0] if len(made) == 1 else np.concatenate(made)
    finite = np.asarray(np.isfinite(predictions).all(axis=1))
    if finite.sum() < BATCHES.fewest_predictions:
        raise ValueError(
            f"simulator: expected finite predictions, got {int(finite.sum())} of {len(finite)} draws; narrow "
            "the priors to where the model exists"
        )
    if finite.all():
        return z, theta, predictions
    return z[finite], theta[finite], predictions[finite]


@torch.no_grad()
def _observed_features(featurizer: Featurizer, objective: NllObjective) -> tuple[torch.Tensor, float]:
    """Features of the observed data, and the distance of its inputs from the range of the simulated ones.

    The inputs are clipped to this range, because outside of it a flow may go anywhere.
    """
    simulated = objective.example_inputs().flatten(1)
    observed = featurizer.reduce(torch.zeros(1, math.prod(objective.data.shape), device=simulated.device))
    low, high = simulated.amin(0), simulated.amax(0)
    margin = BATCHES.input_margin * (high - low)
    flat = observed.flatten(1)
    clipped = torch.minimum(torch.maximum(flat, low - margin), high + margin)
    excess = ((flat - clipped).abs() / (high - low + 1e-6)).max()
    return featurizer(clipped.view(observed.shape)), float(excess)
