"""An axis for differences: linear near zero, logarithmic far away, with ticks at powers of ten."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbi_sampler.reports.plots.style import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["show_differences", "ticks_of"]

# Largest number of ticks on each side of zero.
MOST_TICKS = 4
# Range, in units of the linear part, up to which the whole axis is linear.
FAR = 5.0
# Share of the axis beyond the outermost values.
MARGIN = 0.06


def show_differences(axis: Axes, low: float, high: float, width: float) -> None:
    """Give the vertical axis a symmetric logarithmic scale that shows the values from low to high.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    low, high : float
        Differences from zero, which is always shown.
    width : float
        Largest difference on the linear scale; it is rounded to a power of ten.
    """
    from matplotlib.ticker import NullLocator

    low, high = min(low, 0.0), max(high, 0.0)
    linear = 10.0 ** round(math.log10(width)) if width > 0.0 and math.isfinite(width) else 1.0
    if max(-low, high) < FAR * linear:
        margin = MARGIN * (high - low) or linear
        axis.set_ylim(low - margin, high + margin)
        axis.yaxis.set_major_formatter(lambda value, _: signed(round(value, 12)))
        return
    axis.set_yscale("symlog", linthresh=linear)
    scale = axis.yaxis.get_transform()
    ends = scale.transform([low, high])
    margin = MARGIN * (ends[1] - ends[0])
    axis.set_ylim(*scale.inverted().transform([ends[0] - margin, ends[1] + margin]))
    axis.yaxis.set_minor_locator(NullLocator())
    shown = ticks_of(low, high, linear)
    axis.set_yticks(shown, [signed(tick) for tick in shown])


def ticks_of(low: float, high: float, linear: float) -> list[float]:
    """Zero and a few powers of ten on both sides of it, from ``linear`` on.

    Examples
    --------
    >>> ticks_of(-30_000.0, 0.3, 0.1)
    [-10000.0, -100.0, -1.0, 0.0, 0.1]
    """
    return [*(-tick for tick in _powers(-low, linear)[::-1]), 0.0, *_powers(high, linear)]


def _powers(end: float, linear: float) -> list[float]:
    """Powers of ten from ``linear`` to ``end``; the largest is kept if some are left out."""
    if end < linear:
        return []
    first, last = round(math.log10(linear)), math.floor(math.log10(end) + 1e-9)
    step = -(-(last - first + 1) // MOST_TICKS)
    return [10.0**power for power in range(last, first - 1, -step)][::-1]
