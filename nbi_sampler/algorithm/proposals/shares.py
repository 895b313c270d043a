"""Shares of a mixture, fitted to weighted draws on which none of its members was fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.core.config import MIXTURE

__all__ = ["shares_by_efficiency", "shares_by_likelihood"]

Array = NDArray[np.float64]


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
        Fixed shares; zero for the members that divide the rest between them.
    smooth : ndarray of bool, shape (n_members,), optional
        Members that together get ``least_smooth`` of what is divided, whatever the likelihood says: a few
        draws cannot tell how thin the others are where they have seen none.
    """
    shares, free = fixed.copy(), fixed == 0.0
    if not free.any():
        return shares / shares.sum()
    divided = _by_em(log_ratios[free], weights)
    chosen = np.zeros(len(divided), dtype=bool) if smooth is None else smooth[free]
    had = divided[chosen].sum()
    if chosen.any() and had < least_smooth:
        divided *= (1.0 - least_smooth) / (1.0 - had)
        divided[chosen] = least_smooth * _by_em(log_ratios[free][chosen], weights)
    shares[free] = (1.0 - fixed.sum()) * divided
    return shares


def shares_by_efficiency(log_ratios: Array, weights: Array, log_target: Array, fixed: Array) -> Array:
    r"""Shares of the largest efficiency that draws of known density expect, shape (n_members,), summing to 1.

    .. math:: \min_s \sum_i W_i\, \frac{p(z_i)}{\sum_k s_k q_k(z_i)}

    which is the variance of the importance weights. The sum is convex in the shares; each step multiplies
    them by the root of their gain. As a few draws cannot tell how thin a member is where they have seen none,
    a part of the shares is `shares_by_likelihood`.

    Parameters
    ----------
    log_ratios : ndarray, shape (n_members, n)
        Log densities of the members at the draws, relative to the prior.
    weights : ndarray, shape (n,)
        Summing to 1.
    log_target : ndarray, shape (n,)
        Log density of the target relative to the prior, not normalised.
    fixed : ndarray, shape (n_members,)
        Fixed shares; zero for the members that divide the rest between them.

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
        settled = np.abs(new - shares).max() < MIXTURE.share_tolerance
        shares = new
        if settled:
            break
    return MIXTURE.efficiency_part * shares + (1.0 - MIXTURE.efficiency_part) * by_likelihood


def _by_em(log_ratios: Array, weights: Array) -> Array:
    """Expectation maximisation for the shares alone, from equal ones, shape (n_members,)."""
    n_members = len(log_ratios)
    shares = np.full(n_members, 1.0 / n_members)
    for _ in range(MIXTURE.share_steps):
        log_joint = log_ratios + np.log(shares)[:, None]
        responsibility = np.exp(log_joint - logsumexp(log_joint, axis=0))
        shares = np.nan_to_num(responsibility) @ weights + 1e-6 / n_members
        shares /= shares.sum()
    return shares
