"""The step that looks for modes which the tempering has lost: where nothing is simulated, in many dimensions.

One of the steps of `snpe`, taken a few times when the tempering has come down to the posterior; the climb
itself is in `climbing`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.proposals.climbing import Tracks, climbed, first_tracks, kernels_around
from nbi_sampler.proposals.kernels import UnitCubeKernels
from nbi_sampler.proposals.proposal import MixtureProposal, PriorProposal

__all__ = ["climb", "climb_is_due"]

# In fewer dimensions the draws of the prior are dense enough for the tempering to keep all modes.
FEWEST_DIMENSIONS = 5
MOST_CLIMBS = 4


def climb_is_due(step: Step, exponent: float) -> bool:
    """Whether a run that comes down from the prior in powers of the likelihood has yet to climb.

    Parameters
    ----------
    step : Step
    exponent : float
        Of the fit at hand.
    """
    evaluator, state = step.problem.evaluator, step.state
    applies = evaluator.forward is None and evaluator.space.n_dim >= FEWEST_DIMENSIONS
    if not applies or not state.count("prior") or state.count("climb"):
        return False
    return exponent < 1.0 or any(r.exponent < 1.0 for r in state.records if r.phase == "refinement")


def climb(step: Step) -> State:
    """Draw around the tracks; the refinement goes on, as if it began, once all have arrived."""
    n_dim, rng = step.problem.evaluator.space.n_dim, step.generator("climb")
    with step.threads():
        kernels = kernels_around(_tracks(step), np.zeros(n_dim), rng)
    proposal = MixtureProposal.single(kernels or PriorProposal(n_dim))
    state = step.drawn("climb", proposal, step.n_exploring // 2)
    with step.threads():
        arrived = kernels is None or bool(_next_tracks(state).settled.all())
    if not arrived and state.count("climb") < MOST_CLIMBS:
        return replace(state, phase="climb")
    return replace(state, phase="refinement", best=None, n_stalls=0)


def _tracks(step: Step) -> Tracks:
    state = step.state
    if state.count("climb"):
        return _next_tracks(state)
    scan = state.history.batches[: state.count("prior")]
    z = np.concatenate([batch.z for batch in scan])
    log_likelihood = np.concatenate([batch.log_likelihood for batch in scan])
    finite = np.isfinite(log_likelihood)
    return first_tracks(ndtr(z[finite]), log_likelihood[finite])


def _next_tracks(state: State) -> Tracks:
    (kernels,) = state.history.proposals[-1].members
    assert isinstance(kernels, UnitCubeKernels)
    finite = np.isfinite(state.history.log_likelihood)
    return climbed(kernels.mixture, ndtr(state.history.z[finite]), state.history.log_likelihood[finite])
