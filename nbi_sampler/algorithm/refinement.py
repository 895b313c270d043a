"""The refinement: fit a mixture proposal to all draws so far, draw from it, and decide what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nbi_sampler.algorithm.approximation import approximate_proposal
from nbi_sampler.algorithm.ascent import ascent_is_due
from nbi_sampler.algorithm.by_state import StatesFit
from nbi_sampler.algorithm.mixture import Fitting, MixtureFit
from nbi_sampler.algorithm.mode_search import mode_search_is_due
from nbi_sampler.algorithm.pooling import (
    counts,
    drop_batches_missing_mass,
    drop_inefficient_batches,
    ess_dropped,
    has_gained,
    has_stalled,
    is_stuck,
    no_fit_can_pay,
)
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.algorithm.state import Best, FitInfo, State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import Target, choose_target
from nbi_sampler.core.config import APPROXIMATION, BATCHES, REFINEMENT
from nbi_sampler.importance.weights import effective_sample_size, log_evidence
from nbi_sampler.networks.training.fit import TrainingInfo
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["fit_to_weights", "refine"]


def fit_to_weights(
    target: Target, space: ParameterSpace, fitting: Fitting, with_training: bool = True
) -> tuple[MixtureProposal, FitInfo]:
    """Fit the next proposal to draws that are weighted under the mixture of all proposals.

    Without a training, its flows are former ones; in discrete states they are always trained.

    References
    ----------
    Owen & Zhou (2000), JASA 95, 135; Cappé et al. (2008, arXiv:0710.4242) for adapting the shares of a
    mixture.
    """
    if space.discrete:
        proposal, trainings = StatesFit(target, space, fitting).proposal()
    else:
        fit = MixtureFit(target, space.periodic, fitting)
        proposal, trainings = fit.proposal(with_training=with_training)
    return proposal, FitInfo(_joined(trainings), target.exponent)


def _joined(trainings: Sequence[TrainingInfo]) -> TrainingInfo:
    """The first of several trainings, with the time of all."""
    if not trainings:
        return TrainingInfo(best=0.0, training=(), validation=(), n_steps=0, n_skipped=0, seconds=0.0)
    return replace(trainings[0], seconds=sum(each.seconds for each in trainings))


def refine(step: Step) -> tuple[State, str]:
    """Fit a proposal to the posterior, tempered if necessary, and draw from it."""
    state = step.state
    proposal, info = step.fitted("refinement", lambda: _fit(step))
    best = state.best.record.efficiency if state.best and state.count("refinement") else 0.0
    to_search = mode_search_is_due(step, info.exponent)
    expected = info.expected
    with step.threads():
        history = state.history.knowing(proposal)
        if expected is None:
            expected = history.efficiency_of(proposal) if info.exponent == 1.0 else 0.0
    step = replace(step, state=replace(state, history=history))
    pooled = counts(best, expected) and not to_search
    missing = step.missing_draws(max(best, expected))
    larger = min(missing // REFINEMENT.batches_to_the_end, step.most_at_once) if state.n_stalls else 0
    n_draws = min(max(step.n_sims, larger), missing) if pooled else step.n_sims
    state = step.drawn("refinement", proposal, n_draws, info, pooled=pooled)
    latest = Best(proposal, state.records[-1])
    state = _with_gain(step.state, state, latest, best)
    state = _without_poor_batches(step.state, state)
    exponents = [record.exponent for record in state.records if record.phase == "refinement"]
    if is_stuck(exponents):
        return state, "stuck"
    if info.exponent < 1.0 and ascent_is_due(step, state):
        return state, "outrun by a few draws"
    if to_search and info.exponent == 1.0:
        return state, "tempering done"
    enough = REFINEMENT.converged
    # It is zero where the approximation excludes all draws, which promises nothing.
    if info.expected:
        # Another exploration would take minutes, and draws from this proposal take seconds.
        enough = min(enough, APPROXIMATION.holds * info.expected)
    if not to_search and (latest.record.efficiency >= enough or _is_good_enough(step, state)):
        return state, "converged"
    if has_stalled(state.n_stalls, missing, step.n_sims):
        with step.threads():
            return replace(state, best=state.better_by_all_draws(latest)), "converged"
    return state, "gaining"


def _fit(step: Step) -> tuple[MixtureProposal, FitInfo]:
    state, problem = step.state, step.problem
    space = problem.evaluator.space
    located = not state.count("prior") or state.count("rounds") > 0
    refined = problem.approximates and state.count("refinement") > 0
    searched = state.count("mode search") > 0 and state.count("initial") == 0
    target = choose_target(state.history, space.n_dim, located or refined, searched)
    former, offset = problem.start, state.former_offset
    if isinstance(former, FormerSamples) and offset is not None and target.exponent == 1.0:
        target = target.joined(former.target(offset), state.history)
    config, rng = problem.refinement_training, step.generator("train")
    fitting = Fitting(problem.networks, config, rng, step.observer.epoch_finished)
    # If draws from the explored approximation are no good, the weighted ones lead on by themselves.
    if not problem.approximates or (target.exponent < 1.0 and refined):
        return fit_to_weights(target, space, fitting, _is_flow_worth_training(step, target))
    highest = state.history.z[np.nanargmax(state.history.log_likelihood)]
    start = None
    if target.exponent == 1.0:
        start = state.best.proposal if state.best else state.history.proposals[-1]
    proposal, trainings, expected = approximate_proposal(
        problem.evaluator, target, start, highest, fitting, step.observer
    )
    return proposal, FitInfo(_joined(trainings), expected=expected)


def _is_flow_worth_training(step: Step, target: Target) -> bool:
    """True unless more draws take less time: calls are cheap, and fits without a new flow are efficient.

    The first fit to the posterior after rounds shows whether they are. Without rounds nothing but the draws
    tells where the posterior is, and a flow may cover more than they show.
    """
    is_cheap = step.problem.evaluator.seconds_per_call < BATCHES.cheap
    if not (is_cheap and target.located and target.exponent == 1.0):
        return True
    records = step.state.records
    efficiencies = [r.efficiency for r in records if r.phase == "refinement" and r.exponent == 1.0]
    return bool(efficiencies) and efficiencies[-1] < REFINEMENT.sufficient


def _with_gain(before: State, after: State, latest: Best, best: float) -> State:
    """The state after a refinement, with its best proposal and the number of refinements without gain."""
    now, previous = latest.record, before.records[-1]
    former = previous.evidence if previous.phase == "refinement" else None
    if now.efficiency > best or not before.count("refinement"):
        after = replace(after, best=latest)
    gained = now.exponent < 1.0 or has_gained(now.efficiency, best, former, now.evidence)
    return replace(after, n_stalls=0 if gained else after.n_stalls + 1)


def _without_poor_batches(before: State, after: State) -> State:
    """The state with only those batches of the result that are worth pooling."""
    if ess_dropped(before.final_log_weights, after.final_log_weights):
        return replace(after.without_result(), n_stalls=0 if before.final else after.n_stalls)
    if before.final and after.records[-1].pooled:
        former = log_evidence(before.final_log_weights)
        if drop_batches_missing_mass(former, after.records[-1].evidence):
            return after.without_result(n_kept=1)
    pooled = [record for record in after.records if record.pooled]
    ess, efficiencies = [record.ess for record in pooled], [record.efficiency for record in pooled]
    if drop_inefficient_batches(ess, efficiencies, effective_sample_size(after.final_log_weights)):
        return after.without_result(n_kept=1)
    return after


def _is_good_enough(step: Step, state: State) -> bool:
    if state.best is None or state.records[-1].exponent < 1.0:
        return False
    after, rate = replace(step, state=state), state.best.record.efficiency
    n_pooled = sum(len(draws) for draws in state.final)
    return no_fit_can_pay(rate, n_pooled, after.missing_draws(rate), after.missing_draws(1.0))
