"""What every step of a run does alike: fit, draw, weigh, record, within the budget.

The steps themselves, and their order, are in `snpe`; what they hand on is in `state`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.records import QUANTILES, Observer, RoundRecord
from nbi_sampler.algorithm.rounds import FitInfo, Networks
from nbi_sampler.algorithm.state import Pending, State
from nbi_sampler.core.config import SnpeConfig, TrainingConfig
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.evaluation.evaluator import Evaluator
from nbi_sampler.importance.weights import effective_sample_size, efficiency, log_evidence
from nbi_sampler.networks.devices import limited_threads

__all__ = ["WARM", "Problem", "Start", "Step", "budget", "simulations_per_round"]

MOST_AT_ONCE = 20_000
# Numbers that the predictions of a batch may have from which nothing is learnt.
MOST_PREDICTED = 50_000_000
# Efficiency from which the batches after it are worth pooling.
WARM = 0.25
# Effective draws, at least and for each dimension, from which the refinement can bridge to the posterior.
LOCATED = 50.0
LOCATED_PER_DIMENSION = 4.0
COST_STEPS = ((0.02, 1.0), (0.5, 0.7), (np.inf, 0.5))
# A search for modes in many dimensions takes (D - 1) / 3 times the draws of a round, within limits.
MOST_EXPLORING = 3.0


@dataclass(frozen=True)
class Start:
    """What a run draws from first, where it does not begin with the prior: a trained model at the data.

    Attributes
    ----------
    proposal : MixtureProposal
        With a share of the prior.
    p_value : float
        Chance that data which the model was trained for are as unlike the others as the observed ones.
    digest : str
        Tells the model.
    check : callable, optional
        ``(draws, rng) -> bool``: whether the model knows the simulations that came with draws.
    """

    proposal: MixtureProposal
    p_value: float
    digest: str
    check: Callable[[Draws, np.random.Generator], bool] | None = None


@dataclass(frozen=True)
class Problem:
    """What is to be solved.

    Attributes
    ----------
    evaluator : Evaluator
        Where draws are paid for.
    networks : Networks
        With which proposals are learnt from them.
    training, refinement_training : TrainingConfig
    start : Start, optional
        The prior by default.
    """

    evaluator: Evaluator
    networks: Networks
    training: TrainingConfig = field(default_factory=TrainingConfig)
    refinement_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(weight_decay=0.3, n_epochs=40, patience=10)
    )
    start: Start | None = None


def budget(config: SnpeConfig) -> int:
    """Most likelihood calls of a run: as asked, or 200 for each wanted effective sample."""
    if config.max_likelihood_calls is not None:
        return config.max_likelihood_calls
    return int(max(200 * config.n_effective, 200_000))


def simulations_per_round(config: SnpeConfig, evaluator: Evaluator) -> int:
    """Draws of a round: as asked, or by dimension, by what is learnt from one and by what the model costs.

    The cost counts in three coarse steps, so that a run can be repeated in spite of the clock.
    """
    if config.n_sims != "auto":
        return config.n_sims
    base = (400 if evaluator.forward is not None else 600) + 150 * evaluator.space.n_dim
    factor = next(share for seconds, share in COST_STEPS if evaluator.seconds_per_call < seconds)
    return int(round(np.clip(base, 800, 2000) * factor, -2))


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
        """Draws from which all modes are to be found, where nothing is simulated."""
        if self.problem.evaluator.forward is not None or self.config.n_sims != "auto":
            return self.n_sims
        times = np.clip((self.problem.evaluator.space.n_dim - 1) / 3.0, 1.0, MOST_EXPLORING)
        return int(round(self.n_sims * times, -2))

    @property
    def most_at_once(self) -> int:
        """Draws of a batch from which nothing is learnt: all of their predictions are in memory at a time."""
        forward = self.problem.evaluator.forward
        if forward is None:
            return MOST_AT_ONCE
        return int(np.clip(MOST_PREDICTED // len(forward.observed), self.n_sims, MOST_AT_ONCE))

    def missing_draws(self, rate: float) -> int:
        """Draws that should complete the result at an efficiency of ``rate``."""
        missing = self.config.n_effective - effective_sample_size(self.state.final_log_weights)
        return int(np.clip(1.03 * missing / max(rate, 1e-4) + 20, 200, MOST_AT_ONCE))

    def has_located(self, state: State) -> bool:
        """Whether the weights of all draws of ``state`` are enough for the refinement to start from."""
        needed = max(LOCATED, LOCATED_PER_DIMENSION * self.problem.evaluator.space.n_dim)
        return effective_sample_size(state.history.log_weights) >= needed

    def threads(self) -> AbstractContextManager[None]:
        """Threads for what is computed between the calls of the likelihood."""
        return limited_threads(self.problem.networks.n_threads)

    def generator(self, purpose: str) -> np.random.Generator:
        """Randomness for one purpose of this step."""
        return stage_generator(self.entropy, purpose, len(self.state.records))

    def fitted(
        self, phase: str, fit: Callable[[], tuple[MixtureProposal, FitInfo]]
    ) -> tuple[MixtureProposal, FitInfo]:
        """What ``fit`` gives; where the run was stopped after it, what it gave then."""
        pending = self.state.pending
        if pending is not None and pending.info is not None:
            return pending.proposal, pending.info
        self.observer.training_started(phase)
        with self.threads():
            return fit()

    def drawn(
        self,
        phase: str,
        proposal: MixtureProposal,
        n_draws: int,
        info: FitInfo | None = None,
        *,
        pooled: bool = False,
    ) -> State:
        """The state after ``n_draws`` more draws from ``proposal``, or as many as the budget allows.

        Where the run was stopped within this batch, the draws are those that it had.
        """
        state, observer = self.state, self.observer
        batch = state.pending or self._sampled(proposal, n_draws, info)
        observer.drawing_started(phase, len(batch.z))
        observer.state_changed(replace(state, n_sims=self.n_sims, pending=batch))
        evaluation = self.problem.evaluator(batch.z, observer.drawn, batch.partial)
        draws = Draws(batch.z, batch.log_ratio, evaluation)
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

    def _sampled(self, proposal: MixtureProposal, n_draws: int, info: FitInfo | None) -> Pending:
        n_draws = max(min(n_draws, budget(self.config) - self.state.n_calls), 1)
        start = time.perf_counter()
        with self.threads():
            z = proposal.sample(n_draws, self.generator("draw"))
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
