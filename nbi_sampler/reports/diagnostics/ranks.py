r"""Ranks of the truth among posterior draws: calibration, coverage of highest-density regions, and TARP.

Draws :math:`\theta_1 \dots \theta_L \sim q` with weights :math:`w_j = p/q` and the truth
:math:`\theta_0 \sim p` are exchangeable up to their weights. For any scalar statistic t,

.. math:: u = \frac{\sum_{j \geq 1} w_j [t_j < t_0] + U w_0}{\sum_{j \geq 0} w_j}, \qquad U \sim U(0, 1),

is therefore uniform on (0, 1), exactly and for any number of draws and any q. `calibration_ranks` uses each
parameter as t. Coverage tests whether regions of 90 % hold the truth for 90 % of the targets. Its t is the
density (`highest_density_ranks`) or, without densities, the distance from random reference points
(`tarp_ranks`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nbi_sampler.core.types import Array

__all__ = [
    "Coverage",
    "calibration_ranks",
    "coverage",
    "exceedance",
    "fractional_ranks",
    "highest_density_ranks",
    "tarp_ranks",
    "uniformity",
]


def exceedance(scores: ArrayLike, reference: Array) -> Array:
    """Probabilities that a value of the same distribution as a reference is as large as scores, shape (n,).

    Parameters
    ----------
    scores : array_like, shape (n,)
    reference : ndarray, shape (m,)
        In ascending order.
    """
    n_beyond = len(reference) - np.searchsorted(reference, scores, side="left")
    return np.asarray((1.0 + n_beyond) / (len(reference) + 1.0))


def fractional_ranks(
    statistic: ArrayLike,
    statistic_truth: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Array:
    """Rank of the truth among the draws of its target, as a fraction; uniform if the posterior is right.

    Parameters
    ----------
    statistic : array_like, shape (n_targets, n_samples)
        Statistic of the draws. Equal values are ordered at random.
    statistic_truth : array_like, shape (n_targets,)
    weights : array_like, shape (n_targets, n_samples), optional
        Importance weights with any normalisation; equal by default.
    truth_weights : array_like, shape (n_targets,), optional
        Weight of the truth with the normalisation of ``weights``. It makes the ranks exact for any weights.
        The default is the expected weight of the truth, ``sum(w^2) / sum(w)``.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_targets,)
        Values in (0, 1).

    Raises
    ------
    ValueError
        For shapes that do not match, or weights that are negative, not finite or all zero.
    """
    draws, truth = np.asarray(statistic, dtype=float), np.asarray(statistic_truth, dtype=float)
    if draws.ndim != 2 or truth.shape != draws.shape[:1]:
        raise ValueError(
            "statistic, statistic_truth: expected shapes (n_targets, n_samples) and (n_targets,), "
            f"got {draws.shape} and {truth.shape}"
        )
    w = _checked_weights(weights, draws.shape)
    # Relative to the largest, so that squares neither overflow nor underflow.
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
        Each is uniform if the posteriors are right: compare the smallest of n with a level / n.
    """
    ranks = np.asarray(ranks, dtype=float)
    return np.asarray(stats.kstest(ranks, "uniform", axis=0).pvalue)


