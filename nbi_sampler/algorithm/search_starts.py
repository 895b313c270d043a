"""Starts of the search for modes, as pure functions of draws in the unit cube."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nbi_sampler.algorithm.pooling import resembles_a_paraboloid
from nbi_sampler.algorithm.proposals.affine import spread_of
from nbi_sampler.algorithm.proposals.kernels import UnitCubeKernels
from nbi_sampler.algorithm.proposals.local_regression import CHUNK, LOWEST, n_terms, terms
from nbi_sampler.algorithm.proposals.paraboloid import newton_step, paraboloid, triangle
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import MODE_SEARCH
from nbi_sampler.core.types import Array

__all__ = ["Starts", "first_starts", "kernels_around", "moved"]

# Guard against rounding where draws lie in a plane or on a paraboloid.
RIDGE = 1e-9


class Starts(NamedTuple):
    """Present positions of the starts.

    Attributes
    ----------
    centres : ndarray, shape (n_starts, n_dim)
        Positions in the unit cube.
    factors : ndarray, shape (n_starts, n_dim, n_dim)
        Lower-triangular square roots of the covariances of the next draws. In the end these are the
        covariances of the modes.
    converged : ndarray of bool, shape (n_starts,)
        True for starts that have reached a mode.
    """

    centres: Array
    factors: Array
    converged: NDArray[np.bool_]


def first_starts(
    u: Array,
    log_likelihood: Array,
    allowed: NDArray[np.bool_] | None = None,
    most: int = MODE_SEARCH.most_starts,
) -> Starts:
    """The highest of the draws that are higher than their neighbours, and those that stand out among these.

    The first kind finds the widest modes. A narrow mode may only stand out on the slope of a wider one, where
    no draw is a top. The second kind are therefore draws far above a paraboloid through their neighbours. One
    more start is the top of a paraboloid through the highest draws, if it fits these, however far apart they
    are.

    Parameters
    ----------
    u : ndarray, shape (n, n_dim)
        Coordinates in the unit cube.
    log_likelihood : ndarray, shape (n,)
        Finite values.
    allowed : ndarray of bool, shape (n,), optional
        Draws that may be starts, as tops only; all by default.
    most : int
        Largest number of starts, in addition to the general limit.
    """
    n_dim = u.shape[1]
    n_near, n_fitted = MODE_SEARCH.n_neighbours, 1 + MODE_SEARCH.regressed_per_dimension * (n_dim + 1)
    with_outliers = allowed is None and len(u) >= n_fitted
    n_asked = max(n_near, n_fitted) if with_outliers else min(n_near, len(u))
    _, near = cKDTree(u).query(u, k=n_asked)
    near = near.reshape(len(u), -1)
    # Among all draws: if modes differ in width, the tempered draws are those of the widest mode.
    tops = np.flatnonzero(log_likelihood >= log_likelihood[near[:, :n_near]].max(axis=1))
    tops = tops if allowed is None else tops[allowed[tops]]
    starts = tops[np.argsort(-log_likelihood[tops])[: min(most, MODE_SEARCH.most_starts)]]
    if with_outliers:
        above = _excess(u, log_likelihood, near[:, :n_fitted])
        outliers = np.argsort(-above)[: MODE_SEARCH.most_outliers]
        starts = starts[: MODE_SEARCH.most_starts - len(outliers)]
        starts = np.concatenate([starts, np.setdiff1d(outliers, starts)])
    centres = u[starts]
    factors = np.broadcast_to(MODE_SEARCH.first_width * np.eye(n_dim), (len(starts), n_dim, n_dim))
    top = _top_of_paraboloid(u, log_likelihood) if allowed is None else None
    if top is not None:
        centres, factors = np.concatenate([top[0][None], centres]), np.concatenate([top[1][None], factors])
    return Starts(centres, factors, np.zeros(len(centres), dtype=bool))


def _top_of_paraboloid(u: Array, log_likelihood: Array) -> tuple[Array, Array] | None:
    """Top of the paraboloid through the highest draws, and the square root of the covariance that it implies.

    A posterior that is Gaussian in quantiles of the prior is found by it, whatever the correlations. Twenty
    parameters with correlations of 0.999 then take 20,500 calls (correlated20, 2,000 effective samples).
    Without this start there was no result after 40,000, because draws about any one point show no more than
    the walls of so narrow a valley. None if draws are too few, or if they do not resemble a paraboloid.
    """
    n_dim = u.shape[1]
    n_highest = round(MODE_SEARCH.draws_per_term[1] * n_terms(n_dim))
    if len(u) < n_highest:
        return None
    highest = np.argsort(-log_likelihood)[:n_highest]
    u, log_likelihood = u[highest], np.maximum(log_likelihood[highest] - log_likelihood.max(), LOWEST)
    centre, spread = u.mean(axis=0), spread_of(u)
    gradient, curvature, residual = paraboloid((u - centre) / spread, log_likelihood)
    if not resembles_a_paraboloid(residual, float(log_likelihood.std())):
        return None
    move, _, curvatures, vectors = newton_step(gradient, curvature, math.sqrt(n_dim), math.inf)
    top = np.clip(centre + spread * move, 0.0, 1.0)
    return top, triangle(spread[:, None] * vectors / np.sqrt(curvatures))


def _excess(u: Array, log_likelihood: Array, near: NDArray[np.int64]) -> Array:
    """Height of each draw above a paraboloid through its neighbours, in units of their scatter about it.

    The paraboloid has no mixed terms. ``near``, shape (n, 1 + n_near), has each draw and its neighbours.
    """
    log_likelihood = np.maximum(log_likelihood - log_likelihood.max(), LOWEST)
    return np.concatenate(
        [
            _excess_at(u[rows[:, 1:]] - u[rows[:, :1]], log_likelihood[rows])
            for rows in np.array_split(near, math.ceil(len(u) / CHUNK))
        ]
    )


def _excess_at(offsets: Array, log_likelihood: Array) -> Array:
    """The same for a few draws at once.

    The neighbours' ``offsets`` have the shape (n, n_near, n_dim), and log L, of the draws themselves first,
    (n, 1 + n_near).
    """
    offsets = offsets / np.sqrt((offsets**2).mean(axis=1, keepdims=True) + 1e-300)
    values = log_likelihood[:, 1:] - log_likelihood[:, :1]
    axes = np.arange(offsets.shape[2])
    columns = terms(offsets, axes, axes)
    gram = np.einsum("nkp,nkq->npq", columns, columns) + RIDGE * np.eye(columns.shape[2])
    fitted = np.linalg.solve(gram, np.einsum("nkp,nk->np", columns, values)[..., None])[..., 0]
    squares = ((values - np.einsum("nkp,np->nk", columns, fitted)) ** 2).mean(axis=1)
    return np.asarray(-fitted[:, 0] / np.sqrt(squares + RIDGE))


def kernels_around(starts: Starts, cut: Array, rng: np.random.Generator) -> UnitCubeKernels | None:
    """A proposal with equally many draws around each start within the cube. None if hardly any are inside.

    For ``cut``, shape (n_dim,), see `periodic`.
    """
    normal = rng.normal(size=(MODE_SEARCH.n_tested, starts.centres.shape[1]))
    tested = starts.centres[:, None] + np.einsum("mij,nj->mni", starts.factors, normal)
    inside = ((tested > 0.0) & (tested < 1.0)).all(axis=2).mean(axis=1)
    shares = 1.0 / np.maximum(inside, MODE_SEARCH.least_inside)
    mixture = StudentMixture(shares / shares.sum(), starts.centres, starts.factors, MODE_SEARCH.degrees)
    return UnitCubeKernels.of(mixture, cut, rng)


def moved(mixture: StudentMixture, u: Array, log_likelihood: Array) -> Starts:
    """Starts after a step that uses a batch of draws around them.

    Parameters
    ----------
    mixture : StudentMixture
        The kernels of `kernels_around`.
    u : ndarray, shape (n, n_dim)
        All draws so far, in the unit cube.
    log_likelihood : ndarray, shape (n,)
        Finite.

    Returns
    -------
    Starts
        As many starts or fewer, because only one is left of those that meet.

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
    """One start after a Newton step in coordinates in which its kernel is N(0, I).

    Where no paraboloid fits, it moves to the highest of its draws instead.
    """
    n_dim = len(centre)
    t = np.asarray(np.linalg.solve(factor, (u - centre).T).T, dtype=np.float64)
    squares = (t**2).sum(axis=1)
    fewest, most = (round(each * n_terms(n_dim)) for each in MODE_SEARCH.draws_per_term)
    near = np.flatnonzero(squares < n_dim + MODE_SEARCH.most_deviations * math.sqrt(2.0 * n_dim))
    near = near[np.argsort(squares[near])[:most]]
    if len(near) < MODE_SEARCH.draws_per_term[0] * (2 * n_dim + 1):
        best = u[near[np.argmax(log_likelihood[near])]] if len(near) else centre
        return _Move(best, MODE_SEARCH.shrinking * factor, False)
    full = len(near) >= fewest
    gradient, curvature, residual = paraboloid(t[near], log_likelihood[near], full=full)
    move, length, curvatures, vectors = newton_step(
        gradient, curvature, MODE_SEARCH.widening, MODE_SEARCH.reach
    )
    widths = np.maximum(1.0 / np.sqrt(curvatures), MODE_SEARCH.narrowing)
    if residual < MODE_SEARCH.most_residual:
        arrived = full and length < math.sqrt(n_dim)
        top = np.clip(centre + factor @ move, 0.0, 1.0)
        return _Move(top, triangle(factor @ (vectors * widths)), arrived)
    # The edge of a wider mode bends the paraboloid away from the top, but the highest draw is inside. The
    # error of the paraboloid grows with the third power of the width.
    widths = np.clip(widths, residual ** (-1.0 / 3.0), 1.0)
    highest = u[near[np.argmax(log_likelihood[near])]]
    return _Move(highest, triangle(factor @ (vectors * widths)), False)


def _meet(one: _Move, other: _Move) -> bool:
    """True if each start lies within the kernel of the other."""
    offset = one.centre - other.centre
    far = max(float(np.linalg.norm(np.linalg.solve(each.factor, offset))) for each in (one, other))
    return far < math.sqrt(len(offset))
