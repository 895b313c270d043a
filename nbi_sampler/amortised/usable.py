"""Which simulations a training can learn from: finite ones, of parameters that the priors allow.

The others are counted, by what is wrong with them. Examples in memory and on disk are judged alike.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.core.guarded import warn_user
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["SimulationCounts", "UsableRows"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

FEWEST = 100
# Of the simulations; beyond, what is left speaks for other priors than those asked for.
MOST_LOST = 0.5


@dataclass(frozen=True)
class SimulationCounts:
    """How many simulations a training had, and why others were left out.

    Attributes
    ----------
    n_given, n_used : int
    n_not_finite : int
        With NaN or infinity in the data, or in the parameters.
    n_outside : int
        Of parameters that the priors do not allow.
    n_unconstrained : int
        Draws of the priors that violate a constraint, and so were not simulated.
    outside : dict of str to int
        By parameter, where there are any.
    """

    n_given: int
    n_used: int
    n_not_finite: int
    n_outside: int
    n_unconstrained: int
    outside: dict[str, int]

    @property
    def n_lost(self) -> int:
        """Simulations that were made and cannot be used."""
        return self.n_not_finite + self.n_outside


class UsableRows:
    """Finds usable simulations, batch by batch, and counts the others.

    Parameters
    ----------
    space : ParameterSpace
    """

    def __init__(self, space: ParameterSpace) -> None:
        self._space = space
        self._n = np.zeros(5, dtype=int)
        self._outside = np.zeros(space.n_dim, dtype=int)
        self._range = np.array([np.full(space.n_dim, np.inf), np.full(space.n_dim, -np.inf)])

    def __call__(self, theta: Array, predictions: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Rows that can be used, shape (n,).

        Parameters
        ----------
        theta : ndarray, shape (n, n_dim)
        predictions : ndarray, shape (n, *shape)
        """
        known = np.asarray(np.isfinite(theta).all(1))
        made = np.isfinite(predictions).reshape(len(predictions), -1)
        inside = np.ones(theta.shape, dtype=bool)
        allowed = np.zeros(len(theta), dtype=bool)
        if known.any():
            inside[known] = self._space.in_support(theta[known])
            allowed[known] = self._space.satisfies_constraints(theta[known])
        within = np.asarray(inside.all(1))
        not_made = known & within & ~allowed & ~made.any(1)
        outside = known & ~(within & allowed) & ~not_made
        not_finite = ~known | (~made.all(1) & ~outside & ~not_made)
        used = np.asarray(~(not_made | outside | not_finite))
        self._n += [len(theta), used.sum(), not_finite.sum(), outside.sum(), not_made.sum()]
        self._outside += (~inside & known[:, None]).sum(0)
        if known.any():
            self._range[0] = np.minimum(self._range[0], theta[known].min(0))
            self._range[1] = np.maximum(self._range[1], theta[known].max(0))
        return used

    def counts(self) -> SimulationCounts:
        """Of all batches so far."""
        outside = {name: int(n) for name, n in zip(self._space.names, self._outside, strict=True) if n}
        n_given, n_used, n_not_finite, n_outside, n_unconstrained = self._n.tolist()
        return SimulationCounts(n_given, n_used, n_not_finite, n_outside, n_unconstrained, outside)

    def checked(self) -> SimulationCounts:
        """Counts, with a warning where simulations were left out.

        Raises
        ------
        ValueError
            Where more than half are lost, or fewer than 100 are left.
        """
        counts = self.counts()
        n_made = counts.n_given - counts.n_unconstrained
        why = self._why(counts)
        if counts.n_lost > MOST_LOST * n_made:
            raise ValueError(
                f"simulations: expected most of them to be of use, got {counts.n_used:,} of {n_made:,}; {why}"
            )
        if counts.n_used < FEWEST:
            raise ValueError(
                f"n_sims: expected {FEWEST} finite simulations to learn from, got {counts.n_used} of "
                f"{counts.n_given}; make more, or narrow the priors to where the model exists"
                + (f" ({why})" if why else "")
            )
        logger.info("training on %s of %s simulations", f"{counts.n_used:,}", f"{counts.n_given:,}")
        if why:
            message = f"simulations: {counts.n_lost:,} of {n_made:,} are left out of the training; {why}"
            logger.info(message)
            warn_user(message, UserWarning)
        return counts

    def _why(self, counts: SimulationCounts) -> str:
        """What is wrong with those that are lost, and what to do."""
        reasons = []
        if counts.n_not_finite:
            reasons.append(
                f"{counts.n_not_finite:,} hold NaN or infinity (narrow the priors to where the model exists, "
                "or replace missing points and mark them by a noise function that returns (x, x_err, mask))"
            )
        if counts.n_outside:
            reasons.append(
                f"{counts.n_outside:,} have parameters that the priors do not allow: {self._listed()} (give "
                "the priors that y was drawn from, and its columns in the order of the priors)"
            )
        return "; ".join(reasons)

    def _listed(self) -> str:
        found = [
            f"{name} in {n:,} (values from {low:.4g} to {high:.4g}, its prior from {least:.4g} to {most:.4g})"
            for name, n, (low, high), (least, most) in zip(
                self._space.names, self._outside, self._range.T, self._edges(), strict=True
            )
            if n
        ]
        return ", ".join(found) or "the constraints are violated"

    def _edges(self) -> Array:
        """Ends of the priors, shape (n_dim, 2)."""
        return np.sort(self._space.unit_to_theta(np.array([[0.0], [1.0]]) * np.ones(self._space.n_dim)).T)
