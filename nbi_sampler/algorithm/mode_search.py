r"""Climb from draws of the prior to the modes of the likelihood, by the draws of one batch after the other.

While the likelihood is tempered, a mode in many dimensions or beside wider ones lives on a handful of draws,
too few to tell its shape, and may die out. But log L at a few dozen draws tells a paraboloid, and the
paraboloid where to go on. Tracks start at the draws of the prior that are higher than their neighbours; every
batch is drawn around all of them, each takes a step of Newton's, and those that meet become one. At the end
each is a mode: a place, and the spread of the posterior there. The batches are draws like any others, with
weights. Called by `climb_step`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr

from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import n_terms, terms
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, PriorProposal
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.algorithm.state import State
from nbi_sampler.algorithm.step import Step

__all__ = [
    "FEWEST_DIMENSIONS",
    "Tracks",
    "climb",
    "climb_is_due",
    "climbed",
    "first_tracks",
    "kernels_around",
    "paraboloid",
    "triangle",
]


Array = NDArray[np.float64]

# Tracks start at the best of eight neighbours.
MOST_TRACKS = 30

N_NEIGHBOURS = 8

FIRST_WIDTH = 0.05

# Draws for each term of a paraboloid: at least, and at most.
DRAWS_PER_TERM = (1.3, 4.0)

# How far in its own widths a track goes, and by which factor it widens: where the paraboloid fits to within a
# factor e in the likelihood, and where it does not.
REACH = {True: 100.0, False: 3.0}

WIDENING = {True: 10.0, False: 2.0}

NARROWING = 1e-3

# Log-likelihoods so far below the highest are all the same.
LOWEST = -1e30

# Log of the weight in the fit of the lowest of the draws relative to the highest.
FADING = 2.0

N_TESTED = 400

LEAST_INSIDE = 1e-3

DEGREES = 10.0

# In fewer dimensions the draws of the prior are dense enough for the tempering to keep all modes.
FEWEST_DIMENSIONS = 5

MOST_CLIMBS = 4


class Tracks(NamedTuple):
    """Where the climb has got to.

    Attributes
    ----------
    centres : ndarray, shape (n_tracks, n_dim)
        In the unit cube.
    factors : ndarray, shape (n_tracks, n_dim, n_dim)
        Lower-triangular square roots of the covariances in which the next draws are made; at the end these
        are the covariances of the modes.
    settled : ndarray of bool, shape (n_tracks,)
        Those that have arrived.
    """

    centres: Array
    factors: Array
    settled: NDArray[np.bool_]


def first_tracks(u: Array, log_likelihood: Array) -> Tracks:
    """Tracks at draws of the prior that are higher than their neighbours, of these the highest.

    Parameters
    ----------
    u : ndarray, shape (n, n_dim)
        Draws of the prior, in the unit cube.
    log_likelihood : ndarray, shape (n,)
        Finite.
    """
    n_dim = u.shape[1]
    _, near = cKDTree(u).query(u, k=min(N_NEIGHBOURS, len(u)))
    # Among all draws: where modes differ in width, tempered ones are those of the widest.
    tops = np.flatnonzero(log_likelihood >= log_likelihood[near.reshape(len(u), -1)].max(axis=1))
    starts = tops[np.argsort(-log_likelihood[tops])[:MOST_TRACKS]]
    factors = np.broadcast_to(FIRST_WIDTH * np.eye(n_dim), (len(starts), n_dim, n_dim))
    return Tracks(u[starts], factors, np.zeros(len(starts), dtype=bool))


def kernels_around(tracks: Tracks, cut: Array, rng: np.random.Generator) -> UnitCubeKernels | None:
    """A proposal that gives every track as many draws within the cube; None where hardly any are.

    Parameters
    ----------
    tracks : Tracks
    cut : ndarray, shape (n_dim,)
        See `periodic`.
    rng : numpy.random.Generator
    """
    normal = rng.normal(size=(N_TESTED, tracks.centres.shape[1]))
    tested = tracks.centres[:, None] + np.einsum("mij,nj->mni", tracks.factors, normal)
    inside = ((tested > 0.0) & (tested < 1.0)).all(axis=2).mean(axis=1)
    shares = 1.0 / np.maximum(inside, LEAST_INSIDE)
    mixture = StudentMixture(shares / shares.sum(), tracks.centres, tracks.factors, DEGREES)
    return UnitCubeKernels.of(mixture, cut, rng)


def climbed(mixture: StudentMixture, u: Array, log_likelihood: Array) -> Tracks:
    """Where tracks go, after a batch was drawn from the kernels around them.

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
    Tracks
        As many, or fewer: of those that meet one is left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> around = StudentMixture(np.ones(1), np.array([[0.7, 0.7]]), 0.1 * np.eye(2)[None], 10.0)
    >>> u = around.sample(50, rng)
    >>> found = climbed(around, u, -0.5 * (((u - 0.5) / [0.01, 0.02]) ** 2).sum(axis=1))
    >>> found.centres.round(4), np.diagonal(found.factors[0]).round(4)
    (array([[0.5, 0.5]]), array([0.01, 0.02]))
    """
    moves = [
        _moved(centre, factor, u, log_likelihood)
        for centre, factor in zip(mixture.centres, mixture.factors, strict=True)
    ]
    moves.sort(key=lambda move: not move.settled)
    kept: list[_Move] = []
    for move in moves:
        if not any(_meet(move, other) for other in kept):
            kept.append(move)
    centres, factors, settled = zip(*kept, strict=True)
    return Tracks(np.array(centres), np.array(factors), np.array(settled))


class _Move(NamedTuple):
    centre: Array
    factor: Array
    settled: bool


def _moved(centre: Array, factor: Array, u: Array, log_likelihood: Array) -> _Move:
    """One track after a step of Newton's in its own coordinates, in which its kernel is a standard one."""
    n_dim = len(centre)
    t = np.asarray(np.linalg.solve(factor, (u - centre).T).T, dtype=np.float64)
    squares = (t**2).sum(axis=1)
    fewest, most = (round(each * n_terms(n_dim)) for each in DRAWS_PER_TERM)
    near = np.flatnonzero(squares < n_dim + 4.0 * math.sqrt(2.0 * n_dim))
    near = near[np.argsort(squares[near])[:most]]
    if len(near) < DRAWS_PER_TERM[0] * (2 * n_dim + 1):
        best = u[near[np.argmax(log_likelihood[near])]] if len(near) else centre
        return _Move(best, 0.5 * factor, False)
    full = len(near) >= fewest
    gradient, curvature, residual = paraboloid(t[near], log_likelihood[near], full)
    fits = residual < 1.0
    values, vectors = np.linalg.eigh(curvature)
    curvatures = np.maximum(values, 1.0 / WIDENING[fits] ** 2)
    move = vectors @ ((vectors.T @ gradient) / curvatures)
    length, longest = float(np.linalg.norm(move)), REACH[fits] * math.sqrt(n_dim)
    move *= min(1.0, longest / max(length, 1e-300))
    # What the paraboloid leaves out grows with the third power of the width.
    widths = 1.0 / np.sqrt(curvatures)
    widths = np.maximum(widths, NARROWING if fits else max(NARROWING, residual ** (-1.0 / 3.0)))
    root = triangle(factor @ (vectors * widths))
    arrived = full and fits and length < math.sqrt(n_dim)
    return _Move(np.clip(centre + factor @ move, 0.0, 1.0), root, arrived)


