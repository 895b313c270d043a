"""Weighted draws: a container that is passed whole to every fit of a density, and kernels on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr

from nbi_sampler.algorithm.proposals.affine import spread_of
from nbi_sampler.algorithm.proposals.kernels import Chart, LatentKernels, UnitCubeKernels
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture
from nbi_sampler.core.config import MIXTURE, KernelConfig
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import effective_sample_size, normalised_weights
from nbi_sampler.priors.discrete import DiscreteParts, States

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["WeightedDraws"]


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws and the weights with which they represent a distribution.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Uncut latent coordinates, or those of a chart.
    log_weights : ndarray, shape (n,)
        Not normalised.
    """

    z: Array
    log_weights: Array

    @cached_property
    def weights(self) -> Array:
        """Weights that sum to one, shape (n,)."""
        return normalised_weights(self.log_weights)

    @cached_property
    def ess(self) -> float:
        """Effective sample size."""
        return effective_sample_size(self.log_weights)

    def at(self, rows: NDArray[np.bool_]) -> Self:
        """The draws that a mask of shape (n,) selects."""
        return replace(self, z=self.z[rows], log_weights=self.log_weights[rows])

    def in_state(self, parts: DiscreteParts, state: States) -> Self:
        """The draws in a discrete state, in the coordinates of this state."""
        some = self.at((parts.states(self.z) == state).all(axis=1))
        return replace(some, z=parts.reduced(some.z, state))

    def of_columns(self, columns: NDArray[np.int64]) -> Self:
        """The draws in some of their coordinates."""
        return replace(self, z=self.z[:, columns])

    def without_repeats(self, n: int, rng: np.random.Generator) -> Array:
        """Weighted sample of at most n different draws (Gumbel top-k), shape (at most n, n_dim)."""
        keys = self.log_weights + rng.gumbel(size=len(self.log_weights))
        n = min(n, int(np.isfinite(keys).sum()))
        return self.z[np.argsort(-keys)[:n]]

    def thinnest_cut(self, periodic: NDArray[np.bool_]) -> Array:
        """Quantile of each periodic parameter at which the draws are thinnest, shape (n_dim,).

        It is the middle of the longest run of empty bins, and zero for the other parameters. `periodic` has
        shape (n_dim,), and z are uncut here.
        """
        cut, n_bins = np.zeros(len(periodic)), MIXTURE.cut_bins
        for d in np.flatnonzero(periodic):
            mass, _ = np.histogram(ndtr(self.z[:, d]), n_bins, (0.0, 1.0), weights=self.weights)
            smooth = mass + 0.5 * (np.roll(mass, 1) + np.roll(mass, -1))
            empty = smooth <= smooth.min() + MIXTURE.cut_slack / n_bins
            cut[d] = (_middle_of_longest_run(empty) + 0.5) / n_bins % 1.0
        return cut

    def kernels(
        self, chart: Chart, cut: Array, rng: np.random.Generator, settings: KernelConfig
    ) -> tuple[LatentKernels | UnitCubeKernels | None, float]:
        """Kernels on draws in uncut coordinates, each with the spread of its neighbours.

        They follow curved ridges, and bound the importance weights where all other densities are too thin.
        The centres are a weighted sample without repeats. With ``settings.least_excess`` they are the draws
        of largest weight among those whose weight stands out, because all proposals so far are too thin
        there.

        Parameters
        ----------
        chart : Chart
            The coordinates of the kernels.
        cut : ndarray, shape (n_dim,)
            See `periodic`.

        Returns
        -------
        LatentKernels, UnitCubeKernels or None
            None if no weight stands out, or if most of the kernels lie outside the chart.
        float
            Mass of the draws that stand out; 1 for a sample of all draws.

        References
        ----------
        West (1993), J. R. Stat. Soc. B 55, 409: kernels on weighted draws; Cappé et al. (2008,
        arXiv:0710.4242); Raftery & Bao (2010), Biometrics 66, 1162: incremental mixtures with a kernel on
        the largest weight.
        """
        draws = replace(self, z=chart.coordinates(self.z, cut))
        mass, excess = 1.0, np.zeros(0, dtype=np.intp)
        if settings.least_excess:
            weights = draws.weights
            positive = weights[weights > 0.0]
            typical = math.exp(float(positive @ np.log(positive)))
            excess = np.flatnonzero(weights > settings.least_excess * typical)
            if not len(excess):
                return None, 0.0
            mass = float(weights[excess].sum())
        # A larger sample would be wider than what the effective draws describe.
        supported = max(settings.fewest_in_pool, int(settings.pool_per_effective * draws.ess))
        pool = draws.without_repeats(min(settings.n_pool, supported), rng)
        if settings.least_excess:
            chosen = excess[np.argsort(-draws.weights[excess])[: settings.n_kernels]]
            centres, shares = draws.z[chosen], draws.weights[chosen] / draws.weights[chosen].sum()
        else:
            centres = pool[: settings.n_kernels]
            shares = np.full(len(centres), 1.0 / len(centres))
        mixture = StudentMixture(shares, centres, _neighbourhoods(centres, pool, settings), settings.degrees)
        return chart.of(mixture, cut, rng), mass


def _neighbourhoods(centres: Array, pool: Array, settings: KernelConfig) -> Array:
    """Lower-triangular square roots of the spread of the nearest of ``pool`` about each centre."""
    n_dim = pool.shape[1]
    n_neighbours = settings.neighbours_per_dimension * n_dim + settings.neighbours
    n_neighbours = min(n_neighbours, len(pool))
    spread = np.maximum(spread_of(pool), 1e-12)
    _, index = cKDTree(pool / spread).query(centres / spread, k=n_neighbours)
    near = pool[index.reshape(len(centres), n_neighbours)] - centres[:, None]
    covariance = np.einsum("mki,mkj->mij", near, near) / max(n_neighbours - 1, 1)
    diagonal = np.einsum("mii->mi", covariance)
    diagonal += settings.ridge * diagonal.copy() + settings.least_variance * spread**2
    return np.asarray(np.linalg.cholesky(covariance))


def _middle_of_longest_run(empty: NDArray[np.bool_]) -> float:
    """Index at the middle of the longest circular run of True."""
    if empty.all():
        return -0.5
    first = int(np.argmin(empty))
    rolled = np.roll(empty, -first)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rolled, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return (starts[longest] + ends[longest] - 1) / 2.0 + first
