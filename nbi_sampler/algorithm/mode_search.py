r"""The search for modes from draws of the prior, by Newton steps.

While the likelihood is tempered, a mode in many dimensions or beside wider modes rests on a handful of draws.
These are too few to show its shape, and the mode may be lost. But log L at a few dozen draws gives a
paraboloid, and the paraboloid gives the next step. The starts are draws of the prior that are higher than
their neighbours, or that stand out from these on the slope of a wider mode. Each batch is drawn around all
starts, each start takes a Newton step, and starts that meet become one. In the end each start is a mode, with
the spread of the posterior there. The draws of these batches have weights like all others.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.search_starts import Starts, first_starts, kernels_around, moved
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import INITIAL, MODE_SEARCH
from nbi_sampler.priors.maps import clip_unit

__all__ = ["began_with_samples", "mode_search_is_due", "search_modes"]


def mode_search_is_due(step: Step, exponent: float) -> bool:
    """True if a run whose likelihood is tempered from the prior has not searched for modes yet.

    The same holds for a run that began with former samples, which may lack modes. ``exponent`` is the power
    of the next fit, or of the present one.
    """
    evaluator, state = step.problem.evaluator, step.state
    if began_with_samples(state):
        return not state.count("mode search")
    applies = evaluator.forward is None and evaluator.space.n_dim >= MODE_SEARCH.fewest_dimensions
    if not applies or not state.count("prior") or state.count("mode search"):
        return False
    return exponent < 1.0 or any(r.exponent < 1.0 for r in state.records if r.phase == "refinement")


def search_modes(step: Step) -> tuple[State, str]:
    """Draw one batch around the starts. The search ends when all of them have converged.

    If the draws are then too few for a fit to the posterior itself, another batch follows, which has the
    shapes of the modes. Without it, three tempered fits followed in mixture0, which took 8,319 instead of
    5,008 calls.
    """
    # The stream keeps its first name, so that former runs can be repeated.
    n_dim, rng = step.problem.evaluator.space.n_dim, step.generator("climb")
    with step.threads():
        starts = _starts(step)
        kernels = kernels_around(starts, np.zeros(n_dim), rng) if len(starts.centres) else None
    proposal = MixtureProposal.single(kernels or PriorProposal(n_dim))
    from_samples = began_with_samples(step.state)
    n_draws = INITIAL.searching if from_samples else int(MODE_SEARCH.batch * step.n_exploring)
    state = step.drawn("mode search", proposal, n_draws)
    most = INITIAL.most_batches if from_samples else MODE_SEARCH.most_batches
    ended = kernels is None or state.count("mode search") >= most
    if not ended:
        with step.threads():
            ended = _has_converged(starts, state, n_dim)
    return (state.restarted("mode reached"), "modes reached") if ended else (state, "on the way")


def _has_converged(starts: Starts, state: State, n_dim: int) -> bool:
    """True if all starts have converged, before the last batch or by it with draws that suffice for a fit."""
    if starts.converged.all():
        return True
    if not _next_starts(state).converged.all():
        return False
    if began_with_samples(state):
        return True
    return choose_target(state.history, n_dim, located=False, searched=True).exponent == 1.0


def began_with_samples(state: State) -> bool:
    """True for a run that began with former samples, and has not restarted from the prior."""
    return state.count("initial") > 0 and not state.count("prior")


def _starts(step: Step) -> Starts:
    history, n_scans = step.state.history, step.state.count("prior")
    if step.state.count("mode search"):
        return _next_starts(step.state)
    if began_with_samples(step.state):
        return _starts_elsewhere(history.batches[0], _known(step.state))
    # Draws from a model or from a fit to former samples come before those of the prior.
    n_before = step.state.count("model") + step.state.count("initial")
    scans = history.batches[n_before : n_before + n_scans]
    z = np.concatenate([batch.z for batch in scans])
    log_likelihood = np.concatenate([batch.log_likelihood for batch in scans])
    finite = np.isfinite(log_likelihood)
    return first_starts(ndtr(z[finite]), log_likelihood[finite])


def _known(state: State) -> MixtureProposal:
    """The last proposal before the search."""
    return state.history.proposals[-1 - state.count("mode search")]


def _starts_elsewhere(first: Draws, known: MixtureProposal) -> Starts:
    """Draws of the first batch that are higher than their neighbours, where a proposal is thin.

    Thin means thinner than the prior. The starts are so few that a batch has enough draws for a step of each.
    """
    finite = np.isfinite(first.log_likelihood)
    n_dim = first.z.shape[1]
    most = int(INITIAL.searching / (INITIAL.search_per_term * (2 * n_dim + 1)))
    thin = known.log_ratio(first.z[finite]) < 0.0
    return first_starts(ndtr(first.z[finite]), first.log_likelihood[finite], thin, max(most, 1))


def _next_starts(state: State) -> Starts:
    history = state.history
    (kernels,) = history.proposals[-1].members
    assert isinstance(kernels, UnitCubeKernels)
    finite = np.isfinite(history.log_likelihood)
    starts = moved(kernels.mixture, ndtr(history.z[finite]), history.log_likelihood[finite])
    if not began_with_samples(state):
        return starts
    # Starts in a region that has draws already would find nothing.
    kept = _known(state).log_ratio(ndtri(clip_unit(starts.centres))) < 0.0
    return Starts(starts.centres[kept], starts.factors[kept], starts.converged[kept])
