"""The ascent from the highest draws to their mode, where tempering fails: small batches and Newton steps.

At the end of a curved valley, or beside a wider mode, a refinement finds a few draws far above all others.
They would have nearly all the weight. The power of the likelihood therefore falls until they have none, and
no proposal learns from them. But a paraboloid through the highest draws shows where to draw next. A batch
costs a tenth of a batch of the refinement, until one has located the mode.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from scipy.special import ndtr

from nbi_sampler.algorithm.history import History
from nbi_sampler.algorithm.mode_search import began_with_samples
from nbi_sampler.algorithm.pooling import leads_nowhere
from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import n_terms
from nbi_sampler.algorithm.proposals.paraboloid import newton_step, paraboloid, triangle
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.algorithm.target import choose_target
from nbi_sampler.core.config import ASCENT, MODE_SEARCH
from nbi_sampler.core.types import Array

__all__ = ["ascend", "ascent_is_due", "kernels_upwards"]


def ascent_is_due(step: Step, state: State) -> bool:
    """True if the last refinement found draws that are too high above all others to be fitted.

    ``state`` is the state after the refinement.
    """
    evaluator = step.problem.evaluator
    exponents = [record.exponent for record in state.records if record.phase == "refinement"]
    n_ascents = sum(phase == "ascent" for phase, _ in groupby(record.phase for record in state.records))
    applies = evaluator.forward is None and evaluator.space.n_dim >= MODE_SEARCH.fewest_dimensions
    if not applies or n_ascents >= ASCENT.most_ascents or exponents[-1] >= ASCENT.fallen * max(exponents):
        return False
    tops = [float(batch.log_likelihood.max()) for batch in state.history.batches]
    return tops[-1] > max(tops[:-1]) + ASCENT.higher


def ascend(step: Step) -> tuple[State, str]:
    """Draw one batch about the top of the paraboloid through the highest draws."""
    n_dim, rng = step.problem.evaluator.space.n_dim, step.generator("ascent")
    with step.threads():
        kernels = _upwards(step.state.history, rng)
    proposal = MixtureProposal.single(kernels or PriorProposal(n_dim))
    last = step.state.records[-1]
    # Where a batch alone has located the posterior, the next one shows its shape.
    at_top = last.phase == "ascent" and last.ess >= step.fewest_located
    state = step.drawn("ascent", proposal, step.n_sims if at_top else ASCENT.draws_per_term * n_terms(n_dim))
    n_batches = next(len(list(group)) for _, group in groupby(r.phase for r in reversed(state.records)))
    arrived = kernels is None or choose_target(state.history, n_dim, False).exponent == 1.0
    from_samples = began_with_samples(state) and not state.count("mode search")
    ended = n_batches >= ASCENT.most_batches
    if from_samples and not arrived:
        efficiencies = [record.efficiency for record in state.records[-n_batches:]]
        return state, "leads nowhere" if ended or leads_nowhere(efficiencies) else "on the way"
    if not (arrived or ended):
        return state, "on the way"
    # Former samples may lack modes, so the search for these follows.
    return state.restarted("mode reached"), "mode reached from samples" if from_samples else "mode reached"


def _upwards(history: History, rng: np.random.Generator) -> UnitCubeKernels | None:
    finite = np.isfinite(history.log_likelihood)
    z, log_likelihood = history.z[finite], history.log_likelihood[finite]
    n_dim = z.shape[1]
    # Near the top these are so many that their spread is that of the mode.
    n_high = int((log_likelihood > log_likelihood.max() - ASCENT.depth * n_dim).sum())
    top = np.argsort(-log_likelihood)[: max(ASCENT.fitted_per_term * n_terms(n_dim), n_high)]
    return UnitCubeKernels.of(kernels_upwards(ndtr(z[top]), log_likelihood[top]), np.zeros(n_dim), rng)


def kernels_upwards(u: Array, log_likelihood: Array) -> StudentMixture:
    """A kernel at the top of the paraboloid through draws, and a kernel about the highest draw.

    Parameters
    ----------
    u : ndarray, shape (n, n_dim)
        Coordinates in the unit cube, the highest draw first.
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
    t = np.linalg.solve(factor, (u - best).T).T
    gradient, curvature, _ = paraboloid(t, log_likelihood)
    move, _, curvatures, vectors = newton_step(gradient, curvature, ASCENT.widening, ASCENT.reach)
    centres = np.array([np.clip(best + factor @ move, 0.0, 1.0), best])
    factors = np.array([triangle(factor @ (vectors / np.sqrt(curvatures))), ASCENT.narrowing * factor])
    return StudentMixture(np.array([0.5, 0.5]), centres, factors, ASCENT.degrees)
