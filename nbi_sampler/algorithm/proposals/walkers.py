"""Walkers that follow a density of which only values are known, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nbi_sampler.core.config import APPROXIMATION
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import systematic_indices, tempering_exponent
from nbi_sampler.priors.maps import clip_unit

__all__ = ["Walkers"]

LogLikelihood = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Walkers:
    """Points that follow the prior times a power of the likelihood.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Latent coordinates, in which the prior is N(0, I).
    log_likelihood : ndarray, shape (n,)
        -inf where the likelihood is zero.
    periodic : ndarray of bool, shape (n_dim,)
    power : float
    """

    z: Array
    log_likelihood: Array
    periodic: NDArray[np.bool_]
    power: float = 0.0

    def at_next_power(self, last: float, rng: np.random.Generator) -> Walkers:
        """Walkers that were chosen again for the largest power, at most ``last``, that enough survive.

        References
        ----------
        Del Moral, Doucet & Jasra (2006), J. R. Stat. Soc. B 68, 411.
        """
        n, alive = len(self.z), np.isfinite(self.log_likelihood)
        relative = np.where(alive, self.log_likelihood - self.log_likelihood.max(), 0.0)
        span = last - self.power
        few = APPROXIMATION.least_ess * alive.sum()
        step = span * tempering_exponent(span * relative, few, np.where(alive, 0.0, -np.inf))
        log_weights = np.where(alive, step * relative, -np.inf)
        weights = np.exp(log_weights)
        rows = rng.permutation(systematic_indices(weights / weights.sum(), n, rng))
        reached = last if step >= span else self.power + step
        return replace(self, z=self.z[rows], log_likelihood=self.log_likelihood[rows], power=reached)

    def moved(
        self, log_likelihood: LogLikelihood, n_steps: int, rng: np.random.Generator
    ) -> Iterator[Walkers]:
        """The walkers after each of some steps, in which each half moves by differences of the other.

        Parameters
        ----------
        log_likelihood : callable
            Maps z of shape (n, n_dim) to log-likelihoods of shape (n,).

        References
        ----------
        ter Braak (2006), Statistics and Computing 16, 239; ter Braak & Vrugt (2008), Statistics and
        Computing 18, 435; Foreman-Mackey et al. (2013, arXiv:1202.3665), section 3 (halves).
        """
        walkers = self
        for _ in range(n_steps):
            order = rng.permutation(len(walkers.z))
            halves = np.array_split(order, 2)
            for moving, others in (halves, halves[::-1]):
                walkers = walkers._with_half_moved(log_likelihood, moving, others, rng)
            yield walkers

    def _with_half_moved(
        self,
        log_likelihood: LogLikelihood,
        moving: NDArray[np.intp],
        others: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> Walkers:
        refreshed = rng.random(len(moving)) < APPROXIMATION.refreshing_share
        z = np.where(refreshed[:, None], self._refreshed(moving, rng), self._shifted(moving, others, rng))
        value = log_likelihood(z)
        with np.errstate(invalid="ignore"):
            gain = self.power * (value - self.log_likelihood[moving])
        # Refreshed points follow the prior already. In quantiles of periodic parameters it is uniform.
        density = 0.5 * np.sum(np.where(self.periodic, 0.0, self.z[moving] ** 2 - z**2), axis=1)
        gain += np.where(refreshed, 0.0, density)
        taken = np.log(rng.random(len(z))) < gain
        every_z, every_value = self.z.copy(), self.log_likelihood.copy()
        every_z[moving[taken]], every_value[moving[taken]] = z[taken], value[taken]
        return replace(self, z=every_z, log_likelihood=every_value)

    def _refreshed(self, moving: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Points of which a few coordinates are mixed with draws from the prior.

        References
        ----------
        Cotter et al. (2013, arXiv:1202.0709), section 4 (preconditioned Crank-Nicolson).
        """
        n, n_dim = len(moving), self.z.shape[1]
        size = rng.random((n, 1))
        few = rng.random((n, n_dim)) < APPROXIMATION.crossing
        few[np.arange(n), rng.integers(n_dim, size=n)] = True
        mixed = np.sqrt(1.0 - size**2) * self.z[moving] + size * rng.normal(size=(n, n_dim))
        return np.where(few, mixed, self.z[moving])

    def _shifted(self, moving: NDArray[np.intp], others: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Points moved by a multiple of a difference of two others, in some or all coordinates."""
        settings, (n, n_dim) = APPROXIMATION, (len(moving), self.z.shape[1])
        first, second = others[rng.integers(len(others), size=(2, n))]
        # Periodic parameters move around the circle of their quantiles.
        y = np.where(self.periodic, ndtr(self.z), self.z)
        difference = y[first] - y[second]
        difference -= np.where(self.periodic, np.round(difference), 0.0)
        part = np.where(rng.random(n) < settings.crossing_share, settings.crossing, 1.0)
        crossed = rng.random((n, n_dim)) < part[:, None]
        crossed[np.arange(n), rng.integers(n_dim, size=n)] = True
        size = settings.scale * 2.38 / np.sqrt(2.0 * crossed.sum(axis=1))
        size *= np.exp(settings.scale_spread * rng.normal(size=n))
        size = np.where(rng.random(n) < settings.jump_share, 1.0, size)
        step = size[:, None] * difference + settings.jitter * rng.normal(size=(n, n_dim))
        proposed = y[moving] + np.where(crossed, step, 0.0)
        turned = ndtri(clip_unit(np.where(self.periodic, proposed, 0.5) % 1.0))
        return np.where(self.periodic, turned, proposed)
