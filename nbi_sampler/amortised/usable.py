"""Checks of simulations before a training.

A simulation can be used if it is finite and the priors allow its parameters. The others are counted by their
fault. Simulations of the user are compared with the simulator, because columns of y in another order than the
priors would train a wrong posterior without any sign of it.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.core.config import TRAINING_SET
from nbi_sampler.core.guarded import users_errors, users_settings, warn_user
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["SimulationCounts", "UsableRows", "by_name", "check_given"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulationCounts:
    """Numbers of simulations of a training, and of those left out for each reason.

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
    """Find usable simulations in a parameter space, batch by batch, and count the others."""

    def __init__(self, space: ParameterSpace) -> None:
        self._space = space
        self._n = np.zeros(5, dtype=int)
        self._outside = np.zeros(space.n_dim, dtype=int)
        self._range = np.array([np.full(space.n_dim, np.inf), np.full(space.n_dim, -np.inf)])

    def __call__(
        self, theta: Array, predictions: NDArray[np.generic], with_priors: bool = True
    ) -> NDArray[np.bool_]:
        """Rows that can be used, shape (n,).

        Parameters
        ----------
        theta : ndarray, shape (n, n_dim)
        predictions : ndarray, shape (n, *shape)
        with_priors : bool
            False where the priors are known to allow all parameters; then nothing is counted.
        """
        known = np.asarray(np.isfinite(theta).all(1))
        made = np.isfinite(predictions).reshape(len(predictions), -1)
        if not with_priors:
            return np.asarray(known & made.all(1))
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
        if counts.n_lost > TRAINING_SET.most_lost * n_made:
            raise ValueError(
                f"simulations: expected most of them to be of use, got {counts.n_used:,} of {n_made:,}; {why}"
            )
        if counts.n_used < TRAINING_SET.fewest:
            raise ValueError(
                f"n_sims: expected {TRAINING_SET.fewest} finite simulations to learn from, got "
                f"{counts.n_used} of {counts.n_given}; make more, or narrow the priors to where the model "
                "exists" + (f" ({why})" if why else "")
            )
        logger.info("training on %s of %s simulations", f"{counts.n_used:,}", f"{counts.n_given:,}")
        if why:
            message = f"simulations: {counts.n_lost:,} of {n_made:,} are left out of the training; {why}"
            logger.info(message)
            warn_user(message, UserWarning)
        return counts

    def _why(self, counts: SimulationCounts) -> str:
        """Reasons why simulations are lost, each with a remedy."""
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


def by_name(y: Any, space: ParameterSpace) -> Any:
    """Sort the columns of a data frame in the order of the priors, if it names all parameters."""
    names = [str(each) for each in getattr(y, "columns", ())]
    return y[list(space.names)] if set(space.names) <= set(names) else y


def check_given(
    theta: Array, x: NDArray[Any], space: ParameterSpace, simulator: Callable[[Any], ArrayLike] | None
) -> None:
    """Compare a few of the simulations given with those of the simulator.

    Parameters
    ----------
    theta : ndarray, shape (n, n_columns)
    x : ndarray, shape (n, *shape)
        Without noise.
    space : ParameterSpace
    simulator : callable, optional
        Of a mapping of parameters; nothing is compared without one.

    Raises
    ------
    ValueError
        For another number of columns than of parameters, and where another order of them would agree.

    Warns
    -----
    UserWarning
        Where nothing agrees.
    """
    if theta.shape[1] != space.n_dim:
        raise ValueError(
            f"y: expected {space.n_dim} columns, one for each of {', '.join(space.names)}, got "
            f"{theta.shape[1]}; give the sampled parameters in the order of the priors"
        )
    rows = np.flatnonzero(np.isfinite(theta).all(1) & np.isfinite(x).reshape(len(x), -1).all(1))
    if simulator is None or len(rows) < 2:
        return
    rules = TRAINING_SET
    spread = float(np.sqrt(np.var(x[rows[: rules.most_for_spread]], axis=0).mean()))
    shown = rows[np.linspace(0, len(rows) - 1, min(rules.n_compared, len(rows))).astype(int)]

    def difference(order: tuple[int, ...]) -> float:
        return max(_difference(simulator, space.row(theta[i][list(order)]), x[i]) for i in shown)

    # The simulator may be noisy, or cannot be called here: then nothing is found out.
    found = difference(tuple(range(space.n_dim)))
    if not found > rules.disagreement * spread:
        return
    if math.factorial(min(space.n_dim, 10)) <= rules.most_orders:
        for order in itertools.permutations(range(space.n_dim)):
            if difference(order) <= rules.agreement * spread:
                # theta[order] are the parameters in the order of the priors.
                names = [space.names[order.index(i)] for i in range(space.n_dim)]
                raise ValueError(
                    f"y: expected columns in the order of the priors, {', '.join(space.names)}, got them in "
                    f"the order {', '.join(names)}, in which the simulator gives x; reorder the columns"
                )
    warn_user(
        f"x, y: simulations differ from those of the simulator at the parameters y by {found:.3g}, where "
        f"their own spread is {spread:.3g}; x has to be without noise, y in the order of the priors "
        f"({', '.join(space.names)}), and both of the simulator that weighs",
        UserWarning,
    )


def _difference(simulator: Callable[[Any], ArrayLike], parameters: Any, x: NDArray[Any]) -> float:
    """Root mean square difference of one simulation; NaN where it cannot be compared."""
    try:
        with users_settings(), users_errors():
            simulated = simulator(dict(parameters))
        made = as_numbers(simulated, "simulator")
    # This is user code, called for a comparison only.
    except Exception:
        return math.nan
    if made.size != x.size:
        return math.nan
    return float(np.sqrt(np.mean(np.abs(made.ravel() - x.ravel()) ** 2)))
