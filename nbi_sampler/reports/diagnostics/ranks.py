r"""Rank of the truth among posterior draws: the one statistic below calibration, coverage and TARP.

Draws :math:`\theta_1 \dots \theta_L \sim q` with weights :math:`w_j = p/q` and the truth
:math:`\theta_0 \sim p` are exchangeable up to their weights. So, for any scalar statistic t,

.. math:: u = \frac{\sum_{j \geq 1} w_j [t_j < t_0] + U w_0}{\sum_{j \geq 0} w_j}, \qquad U \sim U(0, 1),

is uniform on (0, 1) exactly, for any number of draws and any q.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["checked_draws", "fractional_ranks", "uniformity"]

Array = NDArray[np.float64]


def fractional_ranks(
    statistic: ArrayLike,
    statistic_truth: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Array:
    """Rank of the truth among the draws of its target, as a fraction; uniform where the posterior is right.

    Parameters
    ----------
    statistic : array_like, shape (n_targets, n_samples)
        Of the draws. Equal values share their mass at random.
    statistic_truth : array_like, shape (n_targets,)
    weights : array_like, shape (n_targets, n_samples), optional
        Importance weights, of any norm; equal without.
    truth_weights : array_like, shape (n_targets,), optional
        Weight of the truth in the norm of ``weights``, which makes the ranks exact however uneven the weights
        are. Without it, the weight that the truth is expected to have, ``sum(w^2) / sum(w)``.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_targets,)
        In (0, 1).

    Raises
    ------
    ValueError
        For shapes that do not belong together, or weights that are negative, not finite or all zero.
    """
    draws, truth = np.asarray(statistic, dtype=float), np.asarray(statistic_truth, dtype=float)
    if draws.ndim != 2 or truth.shape != draws.shape[:1]:
        raise ValueError(
            "statistic, statistic_truth: expected shapes (n_targets, n_samples) and (n_targets,), "
            f"got {draws.shape} and {truth.shape}"
        )
    w = _checked_weights(weights, draws.shape)
    # Relative to the largest, so that squares neither overflow nor vanish.
    largest = w.max(1)
    w = w / largest[:, None]
    own = (w**2).sum(1) / w.sum(1)
    if truth_weights is not None:
        given = np.asarray(truth_weights, dtype=float)
        if given.shape != truth.shape:
            raise ValueError(f"truth_weights: expected shape {truth.shape}, got {given.shape}")
        own = given / largest
    below = (w * (draws < truth[:, None])).sum(1)
    equal = (w * (draws == truth[:, None])).sum(1) + own
    return (below + rng.random(len(truth)) * equal) / (w.sum(1) + own)


def uniformity(ranks: ArrayLike) -> Array:
    """P-values of the Kolmogorov-Smirnov test that ranks are uniform on (0, 1).

    Parameters
    ----------
    ranks : array_like, shape (n_targets,) or (n_targets, n_dim)

    Returns
    -------
    ndarray, shape () or (n_dim,)
        Each uniform itself where the posteriors are right: compare the smallest of n with a level / n.
    """
    ranks = np.asarray(ranks, dtype=float)
    return np.asarray(stats.kstest(ranks, "uniform", axis=0).pvalue)


def checked_draws(samples: ArrayLike, truths: ArrayLike) -> tuple[Array, Array]:
    """Draws, shape (n_targets, n_samples, n_dim), and truths, shape (n_targets, n_dim), if they are that."""
    draws, true = np.asarray(samples, dtype=float), np.asarray(truths, dtype=float)
    if draws.ndim != 3 or true.shape != (draws.shape[0], draws.shape[2]):
        raise ValueError(
            "samples, truths: expected shapes (n_targets, n_samples, n_dim) and (n_targets, n_dim), "
            f"got {draws.shape} and {true.shape}"
        )
    return draws, true


def _checked_weights(weights: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    if weights is None:
        return np.ones(shape)
    w = np.asarray(weights, dtype=float)
    if w.shape != shape:
        raise ValueError(f"weights: expected shape {shape}, got {w.shape}")
    bad = ~np.isfinite(w).all(1) | (w < 0).any(1) | (w.sum(1) <= 0)
    if bad.any():
        raise ValueError(
            "weights: expected finite and non-negative ones, not all zero; got others for targets "
            f"{np.flatnonzero(bad)[:5].tolist()}; leave targets without a finite weight out"
        )
    return w
