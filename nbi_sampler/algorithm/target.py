"""What the refinement aims at: weighted draws, their weights tempered where too few of them count."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nbi_sampler.algorithm.history import RECENT, History
from nbi_sampler.importance.weights import effective_sample_size, tempering_exponent

__all__ = ["WIDE_EXPONENTS", "Target", "choose_target"]

Array = NDArray[np.float64]

# Log weights so far below the largest cannot matter.
NEGLIGIBLE = 25.0
# Effective draws that a fit needs before it aims at the posterior itself: at least, for each dimension, and
# for each draw of the first scan, which has to carry all modes down.
MINIMUM_ESS = 200.0
ESS_PER_DIMENSION = 20.0
ESS_PER_SCAN = 0.05
# Powers of the weights in the targets of the wider kernels.
WIDE_EXPONENTS = (0.5, 0.1)


class Target(NamedTuple):
    """Draws to fit.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
    held_out : ndarray of bool, shape (n,)
    log_weights : ndarray, shape (n,)
    exponent : float
        The power that the weights are raised to.
    log_norm : float
        Log of the mean of the weights over all draws.
    wider : tuple of Target
        The same with smaller powers.
    """

    z: Array
    held_out: NDArray[np.bool_]
    log_weights: Array
    exponent: float
    log_norm: float
    wider: tuple[Target, ...] = ()


def choose_target(history: History, n_dim: int, located: bool) -> Target:
    """Draws and weights for the next fit, by the largest power that leaves enough of the weights.

    Parameters
    ----------
    history : History
        With at least one finite log-likelihood.
    n_dim : int
    located : bool
        Whether rounds have come before.
    """
    wanted = max(MINIMUM_ESS, ESS_PER_DIMENSION * n_dim)
    if located and effective_sample_size(history.log_weights) < wanted:
        history = history.recent(RECENT)
        finite = np.isfinite(history.log_likelihood)
        steps = np.where(finite, history.log_weights, 0.0)
        base = np.where(finite, 0.0, -np.inf)
    else:
        # The scan comes after the draws of a trained model, where there is one.
        n_scan = max(len(batch) for batch in history.batches[:2])
        wanted = max(wanted, 0.0 if located else ESS_PER_SCAN * n_scan)
        finite = np.isfinite(history.log_likelihood)
        # Of large log-likelihoods the differences are left, whatever constant they have in common.
        steps = np.where(finite, history.log_likelihood - history.log_likelihood.max(), 0.0)
        base = np.where(finite, -history.log_mixture_ratio, -np.inf)
    exponent = tempering_exponent(np.where(finite, steps, -np.inf), wanted, base)
    wider = tuple(_tempered(history, base, steps, power * exponent) for power in WIDE_EXPONENTS)
    return _tempered(history, base, steps, exponent)._replace(wider=wider)


def _tempered(history: History, base: Array, steps: Array, exponent: float) -> Target:
    """Log weights ``base + exponent * steps``, of the draws that are not negligible in them."""
    log_weights = base + exponent * steps
    kept = log_weights > log_weights.max() - NEGLIGIBLE
    log_norm = float(logsumexp(log_weights[kept])) - math.log(len(history))
    return Target(history.z[kept], history.held_out[kept], log_weights[kept], exponent, log_norm)
