"""Paraboloids through values of log L at draws: their top, and the Gaussian whose log they are."""

from __future__ import annotations

import math

import numpy as np

from nbi_sampler.algorithm.proposals.affine import AffineMap
from nbi_sampler.algorithm.proposals.local_regression import LOWEST, n_terms, terms
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import MIXTURE, MODE_SEARCH
from nbi_sampler.core.types import Array

__all__ = ["gaussian_by_regression", "newton_step", "paraboloid", "triangle"]


def paraboloid(
    t: Array, values: Array, weights: Array | None = None, full: bool = True
) -> tuple[Array, Array, float]:
    """Gradient and curvature (minus the second derivatives) at the origin, and the RMS residual.

    Parameters
    ----------
    t : ndarray, shape (n, n_dim)
    values : ndarray, shape (n,)
    weights : ndarray, shape (n,), optional
        By default they fall with the rank of the values, which begins at the highest.
    full : bool
        False for a diagonal curvature, which needs fewer draws.
    """
    n_dim = t.shape[1]
    first, second = np.triu_indices(n_dim) if full else (np.arange(n_dim), np.arange(n_dim))
    columns = terms(t, first, second)
    if weights is None:
        weights = np.exp(-MODE_SEARCH.fading * (np.argsort(np.argsort(-values)) / len(values)))
    root = np.sqrt(weights)
    values = np.maximum(values - values.max(), LOWEST)
    solution = np.linalg.lstsq(columns * root[:, None], values * root, rcond=1e-10)
    fitted = np.asarray(solution[0], dtype=np.float64)
    residual = math.sqrt(float(weights @ (columns @ fitted - values) ** 2 / weights.sum()))
    curvature = np.zeros((n_dim, n_dim))
    curvature[first, second] -= fitted[1 + n_dim :]
    return fitted[1 : 1 + n_dim], curvature + curvature.T, residual


def newton_step(
    gradient: Array, curvature: Array, widening: float, reach: float
) -> tuple[Array, float, Array, Array]:
    """The move to the top of a paraboloid, in its coordinates.

    Parameters
    ----------
    gradient, curvature : ndarray, shapes (n_dim,) and (n_dim, n_dim)
        Values of `paraboloid`.
    widening, reach : float
        Largest width for a curvature, and longest move in units of the square root of the dimension.

    Returns
    -------
    ndarray, shape (n_dim,)
        The move.
    float
        Its length without the limit ``reach``.
    ndarray, shapes (n_dim,) and (n_dim, n_dim)
        Positive eigenvalues of the curvature, and its eigenvectors as columns.
    """
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(values, 1.0 / widening**2)
    move = vectors @ ((vectors.T @ gradient) / values)
    length = float(np.linalg.norm(move))
    return move * min(1.0, reach * math.sqrt(len(move)) / max(length, 1e-300)), length, values, vectors


def triangle(root: Array) -> Array:
    """The lower-triangular square root of ``root @ root.T``, with a positive diagonal."""
    _, upper = np.linalg.qr(root.T)
    return np.asarray(upper.T * np.where(np.diagonal(upper) < 0.0, -1.0, 1.0))


def gaussian_by_regression(z: Array, log_target: Array, weights: Array) -> StudentMixture | None:
    r"""The Gaussian whose log is the paraboloid through the log density of a target at weighted draws.

    Values of a density have no noise. If the target is Gaussian, as many draws as the paraboloid has terms
    give it exactly. The moments of 918 effective draws, in comparison, give an efficiency of 0.78 in 15
    dimensions (gaussian15d, seed 1).

    Parameters
    ----------
    z : ndarray, shape (n, n_dim)
    log_target : ndarray, shape (n,)
        Log density, not normalised.
    weights : ndarray, shape (n,)
        Weights of the draws under the target.

    Returns
    -------
    StudentMixture or None
        One kernel. None if the draws are too few, or if they show no such top.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(20, 1))
    >>> gaussian = gaussian_by_regression(z, -0.5 * ((z[:, 0] - 0.3) / 0.8) ** 2, np.ones(20) / 20)
    >>> gaussian.centres.round(4), (gaussian.factors / math.sqrt(0.98)).round(4)
    (array([[0.3]]), array([[[0.8]]]))
    """
    known = weights > 0.0
    if known.sum() < MIXTURE.regressed_per_term * n_terms(z.shape[1]):
        return None
    affine = AffineMap.standardising(z, weights)
    t = affine.backward(z[known])
    gradient, curvature, _ = paraboloid(t, log_target[known], np.sqrt(weights[known]))
    move, _, values, vectors = newton_step(gradient, curvature, MIXTURE.widest, math.inf)
    if values.min() <= 1.0 / MIXTURE.widest**2 or np.abs(move).max() > MIXTURE.farthest_top:
        return None
    degrees = MIXTURE.em_degrees
    factor = triangle(affine.factor @ (vectors / np.sqrt(values))) * math.sqrt((degrees - 2.0) / degrees)
    return StudentMixture(np.ones(1), affine.forward(move[None]), factor[None], degrees)
