"""A scale of axes that shows at once where a run began, far off, and how finely it ended.

The prior may be a thousand times wider than the posterior.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AxisScale"]

# Largest distance, in units of that between two ticks, by which a tick is moved to a rounder value.
ROUNDING = 0.2


class AxisScale(NamedTuple):
    r"""The map :math:`x \to \mathrm{arsinh}((x - c) / w)`: linear about the centre, logarithmic far off."""

    centre: float
    width: float

    @classmethod
    def about(cls, centre: float, width: float) -> AxisScale:
        """A map for any finite centre, even where there is no width to speak of."""
        resolved = 1e-12 * abs(centre)
        return cls(centre, width if math.isfinite(width) and width > resolved else max(resolved, 1e-12))

    def forward(self, x: ArrayLike) -> NDArray[np.float64]:
        """Values to places, of any shape."""
        return np.arcsinh((np.asarray(x, dtype=np.float64) - self.centre) / self.width)

    def inverse(self, place: ArrayLike) -> NDArray[np.float64]:
        """Places to values, of any shape."""
        return self.centre + self.width * np.sinh(place)

    def apply(self, axis: Axes, low: float, high: float, n_ticks: int = 5) -> None:
        """Put the vertical axis on this scale, from a little below ``low`` to above ``high``, with ticks."""
        from matplotlib.ticker import NullLocator

        ends = self.forward([low, high])
        margin = 0.04 * (ends[1] - ends[0]) or 1.0
        axis.set_yscale("function", functions=(self.forward, self.inverse))
        axis.set_ylim(*self.inverse([ends[0] - margin, ends[1] + margin]))
        axis.yaxis.set_minor_locator(NullLocator())
        ticks = self.ticks(low, high, n_ticks)
        axis.set_yticks(ticks, [f"{tick:.12g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])

    def ticks(self, low: float, high: float, n_ticks: int = 5) -> list[float]:
        """Round values, about evenly spaced on the axis.

        Examples
        --------
        >>> AxisScale(50.021, 0.01).ticks(0.0, 100.0)
        [0.0, 49.5, 50.02, 51.0, 100.0]
        """
        start, end = self.forward([low, high])
        places = np.linspace(start, end, n_ticks)
        slack = ROUNDING * (places[1] - places[0])
        return sorted({self._rounded(float(place), slack) for place in places})

    def _rounded(self, place: float, slack: float) -> float:
        value = float(self.inverse(place))
        rounder = (0.0, *(float(f"{value:.{n_digits}g}") for n_digits in range(1, 13)))
        return next((each for each in rounder if abs(float(self.forward(each)) - place) <= slack), value)
