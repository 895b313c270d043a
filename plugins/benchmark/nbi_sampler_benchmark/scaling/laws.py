"""The law of a cost for growing problems: a power, or a fixed cost plus one for each unit of size.

Pure functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Law", "fitted_law"]

Array = NDArray[np.float64]

# Two numbers are fitted, and the remaining residuals give their errors.
FEWEST_SIZES = 3
# Decimals of the spread that are compared; if both laws are equal, the power is used.
SAME_SPREAD = 4


@dataclass(frozen=True)
class Law:
    r"""Cost against size, :math:`y = a + b x^c` with ``a = 0`` (a power) or ``c = 1`` (a straight line).

    Parameters
    ----------
    fixed, factor, power : float
        ``a``, ``b`` and ``c``.
    error : float
        Standard error of the exponent of a power, or of the factor of a line.
    spread : float
        Root mean square of the relative residuals.
    """

    fixed: float
    factor: float
    power: float
    error: float
    spread: float = math.nan

    def __call__(self, x: Array) -> Array:
        """Cost at sizes of shape (n,)."""
        return self.fixed + self.factor * x**self.power

    def describe(self, size: str) -> str:
        """Write the law in one line, for a size with a name.

        Examples
        --------
        >>> Law(0.0, 20.0, 1.5, 0.1, 0.03).describe("D")
        '20 D^(1.50 +- 0.10), to 3 %'
        """
        if self.fixed == 0.0:
            text = f"{self.factor:.3g} {size}^({self.power:.2f} +- {self.error:.2f})"
        else:
            text = f"{self.fixed:.3g} + ({self.factor:.3g} +- {self.error:.2g}) {size}"
        return f"{text}, to {100.0 * self.spread:.0f} %"


def fitted_law(x: Array, y: Array) -> Law | None:
    """The better of a power and a straight line, by least squares of the relative residuals.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Positive sizes and costs.

    Returns
    -------
    Law
        None if there are fewer than three different sizes.

    Examples
    --------
    >>> round(fitted_law(np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 12.0, 48.0, 192.0])).power, 6)
    2.0
    """
    if len(np.unique(x)) < FEWEST_SIZES:
        return None
    return min((_power(x, y), _line(x, y)), key=lambda law: round(law.spread, SAME_SPREAD))


def _power(x: Array, y: Array) -> Law:
    design = np.stack([np.ones_like(x), np.log(x)], axis=1)
    (intercept, slope), errors = _least_squares(design, np.log(y))
    return _measured(Law(0.0, math.exp(intercept), float(slope), float(errors[1])), x, y)


def _line(x: Array, y: Array) -> Law:
    (fixed, factor), errors = _least_squares(np.stack([1.0 / y, x / y], axis=1), np.ones_like(y))
    return _measured(Law(float(fixed), float(factor), 1.0, float(errors[1])), x, y)


def _least_squares(design: Array, target: Array) -> tuple[Array, Array]:
    """Coefficients and their standard errors, from the residuals, each of shape (2,)."""
    inverse = np.linalg.inv(design.T @ design)
    best: Array = inverse @ design.T @ target
    variance = float(np.sum((target - design @ best) ** 2)) / (len(target) - 2)
    return best, np.sqrt(variance * np.diag(inverse))


def _measured(law: Law, x: Array, y: Array) -> Law:
    """The law with its spread about the costs."""
    return replace(law, spread=float(np.sqrt(np.mean((law(x) / y - 1.0) ** 2))))
