"""A run of SNPE-IS: its stages, the stage that follows each outcome, and the end of the run.

A stage is a function of a step. It returns the next state and the name of its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from nbi_sampler.algorithm.ascent import ascend
from nbi_sampler.algorithm.final_draws import draw_final, looked_over
from nbi_sampler.algorithm.first_draws import draw_from_model, draw_from_prior, draw_from_samples
from nbi_sampler.algorithm.former_samples import completed
from nbi_sampler.algorithm.mode_search import search_modes
from nbi_sampler.algorithm.records import Observer
from nbi_sampler.algorithm.refinement import refine
from nbi_sampler.algorithm.rounds import n_learnt_from, simulate_and_train
from nbi_sampler.algorithm.start import Start
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Problem, Step, budget
from nbi_sampler.core.config import BATCHES, SnpeConfig
from nbi_sampler.importance.weights import effective_sample_size

__all__ = ["STAGES", "Stage", "run"]


class Stage(NamedTuple):
    """A stage of a run: a function that draws one batch, and the phase that follows each outcome."""

    draw: Callable[[Step], tuple[State, str]]
    then: Mapping[str, str]


AFTER_PRIOR = {
    **{"nothing finite": "done", "too few finite": "prior", "efficient": "final", "simulated": "rounds"},
    **{"approximated": "refinement", "likelihood only": "refinement", "to be searched": "mode search"},
}
AFTER_SAMPLES = {"not tempered": "mode search", "located": "refinement", "moved": "ascent"}
STAGES = {
    "model": Stage(draw_from_model, {"efficient": "final", "located": "refinement", "unreliable": "prior"}),
    "initial": Stage(draw_from_samples, {**AFTER_PRIOR, **AFTER_SAMPLES, "unreliable": "prior"}),
    "prior": Stage(draw_from_prior, AFTER_PRIOR),
    "rounds": Stage(simulate_and_train, {"gaining": "rounds", "located": "refinement", "ended": "final"}),
    "refinement": Stage(
        refine,
        {
            "gaining": "refinement",
            "outrun by a few draws": "ascent",
            "tempering done": "mode search",
            "converged": "final",
            "stuck": "done",
        },
    ),
    "ascent": Stage(
        ascend,
        {
            "on the way": "ascent",
            "mode reached": "refinement",
            "mode reached from samples": "mode search",
            "leads nowhere": "prior",
        },
    ),
    "mode search": Stage(search_modes, {"on the way": "mode search", "modes reached": "refinement"}),
    "final": Stage(draw_final, {"holding": "final", "short": "refinement"}),
}


def run(
    problem: Problem, config: SnpeConfig, entropy: int, observer: Observer, state: State | None = None
) -> State:
    """Run SNPE-IS until it has the requested number of effective samples, or has spent its budget.

    Parameters
    ----------
    entropy : int
        Seed of all random numbers.
    state : State, optional
        State from which an interrupted run continues.

    References
    ----------
    Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824), Algorithm 1; Koblents & Miguez (2015,
    arXiv:1208.5600) for the refinement.
    """
    state = state or State()
    if problem.start is not None and not state.records:
        state = replace(state, phase="model" if isinstance(problem.start, Start) else "initial")
    observer.state_changed(state)
    while not _ended(state, config):
        stage = STAGES[state.phase]
        state, outcome = stage.draw(Step(state, problem, config, entropy, observer))
        state = replace(state, phase=stage.then[outcome])
        if config.refine:
            state = completed(state)
            is_complete = _reached(state, config)
            if state.phase == "final" or is_complete:
                state = looked_over(state, is_complete, budget(config) - state.n_calls)
        # Predictions from which no later round learns would take most of the memory.
        simulating = state.phase in ("prior", "rounds")
        state = state.without_predictions(n_learnt_from(state, config) if simulating else 0)
        observer.state_changed(state)
        observer.round_finished(state.records[-1], effective_sample_size(state.final_log_weights))
    return replace(state, phase="done")


def _ended(state: State, config: SnpeConfig) -> bool:
    """True if the run has reached its goal or spent its budget. It can continue if more is requested."""
    n_draws = sum(record.n_draws for record in state.records)
    # Draws that violate a constraint cost no call.
    spent = state.n_calls >= budget(config) or n_draws >= BATCHES.most_draws_per_call * budget(config)
    return state.phase == "done" or _reached(state, config) or (spent and state.pending is None)


def _reached(state: State, config: SnpeConfig) -> bool:
    return effective_sample_size(state.final_log_weights) >= config.n_effective
