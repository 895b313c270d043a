r"""Search for modes from draws of the prior: Newton's steps by the draws of one batch after the other.

While the likelihood is tempered, a mode in many dimensions or beside wider ones lives on a handful of draws,
too few to tell its shape, and may die out. But log L at a few dozen draws tells a paraboloid, and the
paraboloid where to go on. Starts are the draws of the prior that are higher than their neighbours; every
batch is drawn around all of them, each takes a step of Newton's, and those that meet become one. At the end
each is a mode: a place, and the spread of the posterior there. The batches are draws like any others, with
weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr, ndtri

from nbi_sampler.algorithm.history import Draws
from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import n_terms
from nbi_sampler.algorithm.proposals.paraboloid import fading_weights, newton_step, paraboloid, triangle
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step
from nbi_sampler.core.config import INITIAL, MODE_SEARCH
from nbi_sampler.priors.maps import clip_unit

__all__ = [
    "Starts",
    "began_with_samples",
    "first_starts",
    "kernels_around",
    "mode_search_is_due",
    "moved",
    "search_modes",
]

Array = NDArray[np.float64]


class Starts(NamedTuple):
    """Starts of the search, as far as they have got.

    Attributes
    ----------
    centres : ndarray, shape (n_starts, n_dim)
        In the unit cube.
    factors : ndarray, shape (n_starts, n_dim, n_dim)
        Lower-triangular square roots of the covariances in which the next draws are made; at the end these
        are the covariances of the modes.
    converged : ndarray of bool, shape (n_starts,)
        Those that have reached a mode.
    """

    centres: Array
    factors: Array
    converged: NDArray[np.bool_]


def mode_search_is_due(step: Step, exponent: float) -> bool:
    """True where a run that comes down from the prior by tempering has yet to search for modes.

    So has one that began with former samples, which may lack some. ``exponent`` is that of the fit at hand.
    """
    evaluator, state = step.problem.evaluator, step.state
    if began_with_samples(state):
        return not state.count("mode search")
    applies = evaluator.forward is None and evaluator.space.n_dim >= MODE_SEARCH.fewest_dimensions
    if not applies or not state.count("prior") or state.count("mode search"):
        return False
    return exponent < 1.0 or any(r.exponent < 1.0 for r in state.records if r.phase == "refinement")


def search_modes(step: Step) -> tuple[State, str]:
    """Draw around the starts, until all of them have converged."""
    # The stream has the name that it always had, so that runs can be repeated.
    n_dim, rng = step.problem.evaluator.space.n_dim, step.generator("climb")
    with step.threads():
        starts = _starts(step)
        kernels = kernels_around(starts, np.zeros(n_dim), rng) if len(starts.centres) else None
    proposal = MixtureProposal.single(kernels or PriorProposal(n_dim))
    n_draws = INITIAL.searching if began_with_samples(step.state) else step.n_exploring // 2
    state = step.drawn("mode search", proposal, n_draws)
    with step.threads():
        converged = kernels is None or bool(_next_starts(state).converged.all())
    most = INITIAL.most_batches if began_with_samples(state) else MODE_SEARCH.most_batches
    if not converged and state.count("mode search") < most:
        return state, "on the way"
    return state.restarted("mode reached"), "modes reached"


def began_with_samples(state: State) -> bool:
    """True for a run that began with former samples, and has not gone the whole way from the prior since."""
    return state.count("initial") > 0 and not state.count("prior")


def _starts(step: Step) -> Starts:
    history, n_scans = step.state.history, step.state.count("prior")
    if step.state.count("mode search"):
        return _next_starts(step.state)
    if began_with_samples(step.state):
        return _starts_elsewhere(history.batches[0], _known(step.state))
    # Draws from a model or from what samples taught come before them.
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
    """Draws of the first batch higher than their neighbours, where a proposal is thinner than the prior.

    As few that a batch has enough draws for a step of each.
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
    # Those that have come to where the draws are already have nothing to find.
    kept = _known(state).log_ratio(ndtri(clip_unit(starts.centres))) < 0.0
    return Starts(starts.centres[kept], starts.factors[kept], starts.converged[kept])


def first_starts(
    u: Array,
    log_likelihood: Array,
    allowed: NDArray[np.bool_] | None = None,
    most: int = MODE_SEARCH.most_starts,
) -> Starts:
    """Draws of the prior that are higher than their neighbours, of these the highest.

    Parameters
    ----------
    u : ndarray, shape (n, n_dim)
        In the unit cube.
    log_likelihood : ndarray, shape (n,)
        Finite.
    allowed : ndarray of bool, shape (n,), optional
        Draws that may be starts; all by default.
    most : int
        Starts, beside the limit for all searches.
    """
    n_dim = u.shape[1]
    _, near = cKDTree(u).query(u, k=min(MODE_SEARCH.n_neighbours, len(u)))
    # Among all draws: where modes differ in width, tempered ones are those of the widest.
    tops = np.flatnonzero(log_likelihood >= log_likelihood[near.reshape(len(u), -1)].max(axis=1))
    tops = tops if allowed is None else tops[allowed[tops]]
    starts = tops[np.argsort(-log_likelihood[tops])[: min(most, MODE_SEARCH.most_starts)]]
    factors = np.broadcast_to(MODE_SEARCH.first_width * np.eye(n_dim), (len(starts), n_dim, n_dim))
    return Starts(u[starts], factors, np.zeros(len(starts), dtype=bool))


