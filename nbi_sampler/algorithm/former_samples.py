"""Samples of a former posterior: comparison of the likelihoods, and a proposal fitted to the samples.

The proposal that they were drawn from is unknown. They train proposals, but they are not part of the result.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

import numpy as np

from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.mode_search import began_with_samples
from nbi_sampler.algorithm.pooling import lacks_a_mode, posterior_has_moved, resembles_a_paraboloid
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import n_terms
from nbi_sampler.algorithm.proposals.paraboloid import paraboloid
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal, Proposal
from nbi_sampler.algorithm.refinement import fit_to_weights
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.algorithm.state import FitInfo, State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.core.config import ASCENT, INITIAL, LOCAL_KERNELS
from nbi_sampler.importance.weights import normalised_weights, systematic_indices
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["can_ascend", "compared", "completed", "defended", "fit_to_samples", "wide_proposal"]


def compared(step: Step) -> State:
    """The state after the likelihood was compared with that of the former run, at some of its samples.

    They are draws of the former posterior, so the ratio of the likelihoods weights them.

    Raises
    ------
    ValueError
        If the likelihood is finite at none of these samples.
    """
    former = step.problem.start
    assert isinstance(former, FormerSamples)
    rows = np.unique(systematic_indices(former.draws.weights, INITIAL.n_checked, step.generator("check")))
    evaluation = step.problem.evaluator(former.draws.z[rows])
    now = evaluation.log_likelihood
    if not np.isfinite(now).any():
        raise ValueError(
            f"initial_result: expected samples of a posterior like the one of this likelihood, but log L is "
            f"-inf or NaN at all of {len(rows)} of them; check that likelihood, data and units are those of "
            "the former result, or leave initial_result= out"
        )
    state = replace(step.state, n_checked=evaluation.n_calls)
    if former.log_likelihood is None:
        return state
    difference = now - former.log_likelihood[rows]
    slack = INITIAL.same_likelihood * max(1.0, float(np.abs(now).max()))
    if np.isfinite(difference).all() and np.ptp(difference) <= slack:
        return replace(state, former_offset=float(np.median(difference)))
    return replace(state, has_moved=step.config.refine and posterior_has_moved(difference))


def can_ascend(step: Step) -> bool:
    """True if an ascent can follow a posterior that has moved: the former one resembles a Gaussian.

    Its log-likelihood in the unit cube is then a paraboloid. A bent posterior would take many steps, and an
    ascent from several modes would find one of them.
    """
    former, space = step.problem.start, step.problem.evaluator.space
    assert isinstance(former, FormerSamples) and former.log_likelihood is not None
    if space.discrete or step.problem.approximates:
        return False
    rows = np.unique(
        systematic_indices(former.draws.weights, INITIAL.most_in_paraboloid, step.generator("check"))
    )
    if len(rows) < ASCENT.fitted_per_term * n_terms(space.n_dim):
        return False
    u = UnitCubeKernels.coordinates(former.draws.z[rows], former.draws.thinnest_cut(space.periodic))
    values = former.log_likelihood[rows]
    t = (u - u.mean(axis=0)) / (u.std(axis=0) + 1e-15)
    *_, residual = paraboloid(t, values, np.ones(len(rows)))
    return resembles_a_paraboloid(residual, float(values.std()))


def completed(state: State) -> State:
    """The state as it is, or the state in which the run starts from the prior.

    The run does so if draws of any batch show mass where the first proposal is thinner than the prior, and
    where an ascent from the samples has not led. The former samples then lack a mode, and they may lack more.
    The result restarts, and all draws train proposals.
    """
    if not began_with_samples(state) or state.phase not in ("mode search", "refinement", "final"):
        return state
    history = state.history
    log_ratio = history.proposals[0].log_ratio(history.z)
    # Only where the posterior has moved, an ascent follows the first batch.
    n_ascents = len(tuple(takewhile(lambda record: record.phase == "ascent", state.records[1:])))
    if n_ascents:
        log_ratio = np.maximum(log_ratio, history.proposals[n_ascents].log_ratio(history.z))
    if not lacks_a_mode(normalised_weights(history.log_weights), log_ratio):
        return state
    return replace(state.without_result(), phase="prior", best=None, n_stalls=0)


def fit_to_samples(step: Step) -> tuple[MixtureProposal, FitInfo]:
    """The first proposal: a mixture fitted to the samples, and wider kernels on them.

    The log-likelihoods of the samples are used if they are known for the likelihood of now.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185 (defensive mixtures).
    """
    problem, rng = step.problem, step.generator("train")
    former, space = problem.start, problem.evaluator.space
    assert isinstance(former, FormerSamples)
    fitting = Fitting(problem.networks, problem.refinement_training, rng, step.observer.epoch_finished)
    fitted, info = fit_to_weights(former.target(step.state.former_offset), space, fitting)
    wide = _wide_kernels(former, space, rng)
    kept = [i for i, member in enumerate(fitted.members) if not isinstance(member, PriorProposal)]
    shares = (1.0 - sum(INITIAL.wide_shares)) * fitted.shares[kept] / fitted.shares[kept].sum()
    members = (*(fitted.members[i] for i in kept), *wide)
    return MixtureProposal(members, np.array([*shares, *INITIAL.wide_shares])), info


def wide_proposal(step: Step) -> MixtureProposal:
    """The first proposal where the posterior has moved: the wider kernels on the samples alone."""
    former, shares = step.problem.start, np.array(INITIAL.wide_shares)
    assert isinstance(former, FormerSamples)
    kernels = _wide_kernels(former, step.problem.evaluator.space, step.generator("train"))
    return MixtureProposal(kernels, shares / shares.sum())


def defended(proposal: MixtureProposal, n_draws: int, n_prior: int, n_dim: int) -> MixtureProposal:
    """The proposal with the prior as its last member, with the share of ``n_prior`` among the draws."""
    share = n_prior / n_draws
    members: tuple[Proposal, ...] = (*proposal.members, PriorProposal(n_dim))
    return MixtureProposal(members, np.append((1.0 - share) * proposal.shares, share))


def _wide_kernels(
    former: FormerSamples, space: ParameterSpace, rng: np.random.Generator
) -> tuple[LatentKernels, ...]:
    cut = former.draws.thinnest_cut(space.periodic)
    kernels, _ = former.draws.kernels(LatentKernels, cut, rng, LOCAL_KERNELS)
    assert isinstance(kernels, LatentKernels)
    return tuple(LatentKernels(kernels.mixture.widened(factor), cut) for factor in INITIAL.wide_factors)
