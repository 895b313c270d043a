"""Coverage of credible regions: whether regions of 90 % hold the truth in 90 % of the targets.

Two kinds of region over all parameters at once: of highest density, and balls around random reference points
(TARP), which need no density. Both give the level of the region whose edge goes through the truth, a rank
that is uniform where the posteriors are right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.reports.diagnostics.ranks import checked_draws, fractional_ranks

__all__ = ["Coverage", "coverage", "highest_density_ranks", "tarp_ranks"]

Array = NDArray[np.float64]


class Coverage(NamedTuple):
    """Share of targets whose region of a given level holds the truth.

    Attributes
    ----------
    levels : ndarray, shape (n_levels,)
        Nominal.
    shares : ndarray, shape (n_levels,)
        Measured; below the levels where posteriors are overconfident.
    errors : ndarray, shape (n_levels,)
        Standard error of a share if the levels are true.
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
        Of `highest_density_ranks` or `tarp_ranks`. For central intervals of one parameter, ``abs(2 u - 1)``
        of its calibration rank u.
    levels : array_like, shape (n_levels,), optional
        1 % to 99 % without.

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


def highest_density_ranks(
    log_density: ArrayLike,
    log_density_truth: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> Array:
    r"""Level of the smallest highest-density region that holds the truth.

    .. math:: u = P_q\left( q(\theta | x) > q(\theta_0 | x) \right)

    Parameters
    ----------
    log_density : array_like, shape (n_targets, n_samples)
        Of the posterior that is tested, at its draws, up to a constant of each target.
    log_density_truth : array_like, shape (n_targets,)
        At the truth, with the same constant.
    weights, truth_weights : array_like, shapes (n_targets, n_samples) and (n_targets,), optional
        See `ranks.fractional_ranks`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_targets,)

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
    """Posterior mass of the ball around a random point whose surface goes through the truth.

    Sees errors of the joint posterior, correlations among them. Posteriors are right if and only if the
    coverage is right for every distribution of reference points; with points all around, a bias that is small
    beside the width of a posterior cancels, and is left to the calibration ranks.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
    truths : array_like, shape (n_targets, n_dim)
        Parameters of similar standing, such as z or quantiles of the prior: distances are in units of the
        range of the truths.
    weights, truth_weights : array_like, shapes (n_targets, n_samples) and (n_targets,), optional
        See `ranks.fractional_ranks`.
    references : array_like, shape (n_targets, n_dim), optional
        Chosen without knowledge of the truth, but possibly of the data, as must be done to find out whether a
        posterior is but the prior. Uniform in the box of all truths without.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_targets,)

    References
    ----------
    Lemos, Coogan, Hezaveh & Perreault-Levasseur (2023, arXiv:2302.03026), theorem 3 and algorithm 2.
    """
    draws, true = checked_draws(samples, truths)
    low, high = true.min(0), true.max(0)
    unit = np.where(high > low, high - low, 1.0)
    points = rng.uniform(low, high, true.shape) if references is None else np.asarray(references, dtype=float)
    if points.shape != true.shape:
        raise ValueError(f"references: expected shape {true.shape}, got {points.shape}")
    distance = np.linalg.norm((draws - points[:, None]) / unit, axis=2)
    return fractional_ranks(
        distance, np.linalg.norm((true - points) / unit, axis=1), weights, truth_weights, rng=rng
    )
