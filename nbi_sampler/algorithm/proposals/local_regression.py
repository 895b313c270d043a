r"""Kernels where the next proposal would be too thin, by a regression that costs no likelihood call.

While the likelihood is tempered, the proposals may lose the end of a curved ridge, and then no draw shows it
any more. But a regression of log L on the draws so far reaches a little beyond them. Candidates from wide
distributions are weighted by its prediction, and kernels are placed where these weights are larger than the
proposal allows. The likelihood itself decides once there are draws from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from nbi_sampler.algorithm.proposals.affine import spread_of
from nbi_sampler.algorithm.proposals.kernels import Chart
from nbi_sampler.algorithm.proposals.proposal import MixtureProposal, Proposal
from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.core.config import REGRESSION, REGRESSION_KERNELS
from nbi_sampler.core.types import Array

__all__ = ["CHUNK", "LOWEST", "Surface", "n_terms", "terms"]

# Guards of rounding and memory: points so many spreads away are all equally far, values so far below their
# neighbours all equally low, and so many candidates have their neighbours' terms in the cache of a processor.
FARTHEST = 1e100
LOWEST = -1e30
CHUNK = 500


@dataclass(frozen=True, eq=False)
class Surface:
    """Draws at which the density of a target is known, and its regression beyond them.

    Attributes
    ----------
    z : ndarray, shape (n, n_dim)
        Latent coordinates of all draws that are not negligible in the wider distributions.
    log_target : ndarray, shape (n,)
        Log density of the target relative to the prior, not normalised: the (tempered) log-likelihood.
    log_norm : float
        Log of the mean of the target over the prior, as estimated so far.
    """

    z: Array
    log_target: Array
    log_norm: float

    def with_guided_kernels(
        self,
        proposal: MixtureProposal,
        wider: Sequence[Proposal],
        chart: Chart,
        cut: Array,
        rng: np.random.Generator,
    ) -> MixtureProposal:
        """The proposal with kernels where a regression predicts more of the target than it covers.

        Their share is the predicted mass of the region that is too thin, within limits. The proposal is the
        same if it is nowhere too thin, or if the draws are too few or the dimensions too many.

        Parameters
        ----------
        proposal : MixtureProposal
        wider : sequence of Proposal
            Source of the candidates.
        chart : Chart
            Coordinates of the regression and the kernels.
        cut : ndarray, shape (n_dim,)
        """
        n_dim = self.z.shape[1]
        if n_dim > REGRESSION.most_dimensions or len(self.z) < REGRESSION.draws_per_term * n_terms(n_dim):
            return proposal
        source = MixtureProposal(tuple(wider), np.full(len(wider), 1.0 / len(wider)))
        n_candidates = int(REGRESSION.n_candidates / max(1.0, n_dim / REGRESSION.full_until) ** 2)
        z = source.sample(n_candidates, rng)
        in_chart = replace(self, z=chart.coordinates(self.z, cut))
        predicted = in_chart.predicted(chart.coordinates(z, cut))
        log_weights = predicted - source.log_ratio(z)
        relevant = np.flatnonzero(log_weights > log_weights.max() - REGRESSION.negligible)
        excess = predicted[relevant] - proposal.log_ratio(z[relevant]) - self.log_norm
        thin = relevant[excess > math.log(REGRESSION.least_excess)]
        if len(thin) < REGRESSION.fewest_thin:
            return proposal
        log_mass = float(logsumexp(log_weights[thin])) - math.log(len(z)) - self.log_norm
        mass = math.exp(min(log_mass, 0.0))
        if mass < REGRESSION.least_mass:
            return proposal
        kernels, _ = WeightedDraws(z[thin], log_weights[thin]).kernels(chart, cut, rng, REGRESSION_KERNELS)
        if kernels is None:
            return proposal
        share = float(np.clip(mass, *REGRESSION.shares))
        return MixtureProposal(
            (*proposal.members, kernels), np.append((1.0 - share) * proposal.shares, share)
        )

    def predicted(self, wanted: Array) -> Array:
        """Predict the log density by a polynomial of second degree through the nearest draws.

        Weighted least squares, with weights that fall to a tenth at the farthest neighbour. There have to be
        as many draws as the polynomial has terms, with finite values.

        Parameters
        ----------
        wanted : ndarray, shape (m, n_dim)

        Returns
        -------
        ndarray, shape (m,)
            Predictions, at most three above the largest value of the neighbours.

        References
        ----------
        Cleveland & Devlin (1988), JASA 83, 596.

        Examples
        --------
        >>> x = np.linspace(-1, 1, 21)[:, None]
        >>> Surface(x, 1 - 3 * x[:, 0] ** 2, 0.0).predicted(np.array([[0.33]])).round(4)
        array([0.6733])
        """
        values = self.log_target
        n_neighbours = int(REGRESSION.neighbours_per_term * n_terms(self.z.shape[1]))
        n_neighbours = min(n_neighbours + REGRESSION.more_neighbours, len(values))
        centre, spread = self.z[0], spread_of(self.z)
        known = (self.z - centre) / spread
        with np.errstate(over="ignore"):
            wanted = np.clip((wanted - centre) / spread, -FARTHEST, FARTHEST)
        distance, index = cKDTree(known).query(wanted, k=n_neighbours)
        distance, index = distance.reshape(len(wanted), -1), index.reshape(len(wanted), -1)
        predicted = np.empty(len(wanted))
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, start + CHUNK)
            near, reach = index[part], distance[part, -1:]
            # Zero if all neighbours lie at the point itself. The prediction is then their mean.
            reach = np.where(reach > 0.0, reach, 1.0)
            offsets = (known[near] - wanted[part, None]) / reach[:, :, None]
            columns = terms(offsets, *np.triu_indices(known.shape[1]))
            weighted = columns * np.exp(-REGRESSION.fading * (distance[part] / reach) ** 2)[:, :, None]
            normal = weighted.transpose(0, 2, 1) @ columns
            diagonal = np.einsum("mtt->mt", normal)
            diagonal += REGRESSION.ridge
            # Relative to the largest of the neighbours, so that large numbers keep their differences.
            top = values[near].max(axis=1)
            below = np.maximum(values[near] - top[:, None], LOWEST)
            right = np.einsum("mkt,mk->mt", weighted, below)
            # The constant term is the value at the point itself.
            fitted = np.linalg.solve(normal, right[:, :, None])[:, 0, 0]
            predicted[part] = top + np.minimum(fitted, REGRESSION.most_beyond)
        return predicted


def n_terms(n_dim: int) -> int:
    """Number of terms of second degree and less, mixed ones included."""
    return (n_dim + 1) * (n_dim + 2) // 2


def terms(x: Array, first: NDArray[np.intp], second: NDArray[np.intp]) -> Array:
    """One, linear terms, and the products of the coordinates of two lists, shape (..., n_terms).

    Parameters
    ----------
    x : ndarray, shape (..., n_dim)
    first, second : ndarray of int, shape (n_products,)
        Of ``np.triu_indices(n_dim)`` for all products.
    """
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, x[..., first] * x[..., second]], axis=-1)
