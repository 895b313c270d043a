"""SNPE-IS: sequential rounds, refinement and final draws.

Each step takes a state and gives the next one with a record of what happened; `run` goes on until the wanted
number of effective samples, or the budget, is reached. Knows nothing of bilby.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.config import SnpeConfig, TrainingConfig
from nbi_sampler.evaluation import Evaluator
from nbi_sampler.fitting import FitInfo, Networks, fit_to_simulations, fit_to_weights
from nbi_sampler.history import Draws, History
from nbi_sampler.importance import effective_sample_size, efficiency, log_evidence
from nbi_sampler.proposals import MixtureProposal, PriorProposal, Proposal
from nbi_sampler.randomness import stage_generator
from nbi_sampler.records import Observer, RoundRecord

__all__ = ["Problem", "State", "run"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

LOCATED = 0.2
WARM = 0.6
CONVERGED = 0.92
SMALLEST_GAIN = 1.04
MOST_STALLS = 2
DEFENSIVE_SHARE = 0.05
EXPLORING_SHARE = 0.3


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
    """

    evaluator: Evaluator
    networks: Networks
    training: TrainingConfig = field(default_factory=TrainingConfig)
    refinement_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(n_epochs=80, patience=12, validation_share=0.125)
    )


@dataclass(frozen=True)
class State:
    """All that the next step needs.

    Attributes
    ----------
    history : History
        Draws that train proposals.
    final : tuple of Draws
        Draws of the result; each is independent of the training of the proposal that weights it.
    records : tuple of RoundRecord
    phase : str
        "prior", "rounds", "refinement", "final" or "done".
    best : int
        Number of the batch whose proposal was the most efficient of its phase.
    n_stalls : int
        Refinements since the last one that gained.
    """

    history: History = field(default_factory=History)
    final: tuple[Draws, ...] = ()
    records: tuple[RoundRecord, ...] = ()
    phase: str = "prior"
    best: int = 0
    n_stalls: int = 0

    @property
    def n_calls(self) -> int:
        """Calls of the user's code so far."""
        return sum(record.n_calls for record in self.records)

    @property
    def final_log_weights(self) -> Array:
        """Log weights of the result's draws, shape (n_final,)."""
        return np.concatenate([draws.log_weights for draws in self.final]) if self.final else np.zeros(0)

    def count(self, phase: str) -> int:
        """Batches drawn in a phase."""
        return sum(record.phase == phase for record in self.records)


def run(problem: Problem, config: SnpeConfig, entropy: int, observer: Observer, state: State | None = None) -> State:
    """Run SNPE-IS to its end.

    Parameters
    ----------
    problem : Problem
    config : SnpeConfig
    entropy : int
        Seed of all randomness.
    observer : Observer
    state : State, optional
        To go on from; the beginning by default.

    Returns
    -------
    State
        In phase "done".

    References
    ----------
    Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824), Algorithm 1; Koblents & Miguez (2015,
    arXiv:1208.5600) for the refinement.
    """
    steps: dict[str, Callable[[Step], State]] = {
        "prior": draw_from_prior,
        "rounds": simulate_and_train,
        "refinement": refine,
        "final": draw_final,
    }
    state = state or State()
    while state.phase != "done":
        state = steps[state.phase](Step(state, problem, config, entropy, observer))
        effective = effective_sample_size(state.final_log_weights)
        observer.round_finished(state.records[-1], effective)
        if effective >= config.n_effective or state.n_calls >= budget(config):
            state = replace(state, phase="done")
    return state


def budget(config: SnpeConfig) -> int:
    """Most likelihood calls of a run: as asked, or 200 for each wanted effective sample."""
    if config.max_likelihood_calls is not None:
        return config.max_likelihood_calls
    return int(max(200 * config.n_effective, 200_000))


def simulations_per_round(config: SnpeConfig, n_dim: int, seconds_per_call: float) -> int:
    """Draws of a round: as asked, or by dimension and by what the model costs."""
    if config.n_sims != "auto":
        return config.n_sims
    base = np.clip(500 + 200 * n_dim, 800, 3000)
    factor = np.clip((1e-3 / max(seconds_per_call, 1e-9)) ** 0.1, 0.5, 1.25)
    return int(round(base * factor, -2))


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
        evaluator = self.problem.evaluator
        return simulations_per_round(self.config, evaluator.space.n_dim, evaluator.seconds_per_call)

    def generator(self, purpose: str) -> np.random.Generator:
        """Randomness for one purpose of this step."""
        return stage_generator(self.entropy, purpose, len(self.state.records))

    def drawn(
        self, phase: str, proposal: Proposal, n_draws: int, info: FitInfo | None = None, *, pooled: bool = False
    ) -> State:
        """The state after ``n_draws`` more draws from ``proposal``, or as many as the budget allows."""
        state, observer = self.state, self.observer
        n_draws = max(min(n_draws, budget(self.config) - state.n_calls), 1)
        observer.drawing_started(phase, n_draws)
        start = time.perf_counter()
        z = proposal.sample(n_draws, self.generator("draw"))
        log_ratio = proposal.log_ratio(z)
        seconds = time.perf_counter() - start
        draws = Draws(z, log_ratio, self.problem.evaluator(z, observer.drawn))
        start = time.perf_counter()
        history = state.history if phase == "final" else state.history.extended(draws, proposal)
        seconds += time.perf_counter() - start
        return replace(
            state,
            history=history,
            final=(*state.final, draws) if pooled else state.final,
            records=(*state.records, _record(phase, draws, info, seconds, pooled)),
        )


