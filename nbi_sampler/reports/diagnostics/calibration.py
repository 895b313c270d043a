"""Simulation-based calibration: whether marginal posteriors are right, on average over the prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.reports.diagnostics.ranks import checked_draws, fractional_ranks

__all__ = ["calibration_ranks"]


def calibration_ranks(
    samples: ArrayLike,
    truths: ArrayLike,
    weights: ArrayLike | None = None,
    truth_weights: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Rank of every true parameter among its posterior draws; test them with `uniformity`.

    Uniform where the posteriors are right. Heaped at both ends: posteriors too narrow; in the middle: too
    wide; at one end: biased, the true value mostly above the draws where ranks are near 1. Blind to wrong
    correlations and to a posterior that is the prior; see `coverage.tarp_ranks` for the first.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
    truths : array_like, shape (n_targets, n_dim)
        Drawn from the prior; the targets were simulated from them.
    weights, truth_weights : array_like, shapes (n_targets, n_samples) and (n_targets,), optional
        See `ranks.fractional_ranks`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_targets, n_dim)
        In (0, 1).

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari & Gelman (2018, arXiv:1804.06788), theorem 1 and algorithm 1; the
    ranks here are made continuous by a uniform variate, and weighted.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ranks = calibration_ranks(rng.normal(size=(200, 99, 2)), rng.normal(size=(200, 2)), rng=rng)
    >>> ranks.shape, bool(abs(ranks.mean() - 0.5) < 0.06)
    ((200, 2), True)
    """
    draws, true = checked_draws(samples, truths)
    columns = [
        fractional_ranks(draws[:, :, d], true[:, d], weights, truth_weights, rng=rng)
        for d in range(true.shape[1])
    ]
    return np.stack(columns, 1)
