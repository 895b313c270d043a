"""Train an estimator on simulations from the prior: the amortised counterpart of the sampler's rounds.

Layout, featurizer and flow are fitted here with the loss and the loop that the rounds use. Called by the
engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from nbi_sampler.algorithm.rounds import Networks
from nbi_sampler.amortised.data import SimulatedTargets
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.layout import DataLayout
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.amortised.simulations import TrainingSet
from nbi_sampler.amortised.summary import DataSummary
from nbi_sampler.config import TrainingConfig
from nbi_sampler.diagnostics.out_of_distribution import Familiarity
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.proposals.affine import AffineMap
from nbi_sampler.randomness import seeded_modules
from nbi_sampler.training.fit import OnEpoch, TrainingInfo, fit, training_threads
from nbi_sampler.training.objectives import NllObjective

__all__ = ["FEWEST", "fit_estimator"]

FEWEST = 100
# Simulations from which scales, components and familiarity are learnt, and held-out ones for the loss.
MOST_FOR_SCALES = 4000
MOST_HELD_OUT = 5000


def fit_estimator(
    simulations: TrainingSet,
    noise: Any,
    space: ParameterSpace,
    networks_for: Callable[[DataLayout], Networks],
    config: TrainingConfig,
    rng: np.random.Generator,
    channels: Sequence[str] | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[Estimator, TrainingInfo]:
    """Train featurizer and flow on simulations.

    Parameters
    ----------
    simulations : TrainingSet
        Of parameters drawn from the prior; those that are not finite are left out.
    noise : object
        See `NoiseLaw`.
    space : ParameterSpace
    networks_for : callable
        ``layout -> Networks``, once it is known what the data consist of.
    config : TrainingConfig
    rng : numpy.random.Generator
    channels : sequence of str, optional
        See `DataLayout`.
    on_epoch : callable, optional
        See `training.fit`.

    Returns
    -------
    Estimator, TrainingInfo

    Raises
    ------
    ValueError
        With fewer than 100 finite simulations.
    """
    finite = np.isfinite(simulations.x).reshape(len(simulations), -1).all(1)
    if finite.sum() < FEWEST:
        raise ValueError(
            f"n_sims: expected {FEWEST} finite simulations to learn from, got {int(finite.sum())} of "
            f"{len(finite)}; make more, or narrow the priors to where the model exists"
        )
    z, predictions = space.to_z(simulations.theta[finite]), simulations.x[finite]
    law = NoiseLaw(noise, predictions)
    some = rng.permutation(len(z))[:MOST_FOR_SCALES]
    observed = law(predictions[some], rng)
    layout = DataLayout.learnt(*observed, channels=channels)
    networks = networks_for(layout)
    data = SimulatedTargets(predictions, law, layout, networks.device)
    affine = AffineMap.standardising(z, np.full(len(z), 1.0 / len(z)))
    y = torch.as_tensor(affine.backward(z), dtype=torch.float32)
    held_out = min(config.validation_share, MOST_HELD_OUT / len(z))
    with training_threads(networks.n_threads):
        with seeded_modules(rng):
            featurizer = networks.featurizer(layout.shape, space.n_dim)
            featurizer.fit(data.subset(some), rng)
            flow = networks.flow(space.n_dim, featurizer.n_features)
        featurizer, flow = featurizer.to(networks.device), flow.to(networks.device)
        objective = NllObjective(flow, featurizer, data, y, replace(config, validation_share=held_out), rng)
        info = fit(nn.ModuleList([featurizer, flow]), objective, config, on_epoch)
    # Noise differs between the halves, so that what one teaches is tested on the other.
    first, second = (data.observe(half, rng) for half in np.array_split(some, 2))
    summary = DataSummary.learnt(layout, first)
    familiarity = Familiarity.fit(summary(layout, second), rng)
    return Estimator(space, layout, featurizer, flow, affine, summary, familiarity), info
