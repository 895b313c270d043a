"""Plots of each parameter from prior to posterior, by quantiles in the records and weighted draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.core.types import Array
from nbi_sampler.reports.plots.modes import Mode, modes_of
from nbi_sampler.reports.plots.style import COLOURS, KINDS, head, kind_of, percent, with_errors
from nbi_sampler.reports.plots.view import RunView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["parameters_figure"]

POSTERIOR = COLOURS[4]
# Characters of source text, most of which are those of the errors.
LONGEST_TITLE = 40
# Total width of all thick bars of a panel, in points.
BARS = 90.0
BINS = (20, 60)
MOST_TICKS = 10
# Ticks on the vertical axis.
MOST_MARKS = 6
# Number of modes that are named one by one.
MOST_MODES = 3
# Width of the posterior's marginal, in units of one batch and as a share of the panel.
MARGINAL = (1.2, 0.16)
# Share of the posterior on the axis, and limit for the bars in units of its range.
SHOWN = (0.0005, 0.9995)
WIDER = 1.5


def parameters_figure(view: RunView) -> Figure:
    """Draw a panel for each parameter: bars of one and two sigma for each batch, and the posterior."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    n_columns = view.n_dim if view.n_dim <= 4 else 3 if view.n_dim <= 6 else 4
    n_rows = -(-view.n_dim // n_columns)
    size = (max(3.4 * n_columns, 5.5), 1.4 + 2.3 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    for i, axis in enumerate(np.ravel(figure.subplots(n_rows, n_columns))):
        if i >= view.n_dim:
            axis.remove()
            continue
        draw_parameter(axis, view, i)
        if i + n_columns >= view.n_dim:
            axis.set_xlabel("batch of draws")
    present = {kind_of(record.phase) for record in view.records}
    kinds = {kind: colour for kind, (colour, _) in KINDS.items() if kind in present}
    if len(view.theta):
        kinds["posterior"] = POSTERIOR
    handles = [Line2D([], [], color=colour, lw=4, label=name) for name, colour in kinds.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def draw_parameter(axis: Axes, view: RunView, i: int) -> None:
    """Draw quantiles of parameter ``i`` by batch, and its marginal posterior, on a linear axis.

    Bars that extend beyond the axis end in an arrowhead.
    """
    from matplotlib.ticker import MaxNLocator

    rows = np.array([record.quantiles[i] for record in view.records])
    modes = modes_of(view.theta[:, i], view.weights)
    low, high = _ends(view, i, rows)
    thick = min(4.0, BARS / len(rows))
    for x, (record, quantiles) in enumerate(zip(view.records, rows, strict=True)):
        colour = KINDS[kind_of(record.phase)][0]
        axis.vlines(x, quantiles[0], quantiles[4], color=colour, lw=0.35 * thick)
        axis.vlines(x, quantiles[1], quantiles[3], color=colour, lw=thick)
        if len(modes) < 2 and low < quantiles[2] < high:
            axis.plot(x, quantiles[2], "o", color="white", mec=colour, ms=thick)
        for beyond, end, arrow in ((quantiles[0] < low, low, "v"), (quantiles[4] > high, high, "^")):
            if beyond:
                axis.plot(x, end, arrow, color=colour, ms=1.4 * thick, clip_on=False)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    step = -(-len(rows) // MOST_TICKS)
    axis.set_xticks(range(0, len(rows), step), [str(x + 1) for x in range(0, len(rows), step)])
    truth = view.truth[i] if view.truth else None
    if truth is not None:
        axis.axhline(truth, color="0.2", lw=1, linestyle=":")
    axis.set_ylim(low, high)
    axis.yaxis.set_major_locator(MaxNLocator(MOST_MARKS))
    if len(view.theta):
        _add_marginal(axis, view, i, modes)
    axis.set_ylabel(view.label_with_unit(i))
    head(axis, _title(view, i, modes))
    axis.grid(False, axis="x")


def _ends(view: RunView, i: int, rows: Array) -> tuple[float, float]:
    """Ends of the axis: all bars if the posterior stays visible, otherwise only its vicinity."""
    low, high = float(rows.min()), float(rows.max())
    if len(view.theta):
        below, above = map(float, view.quantiles(i, SHOWN))
        truth = view.truth[i] if view.truth else None
        known = [truth] if truth is not None and np.isfinite(truth) else []
        below, above = min([below, *known]), max([above, *known])
        reach = WIDER * (above - below) or 0.05 * (high - low)
        low, high = min(max(low, below - reach), below), max(min(high, above + reach), above)
    margin = 0.04 * (high - low) or 1e-3 * abs(high) or 1.0
    return low - margin, high + margin


def _title(view: RunView, i: int, modes: Sequence[Mode]) -> str:
    """Median and 68 %, or several modes, with the unit."""
    label, unit = view.labels[i], view.units[i] if view.units else ""
    if not len(view.theta):
        return label
    if len(modes) > MOST_MODES:
        return f"{label}: {len(modes)} modes"
    if len(modes) > 1:
        low, high = view.quantiles(i, SHOWN)
        n_digits = int(np.clip(-np.floor(np.log10(0.02 * (high - low))), 0, 12))
        value = " or ".join(f"{mode.place:.{n_digits}f} ({percent(mode.share)})" for mode in modes)
        value = value.replace("-", "\N{MINUS SIGN}")
    else:
        below, middle, above = view.quantiles(i, QUANTILES[1:4])
        value = with_errors(middle, below, above)
    value = f"{value} {unit}".rstrip()
    return label + ("\n" if len(label + value) > LONGEST_TITLE else " = ") + value


def _add_marginal(axis: Axes, view: RunView, i: int, modes: Sequence[Mode]) -> None:
    """Draw a weighted histogram that grows to the right of the last batch, with marks at its modes."""
    n_bins = int(np.clip(1.5 * np.sqrt(view.ess), *BINS))
    below, above = map(float, view.quantiles(i, SHOWN))
    if below == above:
        below, above = axis.get_ylim()
    places = np.linspace(below, above, n_bins + 1)
    height, _ = np.histogram(view.theta[:, i], places, weights=view.weights)
    n_batches = len(view.records)
    width = max(MARGINAL[0], MARGINAL[1] * n_batches)
    left = n_batches - 0.4
    axis.stairs(
        left + height / max(height.max(), 1e-300) * width,
        places,
        baseline=left,
        orientation="horizontal",
        fill=True,
        color=POSTERIOR,
    )
    for mode in modes if len(modes) > 1 else ():
        axis.plot(left + 1.08 * width, mode.place, "<", color="0.2", ms=5, clip_on=False)
    axis.set_xlim(right=left + 1.08 * width)
