"""SNPE-IS: sequential rounds, refinement and final draws.

Each step takes a state and gives the next one with a record of what happened; `run` goes on until the wanted
number of effective samples, or the budget, is reached. Knows nothing of bilby.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise, takewhile

import numpy as np

from nbi_sampler.algorithm.ascent import ascend, ascent_is_due
from nbi_sampler.algorithm.mode_search import climb, climb_is_due
from nbi_sampler.algorithm.pooling import (
    anew_if_doubted,
    better_by_all_draws,
    lost_ground,
    more_mass,
    without_dead_weight,
    without_less_mass,
)
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.records import Observer, RoundRecord
from nbi_sampler.algorithm.refinement import fit_to_weights
from nbi_sampler.algorithm.rounds import FitInfo, fit_to_simulations
from nbi_sampler.algorithm.state import Best, State
from nbi_sampler.algorithm.step import WARM, Problem, Step, budget
from nbi_sampler.algorithm.warm_start import draw_from_model
from nbi_sampler.core.config import SnpeConfig
from nbi_sampler.importance.weights import effective_sample_size
from nbi_sampler.networks.training.losses import LOSSES

__all__ = ["run"]

# Efficiency at which no further fit can pay; or above the lower one the share of the result's draws that even
# a perfect fit would save.
CONVERGED = 0.92
LEAST_CONVERGED = 0.5
PAYS = 0.05
# A refinement that gains less than this factor has stalled; so many in a row end the phase.
SMALLEST_GAIN = 1.04
# Refinements in which a tempered likelihood has to grow by a least factor in its power.
MOST_STUCK = 25
LEAST_PROGRESS = 1.1
# Draws for each call of the budget, where constraints rule most of them out.
MOST_DRAWS_PER_CALL = 20
MOST_STALLS = 2
# Errors by which a batch has to have more evidence than the one before to have found some of the posterior.
FOUND_MASS = 2.0
# Efficiency that the first final draws expect at least.
LEAST_PROMISING = 0.5
# A batch of final draws is at most so many times as large as the one before it; below this share of the
# efficiency so far the refinement takes over again, so many times at most.
GROWTH = 2.0
HOLDS = 0.5
MOST_RETURNS = 3
# Draws from the prior where there is nothing to simulate, divided by the fourth power of the dimension.
SCAN = 320_000
MOST_PRIOR_ROUNDS = 4
FEWEST_FINITE = 10
FEWEST_FINITE_PER_DIMENSION = 5


def run(
    problem: Problem, config: SnpeConfig, entropy: int, observer: Observer, state: State | None = None
) -> State:
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
        "model": draw_from_model,
        "prior": draw_from_prior,
        "rounds": simulate_and_train,
        "refinement": refine,
        "ascent": ascend,
        "climb": climb,
        "final": draw_final,
    }
    state = state or State()
    if problem.start is not None and not state.records:
        state = replace(state, phase="model")
    observer.state_changed(state)
    while not _ended(state, config):
        state = steps[state.phase](Step(state, problem, config, entropy, observer))
        if config.refine and _reached(state, config):
            state = anew_if_doubted(state, budget(config) - state.n_calls)
        state = _without_spent_predictions(state, config)
        observer.state_changed(state)
        observer.round_finished(state.records[-1], effective_sample_size(state.final_log_weights))
    return replace(state, phase="done")


def draw_from_prior(step: Step) -> State:
    """First batch, from the prior; again, and larger, while too few likelihoods are finite to learn from."""
    evaluator = step.problem.evaluator
    n_dim = evaluator.space.n_dim
    first = 2 * step.n_sims
    if evaluator.forward is None and step.config.n_sims == "auto":
        first = max(step.n_exploring, SCAN // max(n_dim, 2) ** 4)
    n_draws = first * 2 ** step.state.count("prior")
    prior = MixtureProposal.single(PriorProposal(n_dim))
    state = step.drawn("prior", prior, n_draws)
    if 0 < state.n_calls == sum(record.n_nan for record in state.records):
        # No prior is that far off: it is the likelihood, or the data.
        return replace(state, phase="done")
    n_finite = int(np.isfinite(state.history.log_likelihood).sum())
    if n_finite < FEWEST_FINITE + FEWEST_FINITE_PER_DIMENSION * n_dim:
        if state.count("prior") < MOST_PRIOR_ROUNDS:
            return state
        if n_finite == 0:
            return replace(state, phase="done")
    if state.records[-1].efficiency >= CONVERGED:
        return replace(state, phase="final", best=Best(prior, state.records[-1]))
    return replace(state, phase="refinement" if evaluator.forward is None else "rounds")


def simulate_and_train(step: Step) -> State:
    """Train on the simulations, draw from the estimate at the observed data (Algorithm 1)."""
    state, config = step.state, step.config
    proposal, info = step.fitted("rounds", partial(_fit_round, step))
    before = state.records[-1]
    state = step.drawn("rounds", proposal, step.n_sims, info)
    now = state.records[-1]
    last = state.count("rounds") >= config.n_rounds
    fell = before.phase == "rounds" and now.ess < before.ess
    if not fell:
        state = replace(state, best=Best(proposal, now))
    if not config.refine:
        return replace(state, phase="final" if fell or last else "rounds")
    done = fell or last or step.has_located(state)
    return replace(state, phase="refinement" if done else "rounds")


def _fit_round(step: Step) -> tuple[MixtureProposal, FitInfo]:
    state, problem, config = step.state, step.problem, step.config
    assert problem.evaluator.forward is not None
    proposal, info = fit_to_simulations(
        state.history.batches[-_n_learnt_from(state, config) :],
        problem.evaluator.forward,
        problem.evaluator.space,
        problem.networks,
        problem.training,
        step.generator("train"),
        config.loss,
        on_epoch=step.observer.epoch_finished,
    )
    return MixtureProposal.single(proposal), info


def refine(step: Step) -> State:
    """Fit a flow to the posterior itself and draw from it."""
    state, problem = step.state, step.problem
    fit = partial(
        fit_to_weights,
        state.history,
        problem.evaluator.space,
        problem.networks,
        problem.refinement_training,
        step.generator("train"),
        located=state.count("rounds") > 0 or not state.count("prior"),
        on_epoch=step.observer.epoch_finished,
    )
    proposal, info = step.fitted("refinement", fit)
    best = state.best.record.efficiency if state.best and state.count("refinement") else 0.0
    to_climb = climb_is_due(step, info.exponent)
    pooled = best >= WARM and not to_climb
    missing = step.missing_draws(best)
    larger = min(missing // 4, step.most_at_once) if state.n_stalls else 0
    n_draws = min(max(step.n_sims, larger), missing) if pooled else step.n_sims
    state = step.drawn("refinement", proposal, n_draws, info, pooled=pooled)
    now = state.records[-1]
    if now.efficiency > best or not step.state.count("refinement"):
        state = replace(state, best=Best(proposal, now))
    gained = info.exponent < 1.0 or now.efficiency > SMALLEST_GAIN * best or _found_mass(state)
    state = replace(state, n_stalls=0 if gained else state.n_stalls + 1)
    if lost_ground(step.state, state):
        state = replace(state.without_result(), n_stalls=0 if step.state.final else state.n_stalls)
    state = without_dead_weight(without_less_mass(step.state, state))
    if _is_stuck(state):
        return replace(state, phase="done")
    if info.exponent < 1.0 and ascent_is_due(step, state):
        return replace(state, phase="ascent")
    if to_climb and info.exponent == 1.0:
        return replace(state, phase="climb")
    if not to_climb and (now.efficiency >= CONVERGED or _no_fit_can_pay(step, state, info.exponent)):
        return replace(state, phase="final")
    if state.n_stalls >= (MOST_STALLS if missing <= 4 * step.n_sims else 3 * MOST_STALLS):
        return replace(state, phase="final", best=better_by_all_draws(state, Best(proposal, now)))
    return state


def _found_mass(state: State) -> bool:
    """Whether the last batch has more evidence than the one before, where both are refinements."""
    before, now = state.records[-2:]
    return before.phase == "refinement" and more_mass(before.evidence, now.evidence, FOUND_MASS)


def _is_stuck(state: State) -> bool:
    """Whether the power of the likelihood has not grown for many refinements: no draws will bring it down.

    Where the posterior is narrower than the spacing of floating-point numbers, or noise drowns it.
    """
    exponents = [record.exponent for record in state.records if record.phase == "refinement"]
    before, since = exponents[:-MOST_STUCK], exponents[-MOST_STUCK:]
    return bool(before) and max(exponents) < 1.0 and max(since) < LEAST_PROGRESS * max(before)


def _no_fit_can_pay(step: Step, state: State, exponent: float) -> bool:
    """Whether the best proposal so far completes the result in hardly more draws than a perfect one would."""
    rate = state.best.record.efficiency if state.best else 0.0
    if exponent < 1.0 or rate < LEAST_CONVERGED:
        return False
    after = replace(step, state=state)
    missing = after.missing_draws(rate)
    n_pooled = sum(len(draws) for draws in state.final)
    return missing - after.missing_draws(1.0) < PAYS * (n_pooled + missing)


def _batches_of_best(state: State) -> list[RoundRecord]:
    """Records of the batches from the best proposal: the one that it was chosen for, and final ones since."""
    assert state.best is not None
    final = list(takewhile(lambda record: record.phase == "final" and record.pooled, reversed(state.records)))
    return [state.best.record, *final[::-1]]


def _falls_short(step: Step, former: list[RoundRecord], after: State) -> bool:
    """Whether the last batch is much less efficient than those before, and a fit may be worth its draws."""
    expected = sum(r.ess for r in former) / sum(r.n_draws for r in former)
    now = after.records[-1]
    phases = [record.phase for record in after.records]
    n_returns = sum(pair == ("final", "refinement") for pair in pairwise(phases))
    if now.efficiency >= HOLDS * expected or n_returns >= MOST_RETURNS:
        return False
    missing = replace(step, state=after).missing_draws(now.efficiency)
    return not _reached(after, step.config) and missing > step.n_sims


def draw_final(step: Step) -> State:
    """Draw from the best proposal, in batches that double while its efficiency holds.

    The batch that a proposal was chosen for flatters it: so a batch is at most twice as large as the one
    before it. Where a batch is much less efficient than those before, or shows a region that the proposal
    all but misses, the draws go to the history and the refinement takes over again.
    """
    state = step.state
    assert state.best is not None
    proposal = state.best.proposal
    pilot = _batches_of_best(state)
    rate = sum(r.ess for r in pilot) / sum(r.n_draws for r in pilot)
    if len(pilot) == 1:
        # One heavy draw in a small batch says little of all others; what is missing then is drawn next.
        rate = max(rate, LEAST_PROMISING)
    n_draws = min(step.missing_draws(rate), int(GROWTH * pilot[-1].n_draws), step.most_at_once)
    after = step.drawn("final", proposal, n_draws, pooled=True)
    ess = effective_sample_size(after.final_log_weights)
    gained = ess >= effective_sample_size(state.final_log_weights)
    if not step.config.refine or (gained and not _falls_short(step, pilot, after)):
        return after
    history = state.history
    for draws in after.final[len(after.final) - len(pilot) :]:
        history = history.extended(draws, proposal)
    kept = after.without_result() if lost_ground(state, after) else after
    return replace(kept, history=history, phase="refinement", best=None, n_stalls=0)


def _ended(state: State, config: SnpeConfig) -> bool:
    """Whether enough is reached or spent; the state of such a run can go on once more is asked for."""
    n_draws = sum(record.n_draws for record in state.records)
    # Draws that a constraint rules out cost no call.
    spent = state.n_calls >= budget(config) or n_draws >= MOST_DRAWS_PER_CALL * budget(config)
    spent = spent and state.pending is None
    return state.phase == "done" or _reached(state, config) or spent


def _reached(state: State, config: SnpeConfig) -> bool:
    return effective_sample_size(state.final_log_weights) >= config.n_effective


def _without_spent_predictions(state: State, config: SnpeConfig) -> State:
    """A state without the predictions that no later round learns from: they are most of its bytes."""
    simulating = state.phase in ("prior", "rounds")
    return state.without_predictions(n_kept=_n_learnt_from(state, config) if simulating else 0)


def _n_learnt_from(state: State, config: SnpeConfig) -> int:
    """Batches that the next round learns from: with NLL the last, or all those before the first round."""
    if LOSSES.named(config.loss).all_rounds or not state.count("rounds"):
        return len(state.history.batches)
    return 1
