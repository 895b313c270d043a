"""One step of a run in any stage: fit, draw, weigh and record, within the budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import QUANTILES, Observer, RoundRecord
from nbi_sampler.algorithm.start import FormerSamples, Start
from nbi_sampler.algorithm.state import FitInfo, Pending, State
from nbi_sampler.core.config import (
    BATCHES,
    REFINEMENT,
    REFINEMENT_TRAINING,
    ROUNDS_TRAINING,
    SnpeConfig,
    TrainingConfig,
)
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.importance.weights import effective_sample_size, efficiency, log_evidence
from nbi_sampler.networks.devices import limited_threads
from nbi_sampler.networks.featurizers import Featurizer
from nbi_sampler.networks.flows import Density

__all__ = ["Networks", "Problem", "Step", "budget", "simulations_per_round"]

# ``(n, rng) -> z`` of shape (n, n_dim).
Sample = Callable[[int, np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True)
class Networks:
    """Factories of networks, and the device of the networks.

    Attributes
    ----------
    featurizer : callable
        ``(shape, n_params) -> Featurizer``.
    flow : callable
        ``(n_dims, n_context) -> Density``.
    refinement_flows : tuple of callable
        ``(n_dims, 0) -> nn.Module``: unconditional flows that the refinement uses in turn.
    device : torch.device
    n_threads : int
        Threads of torch during training and sampling.
    """

    featurizer: Callable[[tuple[int, int], int], Featurizer]
    flow: Callable[[int, int], Density]
    refinement_flows: tuple[Callable[[int, int], Density], ...]
    device: torch.device
    n_threads: int


@dataclass(frozen=True)
class Problem:
    """A likelihood as it is called, and the networks that learn its posterior.

    Attributes
    ----------
    evaluator : Evaluator
    networks : Networks
        Those with which proposals are fitted to draws.
    training, refinement_training : TrainingConfig
    start : Start or FormerSamples, optional
        The prior by default.
    approximates : bool
        True if the run explores an approximation of the likelihood, in place of rounds of simulations.
    """

    evaluator: Evaluator
    networks: Networks
    training: TrainingConfig = ROUNDS_TRAINING
    refinement_training: TrainingConfig = REFINEMENT_TRAINING
    start: Start | FormerSamples | None = None
    approximates: bool = False


def budget(config: SnpeConfig) -> int:
    """Largest number of likelihood calls of a run: as requested, or from the requested effective samples."""
    if config.max_likelihood_calls is not None:
        return config.max_likelihood_calls
    return int(max(BATCHES.calls_per_effective * config.n_effective, BATCHES.fewest_calls))


def simulations_per_round(config: SnpeConfig, evaluator: Evaluator) -> int:
    """Draws of a round: as requested, or from the dimension, the forward model and the cost of a call."""
    if config.n_sims != "auto":
        return config.n_sims
    base = BATCHES.round_without if evaluator.forward is None else BATCHES.round_with_model
    base += BATCHES.round_per_dimension * evaluator.space.n_dim
    factor = next(share for seconds, share in BATCHES.cost_steps if evaluator.seconds_per_call < seconds)
    return int(round(np.clip(base, *BATCHES.round_limits) * factor, -2))


@dataclass(frozen=True)
class Step:
    """One step's view of the run."""

    state: State
    problem: Problem
    config: SnpeConfig
    entropy: int
    observer: Observer

    @property
    def n_sims(self) -> int:
        """Draws of a round."""
        return self.state.n_sims or simulations_per_round(self.config, self.problem.evaluator)

    @property
    def n_exploring(self) -> int:
        """Draws of a search for all modes, if there is no forward model."""
        if self.problem.evaluator.forward is not None or self.config.n_sims != "auto":
            return self.n_sims
        n_dim = self.problem.evaluator.space.n_dim
        times = np.clip((n_dim - 1) / BATCHES.dimensions_per_round, 1.0, BATCHES.most_exploring)
        return int(round(self.n_sims * times, -2))

    @property
    def most_at_once(self) -> int:
        """Limit to the final draws of a batch, because all of its predictions are in memory at once."""
        forward = self.problem.evaluator.forward
        if forward is None or not self.problem.evaluator.simulates:
            return BATCHES.most_at_once
        at_once = BATCHES.most_predicted // len(forward.observed)
        return int(np.clip(at_once, self.n_sims, BATCHES.most_at_once))

    def missing_draws(self, rate: float) -> int:
        """Number of draws expected to complete the result at an efficiency of ``rate``."""
        missing = self.config.n_effective - effective_sample_size(self.state.final_log_weights)
        n_draws = BATCHES.margin * missing / max(rate, BATCHES.least_rate) + BATCHES.spare
        return int(np.clip(n_draws, BATCHES.fewest, BATCHES.most_at_once))

    @property
    def fewest_located(self) -> float:
        """Effective draws that locate the posterior, so that the refinement can start."""
        n_dim = self.problem.evaluator.space.n_dim
        return max(REFINEMENT.located, REFINEMENT.located_per_dimension * n_dim)

    def has_located(self, state: State) -> bool:
        """True if the weights of all draws of ``state`` suffice for the refinement to start."""
        return effective_sample_size(state.history.log_weights) >= self.fewest_located

    def threads(self) -> AbstractContextManager[None]:
        """Threads for the computations between the calls of the likelihood."""
        return limited_threads(self.problem.networks.n_threads)

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose in this step."""
        return stage_generator(self.entropy, purpose, len(self.state.records))

    def fitted(
        self, phase: str, fit: Callable[[], tuple[MixtureProposal, FitInfo]]
    ) -> tuple[MixtureProposal, FitInfo]:
        """The proposal from ``fit``, or the one fitted before the run was interrupted."""
        pending = self.state.pending
        if pending is not None and pending.info is not None:
            return pending.proposal, pending.info
        self.observer.training_started(phase)
        start = time.perf_counter()
        with self.threads():
            proposal, info = fit()
        # The time of all members of the proposal, not of its networks alone.
        seconds = time.perf_counter() - start
        return proposal, replace(info, training=replace(info.training, seconds=seconds))

    def drawn(
        self,
        phase: str,
        proposal: MixtureProposal,
        n_draws: int,
        info: FitInfo | None = None,
        *,
        pooled: bool = False,
        sample: Sample | None = None,
    ) -> State:
        """The state after ``n_draws`` more draws from ``proposal``, or as many as the budget allows.

        They come from ``sample``, or from the proposal itself. If the run was interrupted within this batch,
        its draws are used.
        """
        state, observer = self.state, self.observer
        batch = state.pending or self._sampled(proposal, n_draws, info, sample or proposal.sample)
        observer.drawing_started(phase, len(batch.z))
        observer.state_changed(replace(state, n_sims=self.n_sims, pending=batch))
        evaluation = self.problem.evaluator(batch.z, observer.drawn, batch.partial)
        draws = Draws(batch.z, batch.log_ratio, evaluation, batch.proposal.log_ratio_error)
        observer.simulations_drawn(phase, draws)
        start = time.perf_counter()
        with self.threads():
            history = state.history if phase == "final" else state.history.extended(draws, batch.proposal)
        seconds = batch.seconds + time.perf_counter() - start
        return replace(
            state,
            history=history,
            final=(*state.final, draws) if pooled else state.final,
            records=(*state.records, _record(phase, draws, batch.info, seconds, pooled)),
            n_sims=self.n_sims,
            pending=None,
        )

    def _sampled(
        self, proposal: MixtureProposal, n_draws: int, info: FitInfo | None, sample: Sample
    ) -> Pending:
        n_draws = max(min(n_draws, budget(self.config) - self.state.n_calls), 1)
        start = time.perf_counter()
        with self.threads():
            z = sample(n_draws, self.generator("draw"))
            log_ratio = proposal.log_ratio(z)
        return Pending(proposal, info, z, log_ratio, time.perf_counter() - start)


def _record(phase: str, draws: Draws, info: FitInfo | None, seconds: float, pooled: bool) -> RoundRecord:
    evidence = log_evidence(draws.log_weights)
    evaluation = draws.evaluation
    record = RoundRecord(
        phase=phase,
        n_draws=len(draws),
        n_calls=evaluation.n_calls,
        n_nan=evaluation.n_nan,
        ess=effective_sample_size(draws.log_weights),
        efficiency=efficiency(draws.log_weights),
        log_evidence=evidence.log_evidence,
        log_evidence_err=evidence.error,
        pooled=pooled,
        quantiles=tuple(map(tuple, np.quantile(evaluation.theta, QUANTILES, axis=0).T.tolist())),
        seconds_simulating=evaluation.seconds,
        seconds_sampling=seconds,
    )
    if info is None:
        return record
    return replace(
        record,
        exponent=info.exponent,
        out_of_distribution=info.out_of_distribution,
        training_loss=info.training.training,
        validation_loss=info.training.validation,
        seconds_training=info.training.seconds,
    )
