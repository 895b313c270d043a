"""Plots of a comparison: superposed posteriors, evidences, and costs against the cost of a call.

They need matplotlib and do not change its global state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nbi_sampler.importance.weights import weighted_quantiles
from nbi_sampler.reports.plots.style import COLOURS, head
from nbi_sampler_benchmark.runs.records import RunRecord
from nbi_sampler_benchmark.samplers.costs import CostLine, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nbi_sampler_benchmark.samplers.comparison import Comparison

__all__ = ["corner_figure", "corner_names", "cost_figure", "evidence_figure"]

Array = NDArray[np.float64]

DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
# Most parameters in the superposed corner plot, so that they are legible.
MOST_PARAMETERS = 6
N_BINS = 60
SHOWN = (0.001, 0.999)
# Masses within one and two standard deviations of a Gaussian in the plane.
MASSES = 1 - np.exp([-0.5, -2.0])
SECONDS_PER_CALL = (1e-6, 1e2)


def corner_names(comparison: Comparison) -> list[str]:
    """Parameters of the superposed corner plot: all, or those in which two samplers differ most."""
    names = comparison.names
    if len(names) <= MOST_PARAMETERS:
        return names
    pairs = comparison.pairs()
    worst = {name: max((pair.divergences[name] for pair in pairs), default=0.0) for name in names}
    chosen = sorted(names, key=lambda name: -worst[name])[:MOST_PARAMETERS]
    return [name for name in names if name in chosen]


def corner_figure(comparison: Comparison) -> Figure:
    """Marginals, and contours of 39 % and 86 % of the mass, of the first run of every sampler."""
    from matplotlib.figure import Figure

    names = corner_names(comparison)
    n = len(names)
    size = max(2.1 * n + 0.6, 4.5)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots(n, n, sharex="col", squeeze=False)
    styles = _styles(comparison)
    firsts = {sampler: comparison.runs_of(sampler)[0] for sampler in comparison.samplers}
    limits = {name: _limits(list(firsts.values()), name) for name in names}
    for row, below in enumerate(names):
        for column, left in enumerate(names):
            axis = axes[row, column]
            if column > row:
                axis.remove()
                continue
            for sampler, run in firsts.items():
                if column == row:
                    _draw_marginal(axis, run, left, limits[left], styles[sampler])
                else:
                    _draw_contours(axis, run, (left, below), (limits[left], limits[below]), styles[sampler])
            _dress(axis, comparison, (left, below if column < row else None), limits)
            axis.tick_params(labelleft=column == 0 and row > 0, labelbottom=row == n - 1)
            if row == n - 1:
                axis.set_xlabel(comparison.labels.get(left, left))
            if column == 0 and row > 0:
                axis.set_ylabel(comparison.labels.get(below, below))
    said = "contours: 39 % and 86 %\nof the posterior"
    if comparison.truth:
        said += "\ngrey lines: injected values"
    figure.legend(handles=_handles(styles), loc="upper right", fontsize=10, title=said, title_fontsize=9)
    return figure


def evidence_figure(comparison: Comparison) -> Figure:
    """Log Z of every run with its error, one line each, and the reference if it is known."""
    from matplotlib.figure import Figure

    runs = [run for run in comparison.runs if math.isfinite(run.log_evidence)]
    figure = Figure(figsize=(6.5, 1.1 + 0.28 * len(runs)), layout="constrained")
    axis = figure.subplots()
    styles = _styles(comparison)
    if math.isfinite(comparison.log_evidence):
        error = comparison.log_evidence_err
        axis.axvspan(comparison.log_evidence - error, comparison.log_evidence + error, color="0.85", lw=0)
        axis.axvline(comparison.log_evidence, color="0.4", lw=1, label="reference")
    for y, run in enumerate(runs):
        axis.errorbar(
            run.log_evidence,
            y,
            xerr=run.log_evidence_err,
            fmt="o",
            capsize=3,
            color=styles[run.sampler]["color"],
        )
    labels = [run.sampler + ("" if run.seed is None else f", seed {run.seed}") for run in runs]
    axis.set_yticks(range(len(runs)), labels)
    axis.invert_yaxis()
    axis.set_xlabel("log evidence")
    axis.grid(False, axis="y")
    head(axis, "")
    return figure


def cost_figure(comparison: Comparison) -> Figure:
    """Time of a whole run, and of one effective sample, against the duration of one likelihood call."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    titles = {False: "A whole run", True: "One effective sample"}
    for axis, (per_ess, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        _draw_costs(axis, comparison, comparison.cost_lines(per_ess))
        for other, where in comparison.crossovers(per_ess).items():
            for t in (where.start, where.end):
                if SECONDS_PER_CALL[0] < t < SECONDS_PER_CALL[1]:
                    y = comparison.cost_lines(per_ess)[other].seconds(t)
                    axis.plot(t, y, "o", color="0.1", mfc="white", ms=7, zorder=5)
                    axis.annotate(duration(t), (t, y), (8, -4), textcoords="offset points", va="top")
        axis.set(xlabel="seconds of one likelihood call", ylabel="seconds")
        axis.set_title(title)
    return figure


def _draw_costs(axis: Axes, comparison: Comparison, lines: Mapping[str, CostLine]) -> None:
    t = np.geomspace(*SECONDS_PER_CALL, 200)
    styles = _styles(comparison)
    for sampler, line in lines.items():
        axis.loglog(t, line.overhead + line.calls * t, label=sampler, **styles[sampler])
    if math.isfinite(comparison.seconds_per_call):
        axis.axvline(comparison.seconds_per_call, color="0.6", lw=1)
        axis.annotate(
            "as it is",
            (comparison.seconds_per_call, 1),
            (3, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color="0.4",
        )
    axis.set_xlim(*SECONDS_PER_CALL)
    axis.legend()


def _draw_marginal(axis: Axes, run: RunRecord, name: str, limits: Array, style: Mapping[str, Any]) -> None:
    x = run.theta[:, run.names.index(name)]
    counts, edges = np.histogram(x, N_BINS, limits.tolist(), weights=run.weights)
    smooth = gaussian_filter(counts, 1.0, mode="reflect")
    axis.plot((edges[1:] + edges[:-1]) / 2, smooth / max(smooth.max(), 1e-300), **style)
    axis.set(ylim=(0, 1.08), yticks=[])


def _draw_contours(
    axis: Axes, run: RunRecord, names: tuple[str, str], limits: tuple[Array, Array], style: Mapping[str, Any]
) -> None:
    x, y = (run.theta[:, run.names.index(name)] for name in names)
    ranges = [each.tolist() for each in limits]
    counts, x_edges, y_edges = np.histogram2d(x, y, N_BINS, ranges, weights=run.weights)
    smooth = gaussian_filter(counts, 1.5, mode="reflect")
    levels = _levels(smooth)
    if len(levels):
        centres = [(edges[1:] + edges[:-1]) / 2 for edges in (x_edges, y_edges)]
        dash = {"colors": [style["color"]], "linestyles": [style["linestyle"]], "linewidths": style["lw"]}
        axis.contour(*centres, smooth.T, levels=levels, **dash)


def _levels(density: Array) -> Array:
    """Densities above which the masses lie, ascending and distinct."""
    ordered = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(ordered)
    where = np.searchsorted(mass, MASSES * mass[-1])
    return np.unique(ordered[np.minimum(where, len(ordered) - 1)])


def _dress(
    axis: Axes, comparison: Comparison, names: tuple[str, str | None], limits: Mapping[str, Array]
) -> None:
    """Set limits, truths and a few ticks of a panel; the second name is that of the vertical axis, if any."""
    from matplotlib.ticker import MaxNLocator

    x, y = names
    line: dict[str, Any] = dict(color="0.5", lw=0.8)
    axis.set_xlim(*limits[x])
    axis.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    if x in comparison.truth:
        axis.axvline(comparison.truth[x], **line)
    if y is not None:
        axis.set_ylim(*limits[y])
        axis.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
        if y in comparison.truth:
            axis.axhline(comparison.truth[y], **line)
    axis.grid(False)


def _limits(runs: list[RunRecord], name: str) -> Array:
    """Range that contains nearly all mass of every run."""
    ends = np.array(
        [weighted_quantiles(run.theta[:, [run.names.index(name)]], run.weights, SHOWN)[0] for run in runs]
    )
    low, high = ends[:, 0].min(), ends[:, 1].max()
    margin = 0.03 * (high - low) or 1e-3 * max(abs(low), 1.0)
    return np.array([low - margin, high + margin])


def _styles(comparison: Comparison) -> dict[str, dict[str, Any]]:
    return {
        sampler: {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)], "lw": 1.4}
        for i, sampler in enumerate(comparison.samplers)
    }


def _handles(styles: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=sampler, **style) for sampler, style in styles.items()]
