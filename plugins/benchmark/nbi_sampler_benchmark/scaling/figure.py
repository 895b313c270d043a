"""Plot of the scaling: costs and the error of log Z against the size, with the laws as lines.

It needs matplotlib and does not change its global state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.reports.plots.style import COLOURS, compact, head
from nbi_sampler_benchmark.scaling.report import AXES, COSTS, Measured, costs_of, families_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["scaling_figure"]

MARKERS = ("o", "s", "^", "D")
# Largest error of log Z in the plot, in units of its own error; larger ones are drawn at the edge.
MOST_ERRORS = 6.0
BELIEVABLE = 3.0
# A law is drawn if it was fitted to this many sizes with relative residuals of at most this rms.
FEWEST_SIZES = 4
MOST_SPREAD = 0.3
# Factor between a value and the end of its axis, so that no marker is cut.
MARGIN = 1.3
# A logarithmic axis over at most this many decades has ticks between powers of ten.
FEW_DECADES = 2


def scaling_figure(rows: Sequence[Measured]) -> Figure:
    """Draw a row of panels for each measured one of `AXES`; runs that are not "ok" are hollow.

    Lines are laws, if one fits.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    grown = [what for what in AXES if any(row.what == what for row in rows)]
    figure = Figure(figsize=(12.0, 3.0 * len(grown)), layout="constrained")
    panels = figure.subplots(len(grown), 1 + len(COSTS), squeeze=False)
    for what, (*costs, errors) in zip(grown, panels, strict=True):
        groups = {family: group for (key, family), group in families_of(rows).items() if key == what}
        for i, (family, group) in enumerate(groups.items()):
            for axis, cost in zip(costs, COSTS, strict=True):
                _draw_runs(axis, group, [float(row.record[cost]) for row in group], i, family)
                _draw_law(axis, group, cost, i)
            _draw_runs(errors, group, [_shown_pull(row) for row in group], i, family)
        for axis, (cost, title) in zip(costs, COSTS.items(), strict=True):
            _show_costs(axis, [row.record[cost] for row in rows if row.what == what])
            head(axis, title)
        errors.axhspan(-BELIEVABLE, BELIEVABLE, color="0.93", lw=0)
        errors.set(ylim=(-1.1 * MOST_ERRORS, 1.1 * MOST_ERRORS))
        head(errors, "error of log Z, in its own errors")
        sizes = sorted({row.size for row in rows if row.what == what})
        for axis in (*costs, errors):
            axis.set(xscale="log", xlabel=f"{AXES[what].symbol}: {AXES[what].name}")
            axis.set_xticks(sizes, [compact(size) for size in sizes])
            axis.xaxis.set_minor_formatter(NullFormatter())
    return figure


def _draw_runs(
    axis: Axes, group: Sequence[Measured], values: Sequence[float], number: int, name: str
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    for ok in (True, False):
        kept = [i for i, row in enumerate(group) if row.ok is ok]
        x, y = [group[i].size for i in kept], [values[i] for i in kept]
        label = name if ok == any(row.ok for row in group) else None
        axis.plot(x, y, marker, ms=5, color=colour, mfc=colour if ok else "white", label=label)


def _draw_law(axis: Axes, group: Sequence[Measured], cost: str, number: int) -> None:
    sizes, _, law = costs_of(group, cost)
    if law is not None and len(np.unique(sizes)) >= FEWEST_SIZES and law.spread <= MOST_SPREAD:
        x = np.geomspace(sizes.min(), sizes.max(), 100)
        axis.plot(x, law(x), color=COLOURS[number % len(COLOURS)], lw=1)


def _show_costs(axis: Axes, values: Sequence[float]) -> None:
    """Extend a vertical axis to whole decades that contain the positive values, with plain ticks."""
    from matplotlib.ticker import NullFormatter

    least, most = min(values) / MARGIN, max(values) * MARGIN
    first, last = math.floor(math.log10(least)), math.floor(math.log10(most)) + 1
    axis.set(yscale="log", ylim=(10.0**first, 10.0**last))
    factors = (1.0, 2.0, 5.0) if last - first <= FEW_DECADES else (1.0,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    ticks = [tick for tick in ticks if tick <= 1.001 * 10.0**last]
    axis.set_yticks(ticks, [compact(tick) if tick >= 1.0 else f"{tick:g}" for tick in ticks])
    axis.yaxis.set_minor_formatter(NullFormatter())


def _shown_pull(row: Measured) -> float:
    return float(np.clip(row.record["pull"] or 0.0, -MOST_ERRORS, MOST_ERRORS))
