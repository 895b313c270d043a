"""From prior to posterior, parameter by parameter, by the quantiles in the records and the weighted draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.reports.plots.axis_scale import AxisScale
from nbi_sampler.reports.plots.style import COLOURS, PHASES, head, with_errors
from nbi_sampler.reports.plots.view import RunView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["parameters_figure"]

POSTERIOR = COLOURS[4]
# In characters of its source, most of which are those of the errors.
LONGEST_TITLE = 44
# Of all thick bars of a panel together, in points.
BARS = 90.0
BINS = (20, 60)
MOST_TICKS = 10
# Width of the posterior's marginal, in units of one batch and as a share of the panel.
MARGINAL = (1.2, 0.16)


def parameters_figure(view: RunView) -> Figure:
    """A panel for every parameter: bars of one and two sigma for each batch, the posterior at the right."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    n_columns = view.n_dim if view.n_dim <= 4 else 3 if view.n_dim <= 6 else 4
    n_rows = -(-view.n_dim // n_columns)
    size = (max(3.1 * n_columns, 5.5), 1.3 + 2.3 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    for i, axis in enumerate(np.ravel(figure.subplots(n_rows, n_columns))):
        if i >= view.n_dim:
            axis.remove()
            continue
        draw_parameter(axis, view, i)
        if i + n_columns >= view.n_dim:
            axis.set_xlabel("batch of draws")
    present = {record.phase for record in view.records}
    phases = {phase: colour for phase, (colour, _) in PHASES.items() if phase in present}
    if len(view.theta):
        phases["posterior"] = POSTERIOR
    handles = [Line2D([], [], color=colour, lw=4, label=name) for name, colour in phases.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def draw_parameter(axis: Axes, view: RunView, i: int) -> None:
    """Quantiles of parameter ``i`` by batch, and its marginal posterior, on an axis stretched about that."""
    rows = np.array([record.quantiles[i] for record in view.records])
    low, high = rows.min(), rows.max()
    below, middle, above = rows[-1, 1:4]
    title = view.labels[i]
    if len(view.theta):
        below, middle, above = view.quantiles(i, QUANTILES[1:4])
        value = with_errors(middle, below, above)
        title += ("\n" if len(title + value) > LONGEST_TITLE else " = ") + value
    # A posterior of one draw has no width to be resolved.
    scale = AxisScale.about(middle, 0.5 * (above - below) or 1e-3 * (high - low))
    thick = min(4.0, BARS / len(rows))
    for x, (record, quantiles) in enumerate(zip(view.records, rows, strict=True)):
        colour = PHASES[record.phase][0]
        axis.vlines(x, quantiles[0], quantiles[4], color=colour, lw=0.35 * thick)
        axis.vlines(x, quantiles[1], quantiles[3], color=colour, lw=thick)
        axis.plot(x, quantiles[2], "o", color="white", mec=colour, ms=thick)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    step = -(-len(rows) // MOST_TICKS)
    axis.set_xticks(range(0, len(rows), step), [str(x + 1) for x in range(0, len(rows), step)])
    truth = view.truth[i] if view.truth else None
    if truth is not None:
        axis.axhline(truth, color="0.2", lw=1, linestyle=":")
    scale.apply(axis, low, high)
    if len(view.theta):
        _add_marginal(axis, view, i, scale)
    head(axis, title)
    axis.grid(False, axis="x")


def _add_marginal(axis: Axes, view: RunView, i: int, scale: AxisScale) -> None:
    """Weighted histogram of the draws, growing to the left from the right edge, of even bins on the axis."""
    n_bins = int(np.clip(1.5 * np.sqrt(view.ess), *BINS))
    low, high = scale.forward(axis.get_ylim())
    places = np.linspace(low, high, n_bins + 1)
    height, _ = np.histogram(scale.forward(view.theta[:, i]), places, weights=view.weights)
    n_batches = len(view.records)
    width = max(MARGINAL[0], MARGINAL[1] * n_batches)
    left = n_batches - 0.4
    axis.stairs(
        left + height / max(height.max(), 1e-300) * width,
        scale.inverse(places),
        baseline=left,
        orientation="horizontal",
        fill=True,
        color=POSTERIOR,
    )
    axis.set_xlim(right=left + 1.08 * width)
