"""Samples of a former posterior: the likelihood of now compared with theirs, and a proposal fitted to them.

Nobody knows the proposal that they come from, so they teach proposals and are no draws of the result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mixture import Fitting
from nbi_sampler.algorithm.mode_search import began_with_samples
from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.kernels import LatentKernels, kernels_on_draws
from nbi_sampler.algorithm.proposals.local_regression import n_terms
from nbi_sampler.algorithm.proposals.paraboloid import gaussian_by_regression
from nbi_sampler.algorithm.proposals.periodic import apply_cut, thinnest_cut
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal, Proposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.refinement import fit_to_weights
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.algorithm.state import FitInfo, State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import Target, held_out_of, samples_lack_mass
from nbi_sampler.core.config import INITIAL, LOCAL_KERNELS
from nbi_sampler.importance.weights import normalised_weights, systematic_indices
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["Comparison", "compared", "completed", "defended", "fit_to_samples", "n_drawn_from_prior"]

Array = NDArray[np.float64]


class Comparison(NamedTuple):
    """Former samples at which the likelihood of now is known.

    Attributes
    ----------
    state : State
        That knows whether it is the likelihood of the former run, but for a constant.
    z : ndarray, shape (n, n_dim)
    log_likelihood : ndarray, shape (n,)
        Of now.
    """

    state: State
    z: Array
    log_likelihood: Array


def compared(step: Step, former: FormerSamples) -> Comparison:
    """Evaluate the likelihood at some of the samples; at more, if it is another one than the former run had.

    Raises
    ------
    ValueError
        Where the likelihood is finite at none of the samples that are tried.
    """
    weights = normalised_weights(former.log_weights)
    rows = np.unique(systematic_indices(weights, INITIAL.n_checked, step.generator("check")))
    evaluation = step.problem.evaluator(former.z[rows])
    now = evaluation.log_likelihood
    if not np.isfinite(now).any():
        raise ValueError(
            f"initial_result: expected samples of a posterior like the one of this likelihood, but log L is "
            f"-inf or NaN at all of {len(rows)} of them; check that likelihood, data and units are those of "
            "the former result, or leave initial_result= out"
        )
    offset = None
    if former.log_likelihood is not None:
        difference = now - former.log_likelihood[rows]
        slack = INITIAL.same_likelihood * max(1.0, float(np.abs(now).max()))
        if np.isfinite(difference).all() and np.ptp(difference) <= slack:
            offset = float(np.median(difference))
    n_calls = evaluation.n_calls
    wanted = min(round(INITIAL.regressed_per_term * n_terms(former.z.shape[1])), INITIAL.most_regressed)
    if offset is None and wanted > len(rows):
        others = np.setdiff1d(np.arange(len(former.z)), rows)
        others = step.generator("check").permutation(others)[: wanted - len(rows)]
        evaluation = step.problem.evaluator(former.z[others])
        rows, now = np.append(rows, others), np.append(now, evaluation.log_likelihood)
        n_calls += evaluation.n_calls
    return Comparison(replace(step.state, n_checked=n_calls, former_offset=offset), former.z[rows], now)


def completed(state: State) -> State:
    """A state as it is, or the one in which the run takes the whole way from the prior.

    It does so where draws show mass at which the first proposal is thinner than the prior: the former samples
    lack a mode, and how many more they lack, nobody knows. The draws may be those of the first batch, of the
    search for modes or of the refinement. The result starts over, and all draws train proposals.
    """
    if not began_with_samples(state) or state.phase not in ("mode search", "refinement", "final"):
        return state
    history = state.history
    if not samples_lack_mass(history, history.z, normalised_weights(history.log_weights)):
        return state
    return replace(state.without_result(), phase="prior", best=None, n_stalls=0)


def fit_to_samples(
    former: FormerSamples, space: ParameterSpace, fitting: Fitting, comparison: Comparison
) -> tuple[MixtureProposal, FitInfo]:
    """First proposal: a mixture fitted to the samples, wider kernels on them, and the prior.

    Where the likelihood is another one, a Gaussian is where it has the top by a regression; without an offset
    the values that came with the samples are not used.

    References
    ----------
    Hesterberg (1995), Technometrics 37, 185 (defensive mixtures).
    """
    offset = comparison.state.former_offset
    log_target = None if offset is None or former.log_likelihood is None else former.log_likelihood
    target = Target(former.z, held_out_of(former), former.log_weights, 1.0, 0.0, log_target, located=True)
    # Without the values of now at them, there are no other targets than the samples themselves.
    target = replace(target, wider=(target, target))
    fitted, info = fit_to_weights(target, space, fitting)
    cut = thinnest_cut(target.z, target.weights, space.periodic)
    kernels, _ = kernels_on_draws(
        target.z, target.log_weights, LatentKernels, cut, fitting.rng, LOCAL_KERNELS
    )
    assert isinstance(kernels, LatentKernels)
    wide = tuple(_widened(kernels, factor) for factor in INITIAL.wide_factors)
    kept = [i for i, member in enumerate(fitted.members) if not isinstance(member, PriorProposal)]
    moved = None if offset is not None else _moved(comparison, cut)
    share = 0.0 if moved is None else INITIAL.moved_share
    shares = (1.0 - share - sum(INITIAL.wide_shares)) * fitted.shares[kept] / fitted.shares[kept].sum()
    members = (*(fitted.members[i] for i in kept), *wide)
    proposal = MixtureProposal(members, np.array([*shares, *INITIAL.wide_shares]) / (1.0 - share))
    if moved is None:
        return proposal, info
    return MixtureProposal((*members, moved), np.append((1.0 - share) * proposal.shares, share)), info


def _moved(comparison: Comparison, cut: Array) -> LatentKernels | None:
    """Two Gaussians, one wider, where the likelihood of now has its top by a regression at former samples.

    None where the paraboloid through the values has no top, one too far off, or one where the samples are
    already, as between two modes.
    """
    finite = np.isfinite(comparison.log_likelihood)
    z = comparison.z[finite]
    if not len(z):
        return None
    log_target = comparison.log_likelihood[finite] - 0.5 * (z**2).sum(axis=1)
    equal = np.full(len(z), 1.0 / len(z))
    coordinates = apply_cut(z, cut)
    top = gaussian_by_regression(coordinates, log_target, equal, INITIAL.farthest_top)
    samples = AffineMap.standardising(coordinates, equal)
    if top is None or np.abs(samples.backward(top.centres)).max() < INITIAL.nearest_top:
        return None
    factors = np.concatenate([factor * top.factors for factor in INITIAL.moved_factors])
    n_kernels = len(INITIAL.moved_factors)
    centres = np.repeat(top.centres, n_kernels, axis=0)
    return LatentKernels(
        StudentMixture(np.full(n_kernels, 1.0 / n_kernels), centres, factors, top.degrees), cut
    )


def defended(proposal: MixtureProposal, n_draws: int, n_prior: int, n_dim: int) -> MixtureProposal:
    """The proposal with a share of the prior that gives so many of the draws, the last of its members."""
    share = n_prior / n_draws
    members: tuple[Proposal, ...] = (*proposal.members, PriorProposal(n_dim))
    return MixtureProposal(members, np.append((1.0 - share) * proposal.shares, share))


def n_drawn_from_prior(history: History) -> int:
    """Expected number of draws from the prior among all that trained proposals, rounded down."""
    expected = 0.0
    for batch, proposal in zip(history.batches, history.proposals, strict=True):
        shares = [
            share
            for member, share in zip(proposal.members, proposal.shares, strict=True)
            if isinstance(member, PriorProposal)
        ]
        expected += len(batch) * float(sum(shares))
    # Guard of rounding: a share times a number is to give the number that made the share.
    return int(expected + 1e-6)


def _widened(kernels: LatentKernels, factor: float) -> LatentKernels:
    own = kernels.mixture
    mixture = StudentMixture(own.shares, own.centres, factor * own.factors, own.degrees)
    return LatentKernels(mixture, kernels.cut)