def paraboloid(t: Array, values: Array, full: bool) -> tuple[Array, Array, float]:
    """Gradient and curvature (minus the second derivatives) at the origin, and the residual's deviation."""
    n_dim = t.shape[1]
    first, second = np.triu_indices(n_dim) if full else (np.arange(n_dim), np.arange(n_dim))
    columns = terms(t, first, second)
    rank = np.argsort(np.argsort(-values)) / len(values)
    weights = np.exp(-FADING * rank)
    root = np.sqrt(weights)
    values = np.maximum(values - values.max(), LOWEST)
    solution = np.linalg.lstsq(columns * root[:, None], values * root, rcond=1e-10)
    fitted = np.asarray(solution[0], dtype=np.float64)
    residual = math.sqrt(float(weights @ (columns @ fitted - values) ** 2 / weights.sum()))
    curvature = np.zeros((n_dim, n_dim))
    curvature[first, second] -= fitted[1 + n_dim :]
    return fitted[1 : 1 + n_dim], curvature + curvature.T, residual


def _meet(one: _Move, other: _Move) -> bool:
    """Whether each lies within the kernel of the other."""
    offset = one.centre - other.centre
    far = max(float(np.linalg.norm(np.linalg.solve(each.factor, offset))) for each in (one, other))
    return far < math.sqrt(len(offset))


def triangle(root: Array) -> Array:
    """The lower-triangular square root of ``root @ root.T``, with a positive diagonal."""
    _, upper = np.linalg.qr(root.T)
    return np.asarray(upper.T * np.where(np.diagonal(upper) < 0.0, -1.0, 1.0))


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
