"""Sequential inference of one target: the sampler's rounds, run from the engine.

Algorithm 1 of Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824) without bilby's sampler around it; the
rounds are those of `snpe`. Called by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.step import Problem
from nbi_sampler.amortised.inference import Inference, infer
from nbi_sampler.amortised.noise import Observation
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.amortised.simulator import TargetModel, target_evaluator
from nbi_sampler.config import SnpeConfig, TrainingConfig
from nbi_sampler.proposals.proposal import MixtureProposal

__all__ = ["Focused", "focus", "infer_focused"]

Array = NDArray[np.float64]

# Effective samples asked of a run: with refinement it goes on until its calls are spent, while the paper's
# rounds would be followed by draws that nobody has asked for yet.
UNREACHED = 1e15
NONE_AT_ALL = 1e-9


@dataclass(frozen=True)
class Focused:
    """What the rounds have learnt about one target.

    Attributes
    ----------
    x_obs : ndarray
        As the user gave it.
    model : TargetModel
    proposal : MixtureProposal
        Of the round with the largest effective size.
    records : tuple of RoundRecord
        Every batch of draws.
    """

    x_obs: Array
    model: TargetModel
    proposal: MixtureProposal
    records: tuple[RoundRecord, ...]


def focus(
    model: TargetModel,
    x_obs: Array,
    setup: Setup,
    config: Mapping[str, Any],
    training: TrainingConfig,
    observer: Observer | None = None,
) -> Focused:
    """Simulate and train in rounds, each where the last one has found the posterior.

    Parameters
    ----------
    model : TargetModel
    x_obs : ndarray
        As the user gave it, to be recognised by.
    setup : Setup
    config : mapping
        Fields of `SnpeConfig`: n_sims, n_rounds, loss, refine.
    training : TrainingConfig
    observer : Observer, optional
        Told of the events of the rounds.

    Raises
    ------
    ValueError
        When no simulation has a finite likelihood.
    """
    asked = SnpeConfig(
        n_effective=UNREACHED if config["refine"] else NONE_AT_ALL,
        # The first batch has twice as many.
        max_likelihood_calls=(config["n_rounds"] + 2) * config["n_sims"],
        **config,
    )
    networks = setup.networks(setup.featurizer, training.n_threads)
    with setup.opened_pool() as pool:
        problem = Problem(target_evaluator(model, setup.space, pool), networks, training)
        state = run(problem, asked, setup.entropy, observer or Observer())
    if state.best is None:
        raise ValueError(
            "x_obs: log L was -inf or NaN at all draws from the prior; check data, simulator and likelihood"
        )
    return Focused(x_obs, model, state.best.proposal, state.records)


def infer_focused(
    focused: Focused, setup: Setup, n_samples: int, on_target: Callable[[], None] | None = None
) -> list[Inference]:
    """The posterior of the target of the rounds, by importance sampling from the best of them."""

    def weigh(predictions: Array, y: Array, observation: Observation) -> Array:
        return focused.model.log_likelihood(predictions, setup.space.columns(y))

    data, unknown = [Observation(focused.x_obs)], np.full(1, np.nan)
    with setup.opened_pool() as pool:
        evaluator = target_evaluator(focused.model, setup.space, pool)
        return infer([focused.proposal], data, unknown, evaluator, weigh, n_samples, setup.entropy, on_target)