def kernels_around(starts: Starts, cut: Array, rng: np.random.Generator) -> UnitCubeKernels | None:
    """A proposal that gives every start as many draws within the cube; None where hardly any are.

    ``cut``, shape (n_dim,), is that of `periodic`.
    """
    normal = rng.normal(size=(MODE_SEARCH.n_tested, starts.centres.shape[1]))
    tested = starts.centres[:, None] + np.einsum("mij,nj->mni", starts.factors, normal)
    inside = ((tested > 0.0) & (tested < 1.0)).all(axis=2).mean(axis=1)
    shares = 1.0 / np.maximum(inside, MODE_SEARCH.least_inside)
    mixture = StudentMixture(shares / shares.sum(), starts.centres, starts.factors, MODE_SEARCH.degrees)
    return UnitCubeKernels.of(mixture, cut, rng)


def moved(mixture: StudentMixture, u: Array, log_likelihood: Array) -> Starts:
    """Starts after a step, for which a batch was drawn from the kernels around them.

    Parameters
    ----------
    mixture : StudentMixture
        Of `kernels_around`.
    u : ndarray, shape (n, n_dim)
        All draws so far, in the unit cube.
    log_likelihood : ndarray, shape (n,)
        Finite.

    Returns
    -------
    Starts
        As many, or fewer: of those that meet one is left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> around = StudentMixture(np.ones(1), np.array([[0.7, 0.7]]), 0.1 * np.eye(2)[None], 10.0)
    >>> u = around.sample(50, rng)
    >>> found = moved(around, u, -0.5 * (((u - 0.5) / [0.01, 0.02]) ** 2).sum(axis=1))
    >>> found.centres.round(4), np.diagonal(found.factors[0]).round(4)
    (array([[0.5, 0.5]]), array([0.01, 0.02]))
    """
    moves = [
        _moved(centre, factor, u, log_likelihood)
        for centre, factor in zip(mixture.centres, mixture.factors, strict=True)
    ]
    moves.sort(key=lambda move: not move.converged)
    kept: list[_Move] = []
    for move in moves:
        if not any(_meet(move, other) for other in kept):
            kept.append(move)
    centres, factors, converged = zip(*kept, strict=True)
    return Starts(np.array(centres), np.array(factors), np.array(converged))


class _Move(NamedTuple):
    centre: Array
    factor: Array
    converged: bool


def _moved(centre: Array, factor: Array, u: Array, log_likelihood: Array) -> _Move:
    """One start after a step of Newton's in its own coordinates, in which its kernel is a standard one."""
    n_dim = len(centre)
    t = np.asarray(np.linalg.solve(factor, (u - centre).T).T, dtype=np.float64)
    squares = (t**2).sum(axis=1)
    fewest, most = (round(each * n_terms(n_dim)) for each in MODE_SEARCH.draws_per_term)
    near = np.flatnonzero(squares < n_dim + 4.0 * math.sqrt(2.0 * n_dim))
    near = near[np.argsort(squares[near])[:most]]
    if len(near) < MODE_SEARCH.draws_per_term[0] * (2 * n_dim + 1):
        best = u[near[np.argmax(log_likelihood[near])]] if len(near) else centre
        return _Move(best, 0.5 * factor, False)
    full = len(near) >= fewest
    gradient, curvature, residual = paraboloid(
        t[near], log_likelihood[near], fading_weights(log_likelihood[near]), full
    )
    fits = residual < 1.0
    widening, reach = MODE_SEARCH.widening[fits], MODE_SEARCH.reach[fits]
    move, length, curvatures, vectors = newton_step(gradient, curvature, widening, reach)
    # What the paraboloid leaves out grows with the third power of the width.
    narrowing = MODE_SEARCH.narrowing
    least = narrowing if fits else max(narrowing, residual ** (-1.0 / 3.0))
    widths = np.maximum(1.0 / np.sqrt(curvatures), least)
    arrived = full and fits and length < math.sqrt(n_dim)
    return _Move(np.clip(centre + factor @ move, 0.0, 1.0), triangle(factor @ (vectors * widths)), arrived)


def _meet(one: _Move, other: _Move) -> bool:
    """True where each lies within the kernel of the other."""
    offset = one.centre - other.centre
    far = max(float(np.linalg.norm(np.linalg.solve(each.factor, offset))) for each in (one, other))
    return far < math.sqrt(len(offset))
