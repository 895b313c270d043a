"""Solutions of the two systems of differential equations of sbibm, for many parameter points at once.

Both are solved for the logarithms of the populations, which are smooth and keep populations positive. The
method is the classical Runge-Kutta method with equal steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["lotka_volterra_populations", "sir_infected"]

POPULATION = 1e6
SIR_SPACING, SIR_STEPS = 17.0, 136
LOTKA_VOLTERRA_SPACING, LOTKA_VOLTERRA_STEPS = 2.1, 84
N_TIMES = 10


def sir_infected(beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Infected share of a million people, with one infected at first (SIR model).

    Parameters
    ----------
    beta, gamma : ndarray, shape (...)
        Contact and recovery rates, per day.

    Returns
    -------
    ndarray, shape (10, ...)
        Logarithm of I / N after 0, 17, ... 153 days.

    References
    ----------
    Lueckmann et al. 2021, arXiv:2101.04653, appendix T.9
    """

    def rates(state: np.ndarray) -> np.ndarray:
        susceptible, infected = np.exp(state)
        return np.stack([-beta * infected, beta * susceptible - gamma])

    start = np.log([1 - 1 / POPULATION, 1 / POPULATION])
    return _solution(rates, _repeated(start, np.shape(beta)), SIR_SPACING, SIR_STEPS)[:, 1]


def lotka_volterra_populations(
    alpha: np.ndarray, beta: np.ndarray, gamma: np.ndarray, delta: np.ndarray
) -> np.ndarray:
    """Prey and predators, with 30 and 1 at first (Lotka-Volterra model).

    Parameters
    ----------
    alpha, beta, gamma, delta : ndarray, shape (...)
        ``dX/dt = alpha X - beta X Y`` and ``dY/dt = -gamma Y + delta X Y``, per day.

    Returns
    -------
    ndarray, shape (2, 10, ...)
        Logarithms of prey and of predators after 0, 2.1, ... 18.9 days. They are right to 2e-4 for 99 of 100
        draws from the prior.

    References
    ----------
    Lueckmann et al. 2021, arXiv:2101.04653, appendix T.10
    """

    def rates(state: np.ndarray) -> np.ndarray:
        prey, predators = np.exp(state)
        return np.stack([alpha - beta * predators, delta * prey - gamma])

    start = _repeated(np.log([30.0, 1.0]), np.shape(alpha))
    with np.errstate(over="ignore", invalid="ignore"):
        solution = _solution(rates, start, LOTKA_VOLTERRA_SPACING, LOTKA_VOLTERRA_STEPS)
    return np.moveaxis(solution, 0, 1)


def _repeated(start: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The same state for all points, shape (2, ...)."""
    return np.multiply.outer(start, np.ones(shape))


def _solution(
    rates: Callable[[np.ndarray], np.ndarray], state: np.ndarray, spacing: float, n_steps: int
) -> np.ndarray:
    """States at equally spaced times, with the same number of steps between any two, shape (10, 2, ...)."""
    step = spacing / n_steps
    states = [state]
    for _ in range(N_TIMES - 1):
        for _ in range(n_steps):
            first = rates(state)
            second = rates(state + step / 2 * first)
            third = rates(state + step / 2 * second)
            fourth = rates(state + step * third)
            state = state + step / 6 * (first + 2 * (second + third) + fourth)
        states.append(state)
    return np.stack(states)