def draw_from_prior(step: Step) -> State:
    """First batch, from the prior; once more, and larger, while no likelihood is finite."""
    evaluator = step.problem.evaluator
    n_draws = 2 * step.n_sims * 2 ** step.state.count("prior")
    state = step.drawn("prior", PriorProposal(evaluator.space.n_dim), n_draws)
    if not np.isfinite(state.history.log_likelihood).any():
        return replace(state, phase="prior" if state.count("prior") < 4 else "done")
    if evaluator.forward is not None:
        return replace(state, phase="rounds")
    return replace(state, phase="refinement")


def simulate_and_train(step: Step) -> State:
    """Train on the simulations, draw from the estimate at the observed data (Algorithm 1)."""
    state, problem, config = step.state, step.problem, step.config
    assert problem.evaluator.forward is not None
    step.observer.training_started("rounds")
    batches = state.history.batches if config.loss == "apt" else state.history.batches[-1:]
    proposal, info = fit_to_simulations(
        batches,
        problem.evaluator.forward,
        problem.evaluator.space,
        problem.networks,
        problem.training,
        step.generator("train"),
        config.loss,
    )
    before = state.records[-1]
    state = step.drawn("rounds", proposal, step.n_sims, info)
    now = state.records[-1]
    last = state.count("rounds") >= config.n_rounds
    fell = before.phase == "rounds" and now.ess < before.ess
    if now.ess >= before.ess or before.phase == "prior":
        state = replace(state, best=len(state.records) - 1)
    if not config.refine:
        return replace(state, phase="final" if fell or last else "rounds")
    done = now.efficiency >= LOCATED or fell or last
    return replace(state, phase="refinement" if done else "rounds")


def refine(step: Step) -> State:
    """Fit a flow to the posterior itself and draw from it."""
    state, problem = step.state, step.problem
    step.observer.training_started("refinement")
    flow, wide, info = fit_to_weights(
        state.history,
        problem.evaluator.space,
        problem.networks,
        problem.refinement_training,
        step.generator("train"),
    )
    refined = [i for i, record in enumerate(state.records) if record.phase == "refinement"]
    best = max((state.records[i].efficiency for i in refined), default=0.0)
    pooled = best >= WARM
    state = step.drawn("refinement", _defended(flow, wide, problem.evaluator.space.n_dim, best < WARM), step.n_sims, info, pooled=pooled)
    now = state.records[-1]
    if now.efficiency > best or not refined:
        state = replace(state, best=len(state.records) - 1)
    gained = info.exponent < 1.0 or now.efficiency > SMALLEST_GAIN * best
    state = replace(state, n_stalls=0 if gained else state.n_stalls + 1)
    done = now.efficiency >= CONVERGED or state.n_stalls >= MOST_STALLS
    return replace(state, phase="final" if done else "refinement")


def draw_final(step: Step) -> State:
    """Draw from the best proposal, as many as its efficiency so far asks for."""
    state = step.state
    pilot = [state.records[state.best], *(r for r in state.records if r.phase == "final")]
    rate = sum(r.ess for r in pilot) / sum(r.n_draws for r in pilot)
    missing = step.config.n_effective - effective_sample_size(state.final_log_weights)
    n_draws = int(np.clip(1.03 * missing / max(rate, 1e-4), 200, 20_000))
    return step.drawn("final", state.history.proposals[state.best], n_draws, pooled=True)


def _defended(flow: Proposal, wide: Proposal, n_dim: int, exploring: bool) -> MixtureProposal:
    """A flow with a share of something wider, so that weights stay bounded and ridges are followed."""
    share = EXPLORING_SHARE if exploring else DEFENSIVE_SHARE
    return MixtureProposal((flow, wide, PriorProposal(n_dim)), (1.0 - share, 0.9 * share, 0.1 * share))


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