def calibration_ranks(
    samples: ArrayLike,
    truths: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Array:
    """Rank of every true parameter among its posterior draws; `uniformity` tests the ranks.

    The ranks are uniform if the posteriors are right. They cluster at both ends if posteriors are too narrow,
    in the middle if they are too wide, and at one end if they are biased; near 1 the true value is mostly
    above the draws. They do not reveal wrong correlations, which `tarp_ranks` does, nor a posterior that
    equals the prior.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
    truths : array_like, shape (n_targets, n_dim)
        True parameters, drawn from the prior; the targets were simulated from them.
    weights, truth_weights, rng
        See `fractional_ranks`.

    Returns
    -------
    ndarray, shape (n_targets, n_dim)
        Values in (0, 1).

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari & Gelman (2018, arXiv:1804.06788), theorem 1 and algorithm 1. Here the
    ranks are weighted, and a uniform variate makes them continuous.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ranks = calibration_ranks(rng.normal(size=(200, 99, 2)), rng.normal(size=(200, 2)), rng=rng)
    >>> ranks.shape, bool(abs(ranks.mean() - 0.5) < 0.06)
    ((200, 2), True)
    """
    draws, true = _checked_draws(samples, truths)
    columns = [
        fractional_ranks(draws[:, :, d], true[:, d], weights, truth_weights, rng=rng)
        for d in range(true.shape[1])
    ]
    return np.stack(columns, 1)


def highest_density_ranks(
    log_density: ArrayLike,
    log_density_truth: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Array:
    r"""Level of the smallest highest-density region that holds the truth, shape (n_targets,).

    .. math:: u = P_q\left( q(\theta | x) > q(\theta_0 | x) \right)

    Parameters
    ----------
    log_density : array_like, shape (n_targets, n_samples)
        Log density of the tested posterior at its draws, up to a constant for each target.
    log_density_truth : array_like, shape (n_targets,)
        The same at the truth, with the same constant.
    weights, truth_weights, rng
        See `fractional_ranks`.

    References
    ----------
    Hermans et al. (2022, arXiv:2110.06581), section 2 and algorithm 1 (appendix).
    """
    statistic = -np.asarray(log_density, dtype=float), -np.asarray(log_density_truth, dtype=float)
    return fractional_ranks(*statistic, weights, truth_weights, rng=rng)


def tarp_ranks(
    samples: ArrayLike,
    truths: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    references: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Array:
    """Posterior mass of the ball around a random point whose surface contains the truth, shape (n_targets,).

    It reveals errors of the joint posterior, including correlations. Posteriors are right if and only if the
    coverage is right for every distribution of reference points. If the points surround the posterior, a bias
    that is smaller than its width cancels; the calibration ranks reveal such a bias.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
    truths : array_like, shape (n_targets, n_dim)
        Parameters on comparable scales, such as z or quantiles of the prior, because distances are in units
        of the range of the truths.
    weights, truth_weights, rng
        See `fractional_ranks`.
    references : array_like, shape (n_targets, n_dim), optional
        Reference points, chosen without knowledge of the truth. They may depend on the data, and must do so
        to reveal that a posterior equals the prior. The default is uniform in the box of all truths.

    References
    ----------
    Lemos, Coogan, Hezaveh & Perreault-Levasseur (2023, arXiv:2302.03026), theorem 3 and algorithm 2.
    """
    draws, true = _checked_draws(samples, truths)
    low, high = true.min(0), true.max(0)
    unit = np.where(high > low, high - low, 1.0)
    points = rng.uniform(low, high, true.shape) if references is None else np.asarray(references, dtype=float)
    if points.shape != true.shape:
        raise ValueError(f"references: expected shape {true.shape}, got {points.shape}")
    distance = np.linalg.norm((draws - points[:, None]) / unit, axis=2)
    return fractional_ranks(
        distance, np.linalg.norm((true - points) / unit, axis=1), weights, truth_weights, rng=rng
    )


class Coverage(NamedTuple):
    """Share of targets whose region of a given level contains the truth.

    Attributes
    ----------
    levels : ndarray, shape (n_levels,)
        Nominal levels.
    shares : ndarray, shape (n_levels,)
        Measured shares; they are below the levels if posteriors are overconfident.
    errors : ndarray, shape (n_levels,)
        Standard errors of the shares if the levels are right.
    """

    levels: Array
    shares: Array
    errors: Array


def coverage(ranks: ArrayLike, levels: ArrayLike | None = None) -> Coverage:
    r"""Expected coverage from ranks.

    .. math:: \mathrm{ECP}(1 - \alpha) = \frac1n \sum_i [u_i \leq 1 - \alpha]

    Parameters
    ----------
    ranks : array_like, shape (n_targets,)
        Ranks from `highest_density_ranks` or `tarp_ranks`. For central intervals of one parameter, use
        ``abs(2 u - 1)`` of its calibration rank u.
    levels : array_like, shape (n_levels,), optional
        The default is 1 % to 99 %.

    References
    ----------
    Hermans et al. (2022, arXiv:2110.06581), equation 1.

    Examples
    --------
    >>> coverage([0.05, 0.4, 0.6, 0.95], 0.5)
    Coverage(levels=array([0.5]), shares=array([0.5]), errors=array([0.25]))
    """
    u = np.sort(np.asarray(ranks, dtype=float))
    nominal = (
        np.linspace(0.01, 0.99, 99) if levels is None else np.atleast_1d(np.asarray(levels, dtype=float))
    )
    shares = np.searchsorted(u, nominal, side="right") / len(u)
    return Coverage(nominal, shares, np.sqrt(nominal * (1.0 - nominal) / len(u)))


def _checked_draws(samples: ArrayLike, truths: ArrayLike) -> tuple[Array, Array]:
    """Check draws, shape (n_targets, n_samples, n_dim), and truths, shape (n_targets, n_dim)."""
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
            "weights: expected finite and non-negative ones, not all zero; got other weights for targets "
            f"{np.flatnonzero(bad)[:5].tolist()}; leave out targets without a finite weight"
        )
    return w
