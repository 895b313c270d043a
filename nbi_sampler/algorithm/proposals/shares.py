"""Shares of a mixture, fitted to weighted draws from which none of its members has learnt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.core.config import MIXTURE
from nbi_sampler.core.types import Array

__all__ = ["shares_by_efficiency", "shares_by_likelihood"]


def shares_by_likelihood(
    log_ratios: Array,
    weights: Array,
    fixed: Array,
    smooth: NDArray[np.bool_] | None = None,
    least_smooth: float = 0.0,
) -> Array:
    """Shares that maximise the weighted likelihood of the draws, shape (n_members,), summing to 1.

    Parameters
    ----------
    log_ratios : ndarray, shape (n_members, n)
        Log densities of the members at the draws.
    weights : ndarray, shape (n,)
        Summing to 1.
    fixed : ndarray, shape (n_members,)
        Fixed shares. Members with zero divide the rest between them.
    smooth : ndarray of bool, shape (n_members,), optional
        Members that together get at least the fraction ``least_smooth`` of what is divided. A few draws
        cannot tell how thin the others are where no draw is.
    """
    shares, free = fixed.copy(), fixed == 0.0
    if not free.any():
        return shares / shares.sum()
    log_ratios, n_free = log_ratios[free], int(free.sum())
    divided = np.full(n_free, 1.0 / n_free)
    # Expectation maximisation for the shares alone.
    for _ in range(MIXTURE.share_steps):
        log_joint = log_ratios + np.log(divided)[:, None]
        responsibility = np.exp(log_joint - logsumexp(log_joint, axis=0))
        divided = np.nan_to_num(responsibility) @ weights + 1e-6 / n_free
        divided /= divided.sum()
    chosen = np.zeros(n_free, dtype=bool) if smooth is None else smooth[free]
    had = divided[chosen].sum()
    if chosen.any() and had < least_smooth:
        divided *= (1.0 - least_smooth) / (1.0 - had)
        among = shares_by_likelihood(log_ratios[chosen], weights, np.zeros(int(chosen.sum())))
        divided[chosen] = least_smooth * among
    shares[free] = (1.0 - fixed.sum()) * divided
    return shares


def shares_by_efficiency(log_ratios: Array, weights: Array, log_target: Array, fixed: Array) -> Array:
    r"""Shares of the largest efficiency that draws of known density predict, shape (n_members,).

    They sum to 1.

    .. math:: \min_s \sum_i W_i\, \frac{p(z_i)}{\sum_k s_k q_k(z_i)}

    The sum is the variance of the importance weights, but for a constant. It is convex in the shares, and
    each step multiplies them by the square root of their gain. A few draws cannot tell how thin a member is
    where no draw is, so a part of the shares comes from `shares_by_likelihood`.

    Parameters
    ----------
    log_ratios : ndarray, shape (n_members, n)
        Log densities of the members at the draws, relative to the prior.
    weights : ndarray, shape (n,)
        Summing to 1.
    log_target : ndarray, shape (n,)
        Log density of the target relative to the prior, not normalised.
    fixed : ndarray, shape (n_members,)
        Fixed shares. Members with zero divide the rest between them.

    References
    ----------
    Douc, Guillin, Marin & Robert (2007), ESAIM 11, 427: shares of a mixture adapted to the variance.
    """
    by_likelihood = shares_by_likelihood(log_ratios, weights, fixed)
    free, rest = fixed == 0.0, 1.0 - fixed.sum()
    if not free.any():
        return by_likelihood
    # Relative to the best member, so that nothing overflows; a constant changes no share.
    highest = log_ratios.max(axis=0)
    density = np.exp(log_ratios - highest)
    log_gain = np.log(np.maximum(weights, 1e-300)) + log_target - highest
    shares = np.where(free, rest / free.sum(), fixed)
    for _ in range(MIXTURE.share_steps):
        gains = log_gain - 2.0 * np.log(shares @ density)
        new = shares * np.sqrt(density @ np.exp(gains - gains.max()))
        new = np.where(free, rest * new / new[free].sum(), fixed)
        converged = np.abs(new - shares).max() < MIXTURE.share_tolerance
        shares = new
        if converged:
            break
    return MIXTURE.efficiency_part * shares + (1.0 - MIXTURE.efficiency_part) * by_likelihood
