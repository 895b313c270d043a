"""Plots of residuals of the predictive check from the meta data of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from nbi_sampler.core.types import Array
from nbi_sampler.reports.plots.style import COLOURS, head

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["residuals_figure"]

BINS = (8, 40)
SHADES = ((2.0, "0.93"), (1.0, "0.86"))


def residuals_figure(residuals: Array, block: int) -> Figure:
    """Draw residuals, shape (n,), by data point, and their histogram with the normal law.

    Each represents a ``block`` of neighbours by the one that is farthest from zero. If a block has more than
    one data point, there is no histogram, because it would show extremes.
    """
    from matplotlib.figure import Figure

    alone = block > 1
    figure = Figure(figsize=(9.4, 2.9), layout="constrained")
    if alone:
        axes = [figure.subplots()]
    else:
        axes = list(figure.subplots(1, 2, sharey=True, width_ratios=[3.4, 1.0]))
    axis, highest = axes[0], max(float(np.abs(residuals).max()), 2.5)
    for sigma, shade in SHADES:
        axis.axhspan(-sigma, sigma, color=shade, lw=0)
    axis.axhline(0.0, color=COLOURS[1], lw=1.2)
    size = float(np.clip(60.0 / np.sqrt(len(residuals)), 2.0, 7.0))
    axis.plot(
        np.arange(len(residuals)) * block + 0.5 * (block + 1), residuals, ".", color=COLOURS[0], ms=size
    )
    axis.set(ylabel="residual / noise", ylim=(-1.1 * highest, 1.1 * highest), xlabel="data point")
    axis.margins(x=0.01)
    axis.grid(False)
    head(axis, f"Largest of every {block} residuals" if alone else "Residuals, averaged over the posterior")
    if not alone:
        _draw_histogram(axes[1], residuals, highest)
    return figure


def _draw_histogram(axis: Axes, residuals: Array, highest: float) -> None:
    n_bins = int(np.clip(2.0 * np.sqrt(len(residuals)), *BINS))
    edges = np.linspace(-1.1 * highest, 1.1 * highest, n_bins + 1)
    height, _ = np.histogram(residuals, edges, density=True)
    axis.stairs(height, edges, orientation="horizontal", fill=True, color="0.75", label="residuals")
    grid = np.linspace(edges[0], edges[-1], 200)
    axis.plot(norm.pdf(grid), grid, color=COLOURS[1], lw=1.5, label="N(0, 1)")
    axis.set(xticks=[], xlabel="share")
    axis.grid(False)
    head(axis, "Their distribution")
