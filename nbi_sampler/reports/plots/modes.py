"""Modes of a marginal posterior, because a median between two modes is a value without support."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import weighted_quantiles

__all__ = ["Mode", "modes_of"]

N_BINS = 1024
# Ends of the histogram, as probabilities; the rest has little weight and may be far away.
ENDS = (0.0005, 0.9995)
# Width of the kernel in units of Silverman's (1986, eq. 3.31), which is too wide for several modes.
BANDWIDTH = 0.5
FEWEST_BINS = 1.5
# Each mode has at least this share of the highest density, and falls to half before a higher one.
LEAST_HEIGHT = 0.05
LEAST_FALL = 0.5


class Mode(NamedTuple):
    """A mode.

    Attributes
    ----------
    place : float
        Share of the largest density.
    share : float
        Share of the posterior, between the valleys on both sides.
    """

    place: float
    share: float


def modes_of(values: Array, weights: Array) -> tuple[Mode, ...]:
    """Find the modes of weighted draws of one parameter, in ascending order.

    Parameters
    ----------
    values, weights : ndarray, shape (n,)
        Weights that sum to one.
    """
    if not len(values):
        return ()
    low, high, lower, upper = weighted_quantiles(values[:, None], weights, (*ENDS, 0.25, 0.75))[0]
    if not low < high:
        return (Mode(float(low), 1.0),)
    effective = 1.0 / float(np.square(weights).sum())
    mean = float(weights @ values)
    spread = min(np.sqrt(weights @ (values - mean) ** 2), (upper - lower) / 1.34 or np.inf)
    margin = 0.1 * (high - low)
    counts, edges = np.histogram(values, N_BINS, (low - margin, high + margin), weights=weights)
    bins = BANDWIDTH * 0.9 * spread * effective**-0.2 / (edges[1] - edges[0])
    density = gaussian_filter1d(counts, max(bins, FEWEST_BINS), mode="constant")
    peaks, found = find_peaks(density, height=LEAST_HEIGHT * density.max(), prominence=0.0)
    peaks = peaks[found["prominences"] >= LEAST_FALL * density[peaks]]
    if len(peaks) < 2:
        return (Mode(float(edges[int(density.argmax())] + 0.5 * (edges[1] - edges[0])), 1.0),)
    valleys = [edges[a + int(np.argmin(density[a:b]))] for a, b in pairwise(peaks)]
    return tuple(mode for part in _parts(values, weights, valleys) for mode in part)


def _parts(values: Array, weights: Array, valleys: list[float]) -> Iterator[tuple[Mode, ...]]:
    """Modes of the draws between valleys, each with a kernel for these draws only."""
    number = np.searchsorted(valleys, values)
    for i in range(len(valleys) + 1):
        share = float(weights[number == i].sum())
        if share > 0.0:
            inner = modes_of(values[number == i], weights[number == i] / share)
            yield tuple(Mode(mode.place, mode.share * share) for mode in inner)
