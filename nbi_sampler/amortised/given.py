"""What a user gives to `NBI.fit`, checked; simulations also against the simulator, by a few calls.

Columns of y in another order than the priors would train a wrong posterior without a sign of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbi_sampler.amortised.training_set import TrainingSet
from nbi_sampler.core.guarded import users_errors, users_settings, warn_user
from nbi_sampler.forward.arrays import as_numbers
from nbi_sampler.priors.space import ParameterSpace

__all__ = ["by_name", "check_columns", "check_consistency", "check_fit"]

N_COMPARED = 3
# Orders of the columns that are tried, and share of the spread of the simulations that counts as agreement.
MOST_ORDERS = 24
AGREEMENT = 1e-3
# Beyond this share simulations are clearly others.
DISAGREEMENT = 0.1


def check_fit(n_sims: object, n_rounds: object, x: object, store: object) -> None:
    """Refuse numbers that are none, and arguments that mean nothing together.

    Raises
    ------
    ValueError
    """
    for name, value in (("n_sims", n_sims), ("n_rounds", n_rounds)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
    if n_rounds != 1 and (x is not None or store is not None):
        name = "x, y" if x is not None else "store"
        raise ValueError(
            f"{name}: expected None with n_rounds={n_rounds}, as rounds make their own simulations; give "
            "n_rounds=1, which is amortised"
        )


def by_name(y: Any, space: ParameterSpace) -> Any:
    """Columns of a data frame in the order of the priors, where it names them all; else y as it is."""
    names = [str(each) for each in getattr(y, "columns", ())]
    return y[list(space.names)] if set(space.names) <= set(names) else y


def check_columns(given: TrainingSet, space: ParameterSpace) -> None:
    """Refuse parameters of another number than the priors'.

    Raises
    ------
    ValueError
    """
    if given.theta.shape[1] != space.n_dim:
        raise ValueError(
            f"y: expected {space.n_dim} columns, one for each of {', '.join(space.names)}, got "
            f"{given.theta.shape[1]}; give the sampled parameters in the order of the priors"
        )


def check_consistency(
    given: TrainingSet, space: ParameterSpace, simulator: Callable[[dict[str, float]], ArrayLike]
) -> None:
    """Compare a few of the simulations given with those of the simulator.

    Parameters
    ----------
    given : TrainingSet
    space : ParameterSpace
    simulator : callable
        Without noise.

    Raises
    ------
    ValueError
        Where another order of the columns of y would agree.

    Warns
    -----
    UserWarning
        Where nothing agrees.
    """
    finite = np.isfinite(given.theta).all(1) & np.isfinite(given.x).reshape(len(given), -1).all(1)
    rows = np.flatnonzero(finite)
    if len(rows) < 2:
        return
    spread = float(np.sqrt(np.var(given.x[rows[:1000]], axis=0).mean()))
    shown = rows[np.linspace(0, len(rows) - 1, min(N_COMPARED, len(rows))).astype(int)]

    def difference(order: tuple[int, ...]) -> float:
        return max(_difference(simulator, space, given.theta[i][list(order)], given.x[i]) for i in shown)

    # The simulator may be noisy, or cannot be called here: then nothing is found out.
    found = difference(tuple(range(space.n_dim)))
    if not found > DISAGREEMENT * spread:
        return
    if math.factorial(min(space.n_dim, 10)) <= MOST_ORDERS:
        for order in itertools.permutations(range(space.n_dim)):
            if difference(order) <= AGREEMENT * spread:
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


def _difference(
    simulator: Callable[[Any], ArrayLike], space: ParameterSpace, theta: NDArray[Any], x: NDArray[Any]
) -> float:
    """Root mean square difference of one simulation; NaN where it cannot be compared."""
    parameters: Mapping[str, float] = space.row(theta)
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
