"""Priors with discrete values of finite probability: discrete priors, and spikes of slab-and-spike priors.

Such a value occupies an interval of quantiles, in which the likelihood does not depend on the latent
coordinate. The intervals of all parameters make up the discrete state of a draw; a parameter outside of all
intervals is continuous. In a state, the continuous parameters get new coordinates in which the prior is N(0,
I) again. Every state is then an ordinary problem in fewer dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import PRIORS
from nbi_sampler.core.types import Array

__all__ = ["DiscreteParts", "flat_intervals"]

States = NDArray[np.int64]

# Guards against rounding: the smallest quantile with a normal coordinate, more bisections than a double has
# bits, and a distance at which two edges coincide.
SMALLEST_QUANTILE = 1e-300
N_BISECTIONS = 55
ROUNDING = 1e-12


class DiscreteParts:
    """The intervals of quantiles of each parameter in which its prior has a single value.

    Parameters
    ----------
    lower, upper : tuple of ndarray, each of shape (n_parts,)
        One array for each parameter, ascending, without overlap; empty if the parameter is continuous.

    Examples
    --------
    A spike in the middle tenth, and a coin:

    >>> parts = DiscreteParts(
    ...     (np.array([0.45]), np.array([0.0, 0.5])), (np.array([0.55]), np.array([0.5, 1.0]))
    ... )
    >>> parts.states(np.array([[0.0, 1.0], [2.0, -1.0]]))
    array([[1, 2],
           [0, 1]])
    """

    def __init__(self, lower: tuple[Array, ...], upper: tuple[Array, ...]) -> None:
        self.lower = lower
        self.upper = upper
        self._where = [d for d, each in enumerate(lower) if len(each)]
        self._widths = {d: upper[d] - lower[d] for d in self._where}
        # The probability of the continuous state, 0, comes first.
        self._log_probabilities = {}
        for d, widths in self._widths.items():
            outside = 1.0 - float(widths.sum())
            outside = outside if outside > ROUNDING else 0.0
            with np.errstate(divide="ignore"):
                self._log_probabilities[d] = np.log(np.concatenate([[outside], widths]))

    def __bool__(self) -> bool:
        """Return whether any parameter has such an interval."""
        return bool(self._where)

    @property
    def n_dim(self) -> int:
        """Number of parameters, continuous or not."""
        return len(self.lower)

    def states(self, z: Array) -> States:
        """Number of the interval of each parameter of z, from 1; 0 means none; shapes (n, n_dim)."""
        found = np.zeros(z.shape, dtype=np.int64)
        for d in self._where:
            u = ndtr(z[:, d])
            part = np.searchsorted(self.lower[d], u, side="right")
            inside = (part > 0) & (u <= self.upper[d][np.maximum(part, 1) - 1])
            found[:, d] = np.where(inside, part, 0)
        return found

    def log_prior(self, states: States) -> Array:
        """Log prior probability of states of shape (n, n_dim), shape (n,)."""
        total = np.zeros(len(states))
        for d in self._where:
            total += self._log_probabilities[d][states[:, d]]
        return total

    def probabilities(self, d: int) -> Array:
        """Prior probabilities of the states of one parameter; that of being continuous comes first."""
        return np.exp(self._log_probabilities[d]) if d in self._log_probabilities else np.ones(1)

    def continuous(self, state: States) -> NDArray[np.intp]:
        """Indices of the continuous parameters in a state of shape (n_dim,)."""
        return np.flatnonzero(state == 0)

    def reduced(self, z: Array, state: States) -> Array:
        """Coordinates of the continuous parameters of draws in one state, shape (n, n_continuous).

        They are N(0, I) under the prior: each parameter gets its quantile among the remaining ones.

        Parameters
        ----------
        z : ndarray, shape (n, n_dim)
            Draws in this state.
        state : ndarray of int, shape (n_dim,)
        """
        kept = self.continuous(state)
        y = z[:, kept].copy()
        for column, d in enumerate(kept):
            if d in self._widths:
                y[:, column] = self._closed(z[:, d], d)
        return y

    def expanded(self, y: Array, state: States, rng: np.random.Generator) -> Array:
        """Latent coordinates of all parameters, shape (n, n_dim); inside an interval they follow the prior.

        This inverts `reduced` for coordinates of shape (n, n_continuous) in a state of shape (n_dim,).
        """
        z = np.empty((len(y), self.n_dim))
        kept = self.continuous(state)
        z[:, kept] = y
        for column, d in enumerate(kept):
            if d in self._widths:
                z[:, d] = self._opened(y[:, column], d)
        for d in np.flatnonzero(state):
            low, high = self.lower[d][state[d] - 1], self.upper[d][state[d] - 1]
            # Strictly inside, because rounding decides on which side of an edge the prior puts a point.
            share = rng.uniform(1e-9, 1.0 - 1e-9, size=len(y))
            z[:, d] = ndtri(low + share * (high - low))
        return z

    def _closed(self, z: Array, d: int) -> Array:
        """Coordinate after the intervals are removed, for values outside of them."""
        left = 1.0 - self._widths[d].sum()
        below, above = self._mass_beyond(z, d)
        low, high = (ndtr(z) - below) / left, (ndtr(-z) - above) / left
        return _normal_quantile(low, high)

    def _opened(self, y: Array, d: int) -> Array:
        """Inverse of `_closed`."""
        left = 1.0 - self._widths[d].sum()
        low, high = ndtr(y) * left, ndtr(-y) * left
        # Position of each interval after all are removed.
        edges = self.lower[d] - np.concatenate([[0.0], np.cumsum(self._widths[d])[:-1]])
        n_below = np.searchsorted(edges, low, side="right")
        sums = np.concatenate([[0.0], np.cumsum(self._widths[d])])
        low, high = low + sums[n_below], high + sums[-1] - sums[n_below]
        return _normal_quantile(low, high)

    def _mass_beyond(self, z: Array, d: int) -> tuple[Array, Array]:
        """Probability of the intervals below and above each value."""
        sums = np.concatenate([[0.0], np.cumsum(self._widths[d])])
        below = sums[np.searchsorted(self.lower[d], ndtr(z), side="right")]
        return below, sums[-1] - below


def _normal_quantile(low: Array, high: Array) -> Array:
    """Normal coordinate from the probabilities below and above; the smaller one is precise."""
    below, above = (ndtri(np.clip(each, SMALLEST_QUANTILE, 0.5)) for each in (low, high))
    return np.where(low < high, below, -above)


def flat_intervals(rescale: Callable[[Array], Array], known: Sequence[float] = ()) -> tuple[Array, Array]:
    """Intervals of quantiles in which a prior has a single value.

    They are found on a grid of quantiles, for any class of the prior, and bisection finds their edges.

    Parameters
    ----------
    rescale : callable
        Maps quantiles of shape (n,) to values of shape (n,).
    known : sequence of float
        Quantiles inside intervals that may be narrower than the grid.

    Returns
    -------
    lower, upper : ndarray, shape (n_parts,)
        Ascending. Empty for a continuous prior, and if there are more values than ``PriorConfig.most_parts``.
        So many values are a grid for a continuous parameter rather than states.

    Examples
    --------
    >>> flat_intervals(lambda u: np.where(u < 0.25, 0.0, u))
    (array([0.]), array([0.25]))
    """
    grid = (np.arange(PRIORS.n_grid) + 0.5) / PRIORS.n_grid
    middles = np.asarray(known, dtype=float)
    half = PRIORS.narrowest_part
    u = np.unique(np.concatenate([grid, middles - half, middles + half]))
    u = u[(u > 0.0) & (u < 1.0)]
    theta = rescale(u)
    same = np.concatenate([[False], theta[1:] == theta[:-1], [False]])
    first, last = np.flatnonzero(~same[:-1] & same[1:]), np.flatnonzero(same[:-1] & ~same[1:])
    if not 0 < len(first) <= PRIORS.most_parts:
        return np.zeros(0), np.zeros(0)
    padded = np.concatenate([[0.0], u, [1.0]])
    lower = _edges(rescale, theta[first], padded[first], u[first])
    upper = _edges(rescale, theta[last], padded[last + 2], u[last])
    lower, upper = np.where(first == 0, 0.0, lower), np.where(last == len(u) - 1, 1.0, upper)
    touching = np.abs(lower[1:] - upper[:-1]) < ROUNDING
    lower[1:][touching] = upper[:-1][touching]
    return lower, upper


def _edges(rescale: Callable[[Array], Array], values: Array, outside: Array, inside: Array) -> Array:
    """Quantiles at which a prior reaches these values, each between one without and one with the value."""
    for _ in range(N_BISECTIONS):
        middle = 0.5 * (outside + inside)
        within = rescale(middle) == values
        outside, inside = np.where(within, outside, middle), np.where(within, middle, inside)
    return inside
