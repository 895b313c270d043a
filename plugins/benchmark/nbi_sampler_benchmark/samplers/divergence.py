"""Distance between two samples of one posterior: the Jensen-Shannon divergence of each parameter.

Pure functions of weighted draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nbi_sampler.importance.weights import weighted_quantiles
from nbi_sampler_benchmark.runs.records import RunRecord, weighted_size

__all__ = ["Pair", "jensen_shannon", "pair_of"]

Array = NDArray[np.float64]

N_BINS = 400
# Range of the grid; draws beyond count in its first and last bin.
TAIL = 5e-4


def jensen_shannon(first: Array, first_weights: Array, second: Array, second_weights: Array) -> float:
    r"""Divergence of two weighted samples of one quantity, in nats.

    .. math:: \mathrm{JSD}(p, q) = \tfrac12 [\mathrm{KL}(p \| m) + \mathrm{KL}(q \| m)], \quad m = (p + q) / 2

    of densities on one grid that are smoothed by the same kernel. The kernel is Gaussian, with Scott's width
    for the smaller of the two effective sizes. It is reflected at the ends of the range, so that an edge
    stays sharp.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Finite values; n may differ.
    first_weights, second_weights : ndarray, shape (n,)
        Non-negative weights with a positive sum.

    Returns
    -------
    float
        Between 0 and log 2.

    References
    ----------
    Lin (1991), IEEE Trans. Inf. Theory 37, 145; used so by Romero-Shaw et al. (2020), arXiv:2006.00714.

    Examples
    --------
    >>> x = np.linspace(0, 1, 1000)
    >>> jensen_shannon(x, np.ones(1000), x, np.ones(1000))
    0.0
    """
    pooled = np.concatenate([first, second])
    weights = np.concatenate([first_weights / first_weights.sum(), second_weights / second_weights.sum()]) / 2
    low, high = weighted_quantiles(pooled[:, None], weights, (TAIL, 1 - TAIL))[0]
    if not high > low:
        return 0.0
    mean = weights @ pooled
    scale = np.sqrt(weights @ np.square(pooled - mean))
    smaller = min(weighted_size(first_weights), weighted_size(second_weights))
    width = min(scale * smaller**-0.2, high - low) * N_BINS / (high - low)
    p = _density(first, first_weights, low, high, width)
    q = _density(second, second_weights, low, high, width)
    return float(0.5 * (_relative_entropy(p, (p + q) / 2) + _relative_entropy(q, (p + q) / 2)))


@dataclass(frozen=True)
class Pair:
    """Posteriors of two samplers, with their divergence in each common parameter.

    Parameters
    ----------
    first, second : str
        Samplers.
    divergences : dict of str to float
        Divergences in nats, by parameter.
    expected : float
        Divergence in nats below which they cannot be distinguished: 10 / ESS.

    References
    ----------
    Ashton & Talbot (2021), arXiv:2106.08730, for the threshold.
    """

    first: str
    second: str
    divergences: dict[str, float]
    expected: float

    @property
    def largest(self) -> tuple[str, float]:
        """Parameter with the largest divergence, and its value."""
        return max(self.divergences.items(), key=lambda item: item[1])


def pair_of(first: RunRecord, second: RunRecord) -> Pair:
    """Compare the posteriors of two runs."""
    found = {
        name: jensen_shannon(
            first.theta[:, first.names.index(name)],
            first.weights,
            second.theta[:, second.names.index(name)],
            second.weights,
        )
        for name in first.names
        if name in second.names
    }
    smaller = max(min(first.ess, second.ess), 1.0)
    return Pair(first.sampler, second.sampler, found, expected=10.0 / smaller)


def _density(values: Array, weights: Array, low: float, high: float, width: float) -> Array:
    counts, _ = np.histogram(np.clip(values, low, high), bins=N_BINS, range=(low, high), weights=weights)
    smooth = gaussian_filter1d(counts, width, mode="reflect")
    return smooth / smooth.sum()


def _relative_entropy(p: Array, q: Array) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))
