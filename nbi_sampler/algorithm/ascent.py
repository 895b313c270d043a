"""Follow the highest draws up to their mode, where the tempering cannot: small batches and Newton's steps.

At the end of a curved valley, or beside a wider mode, a refinement finds a few draws far above all others.
They would have nearly all the weight, so the power of the likelihood falls until they have none, and they
shape no proposal: the next such draws are another accident. But the highest of all draws tell a paraboloid,
and the paraboloid where to draw next. A batch costs a tenth of a refinement's.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nbi_sampler.algorithm.mode_search import FEWEST_DIMENSIONS, paraboloid, triangle
from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import n_terms
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import choose_target

__all__ = ["ascend", "ascent_is_due", "kernels_upwards"]

Array = NDArray[np.float64]

# The power of the likelihood has fallen below this share of what it was, and log L is higher by as much.
FALLEN = 0.5
HIGHER = 5.0
MOST_ASCENTS = 3
# Batches of an ascent, the draws of each, and those that are fitted, for every term of a paraboloid.
MOST_BATCHES = 30
DRAWS_PER_TERM = 6
FITTED_PER_TERM = 4
# All draws that are no lower than so much, for each dimension, are fitted in any case.
DEPTH = 2.0
# How far a step goes, and by how much it widens, in the spreads of the draws that are fitted; how much
# narrower the other kernel is than these.
REACH = 3.0
WIDENING = 2.0
NARROWING = 0.5
DEGREES = 8.0


def ascent_is_due(step: Step, state: State) -> bool:
    """Whether the last refinement found draws so much higher than all others that they cannot be fitted.

    Parameters
    ----------
    step : Step
    state : State
        After the refinement.
    """
    evaluator = step.problem.evaluator
    exponents = [record.exponent for record in state.records if record.phase == "refinement"]
    n_ascents = sum(phase == "ascent" for phase, _ in groupby(record.phase for record in state.records))
    applies = evaluator.forward is None and evaluator.space.n_dim >= FEWEST_DIMENSIONS
    if not applies or n_ascents >= MOST_ASCENTS or exponents[-1] >= FALLEN * max(exponents):
        return False
    tops = [float(batch.log_likelihood.max()) for batch in state.history.batches]
    return tops[-1] > max(tops[:-1]) + HIGHER


def ascend(step: Step) -> State:
    """One batch about the place where the highest draws point to; the refinement goes on at the mode.

    Without it bilby's example of a Gaussian process with celerite has not ended after 72,000 calls. With it,
    an ascent of 2,352 calls, from 85 below the top of log L, ends the tempering: "ok" at 45,520.
    """
    n_dim, rng = step.problem.evaluator.space.n_dim, step.generator("ascent")
    with step.threads():
        kernels = _upwards(step.state, rng)
    proposal = MixtureProposal.single(kernels or PriorProposal(n_dim))
    state = step.drawn("ascent", proposal, DRAWS_PER_TERM * n_terms(n_dim))
    n_batches = next(len(list(group)) for _, group in groupby(r.phase for r in reversed(state.records)))
    arrived = kernels is None or choose_target(state.history, n_dim, False).exponent == 1.0
    if not arrived and n_batches < MOST_BATCHES:
        return replace(state, phase="ascent")
    return replace(state, phase="refinement", best=None, n_stalls=0)


def _upwards(state: State, rng: np.random.Generator) -> UnitCubeKernels | None:
    finite = np.isfinite(state.history.log_likelihood)
    z, log_likelihood = state.history.z[finite], state.history.log_likelihood[finite]
    # At the top these become so many that their spread remains the mode's.
    n_high = int((log_likelihood > log_likelihood.max() - DEPTH * z.shape[1]).sum())
    top = np.argsort(-log_likelihood)[: max(FITTED_PER_TERM * n_terms(z.shape[1]), n_high)]
    mixture = kernels_upwards(ndtr(z[top]), log_likelihood[top])
    return UnitCubeKernels.of(mixture, np.zeros(z.shape[1]), rng)


def kernels_upwards(u: Array, log_likelihood: Array) -> StudentMixture:
    """A kernel at the top of the paraboloid through draws, and one about the highest of them.

    Parameters
    ----------
    u : ndarray, shape (n, n_dim)
        In the unit cube, the highest first.
    log_likelihood : ndarray, shape (n,)

    Returns
    -------
    StudentMixture
        Over the unit cube and beyond.

    Examples
    --------
    >>> u = np.random.default_rng(0).uniform(0.3, 0.5, size=(40, 2))
    >>> log_likelihood = -0.5 * (((u - 0.6) / 0.05) ** 2).sum(axis=1)
    >>> order = np.argsort(-log_likelihood)
    >>> mixture = kernels_upwards(u[order], log_likelihood[order])
    >>> mixture.centres[0].round(4), np.diagonal(mixture.factors[0]).round(4)
    (array([0.6, 0.6]), array([0.05, 0.05]))
    """
    n_dim = u.shape[1]
    spread = u.std(axis=0) + 1e-15
    correlation = np.cov(((u - u.mean(axis=0)) / spread).T).reshape(n_dim, n_dim) + 1e-9 * np.eye(n_dim)
    factor = spread[:, None] * np.linalg.cholesky(correlation)
    best = u[0]
    gradient, curvature, _ = paraboloid(np.linalg.solve(factor, (u - best).T).T, log_likelihood, True)
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(values, 1.0 / WIDENING**2)
    move = vectors @ ((vectors.T @ gradient) / values)
    move *= min(1.0, REACH * math.sqrt(n_dim) / max(float(np.linalg.norm(move)), 1e-300))
    centres = np.array([np.clip(best + factor @ move, 0.0, 1.0), best])
    factors = np.array([triangle(factor @ (vectors / np.sqrt(values))), NARROWING * factor])
    return StudentMixture(np.array([0.5, 0.5]), centres, factors, DEGREES)
