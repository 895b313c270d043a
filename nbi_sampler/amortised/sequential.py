"""Sequential inference of one target by the rounds of the sampler, called from the engine.

Algorithm 1 of Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824) without bilby's sampler around it; the
rounds are those of `snpe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.snpe import run
from nbi_sampler.algorithm.step import Problem
from nbi_sampler.amortised.data_format import Observation
from nbi_sampler.amortised.importance_weighting import errors_of_noise, target_model
from nbi_sampler.amortised.inference import Inferences, infer
from nbi_sampler.amortised.setup import Setup, qualified_name
from nbi_sampler.amortised.simulator import target_evaluator
from nbi_sampler.core.config import SnpeConfig, TrainingConfig
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.importance.weights import normalised_weights

__all__ = ["SequentialPosterior", "fit_sequentially", "infer_sequentially"]

# Effective samples asked of a run: with refinement it goes on until its calls are spent, while the paper's
# rounds would be followed by draws that nobody has asked for yet.
UNREACHED = 1e15
NONE_AT_ALL = 1e-9


@dataclass(frozen=True)
class SequentialPosterior:
    """Posterior of one target that rounds have learnt.

    Attributes
    ----------
    x_obs, x_err, mask : ndarray, or None
        As the user gave them.
    proposal : MixtureProposal
        Of the round with the largest effective size.
    records : tuple of RoundRecord
        Every batch of draws.
    samples : ndarray, shape (n_draws, n_dim)
        Draws that the proposals were trained on.
    log_likelihood : ndarray, shape (n_draws,)
    log_weights : ndarray, shape (n_draws,)
        Under the mixture of all proposals.
    weighed_by : str, optional
        Name of the user's log-likelihood.
    function : callable, optional
        That itself; a file cannot hold it.
    """

    x_obs: NDArray[Any]
    x_err: Array | None
    mask: NDArray[np.bool_] | None
    proposal: MixtureProposal
    records: tuple[RoundRecord, ...]
    samples: Array
    log_likelihood: Array
    log_weights: Array
    weighed_by: str | None = None
    function: Callable[..., ArrayLike] | None = None

    @property
    def weights(self) -> Array:
        """Of the samples, shape (n_draws,), summing to 1: those that trained a proposal count too."""
        return normalised_weights(self.log_weights)

    def is_of(self, x_obs: ArrayLike, x_err: ArrayLike | None, mask: ArrayLike | None) -> bool:
        """Return whether these are the data of the target; uncertainties and mask need not be told again."""
        if not np.array_equal(self.x_obs, as_numbers(x_obs, "x_obs"), equal_nan=True):
            return False
        shape = self.x_obs.shape
        return all(
            asked is None
            or (known is not None and np.array_equal(_broadcast(known, shape), _broadcast(asked, shape)))
            for known, asked in ((self.x_err, x_err), (self.mask, mask))
        )


def fit_sequentially(
    target: tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None],
    function: Callable[..., ArrayLike] | None,
    setup: Setup,
    config: Mapping[str, Any],
    training: TrainingConfig,
    observer: Observer | None = None,
) -> SequentialPosterior:
    """Simulate and train in rounds; each round draws from the posterior of the last one.

    Parameters
    ----------
    target : tuple
        Data, uncertainties and mask, as the user gives them.
    function : callable, optional
        The user's log-likelihood.
    setup : Setup
    config : mapping
        Fields of `SnpeConfig`: n_sims, n_rounds, loss, refine.
    training : TrainingConfig
    observer : Observer, optional
        Told of the events of the rounds.

    Raises
    ------
    ValueError
        Without data, or when no simulation has a finite likelihood; see `target_model` too.
    """
    if target[0] is None:
        raise ValueError("x_obs: expected one for sequential rounds, got None; n_rounds=1 is amortised")
    given = Observation.read(*target)
    if given.x_err is None and function is None:
        # Told again with the data, they are those of the rounds.
        given = given._replace(x_err=np.broadcast_to(errors_of_noise(setup.noise), given.x.shape))
    model = target_model(setup, given, function)
    asked = SnpeConfig(
        n_effective=UNREACHED if config["refine"] else NONE_AT_ALL,
        # The first batch has twice as many.
        max_likelihood_calls=(config["n_rounds"] + 2) * config["n_sims"],
        **config,
    )
    networks = setup.networks(setup.featurizer, training.n_threads, math.prod(model.shape))
    with setup.opened_pool() as pool:
        problem = Problem(target_evaluator(model, setup.space, pool), networks, training)
        state = run(problem, asked, setup.entropy, observer or Observer())
    if state.best is None:
        raise ValueError(
            "x_obs: log L was -inf or NaN at all draws from the prior; check data, simulator and likelihood"
        )
    # Copies: the user may change his own.
    x_obs, x_err, mask = (None if part is None else part.copy() for part in given)
    assert x_obs is not None
    return SequentialPosterior(
        x_obs=x_obs,
        x_err=x_err,
        mask=mask,
        proposal=state.best.proposal,
        records=state.records,
        samples=np.concatenate([draws.evaluation.theta for draws in state.history.batches]),
        log_likelihood=state.history.log_likelihood,
        log_weights=state.history.log_weights,
        weighed_by=None if function is None else qualified_name(function),
        function=function,
    )


def infer_sequentially(
    posterior: SequentialPosterior,
    setup: Setup,
    n_samples: int,
    function: Callable[..., ArrayLike] | None = None,
    on_target: Callable[[], None] | None = None,
) -> Inferences:
    """Infer the target of the rounds by importance sampling from the best of them.

    Raises
    ------
    ValueError
        If the rounds used a log-likelihood of the user, which a file cannot contain, and none is given.
    """
    function = function or posterior.function
    if function is None and posterior.weighed_by is not None:
        raise ValueError(
            f"log_likelihood: expected the function of the rounds, {posterior.weighed_by}, got None; a file "
            "holds no code, pass it again"
        )
    given = Observation(posterior.x_obs, posterior.x_err, posterior.mask)
    model = target_model(setup, given, function)

    def weigh(predictions: Array, y: Array, observation: Observation) -> Array:
        return model.log_likelihood(predictions, setup.space.columns(y))

    unknown = np.full(1, np.nan)
    with setup.opened_pool() as pool:
        evaluator = target_evaluator(model, setup.space, pool)
        proposals, entropy = [posterior.proposal], setup.entropy
        return infer(proposals, [given], unknown, evaluator, weigh, n_samples, entropy, on_target)


def _broadcast(part: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """A mask, or uncertainties, of the shape of the data; as they are where they do not fit."""
    try:
        return np.broadcast_to(as_numbers(part, "x_err"), shape)
    except ValueError:
        return np.asarray(part)
