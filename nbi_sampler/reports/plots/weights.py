"""Plots of the weights of the result and of their tail, which show whether a few draws dominate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nbi_sampler.core.config import RELIABILITY
from nbi_sampler.core.types import Array
from nbi_sampler.importance.pareto import tail_size
from nbi_sampler.reports.plots.style import COLOURS, MOST_COLUMNS, head, percent, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_tail", "draw_weights"]

# Relative to the mean; the first bin also counts smaller weights.
SMALLEST = 1e-4
N_BINS = 40
# Axes extend at least down to this value, so that they show two powers of ten.
DECADE = 0.09


def draw_weights(axis: Axes, weights: Array, n_draws: int) -> None:
    """Draw the distribution of the weights over the draws, and of the posterior's mass over the weights.

    The weights, shape (n,), are not zero and sum to one; ``n_draws`` includes draws of zero weight.
    """
    from matplotlib.ticker import NullFormatter

    n_zero = n_draws - len(weights)
    zero = f" ({percent(n_zero / n_draws, 1)} are zero)" if n_zero else ""
    title = f"Weights of the result's draws{zero}"
    if not len(weights):
        head(axis, title)
        say(axis, "no draw has a weight")
        return
    relative = np.maximum(weights * n_draws, SMALLEST)
    edges = np.geomspace(min(relative.min(), DECADE), max(relative.max(), 2.0) * 1.01, N_BINS + 1)
    draws, _ = np.histogram(relative, edges)
    mass, _ = np.histogram(relative, edges, weights=weights)
    axis.stairs(draws / n_draws, edges, fill=True, color="0.75", label="share of the draws")
    axis.stairs(mass, edges, color=COLOURS[0], lw=1.8, label="share of the posterior")
    axis.axvline(1.0, color="0.4", lw=1, linestyle=":")
    axis.set(xscale="log", xlabel="weight / mean weight", ylabel="share in a bin")
    axis.xaxis.set_minor_formatter(NullFormatter())
    head(axis, title)


def draw_tail(
    axis: Axes, weights: Array, n_draws: int, k_hat: float, most_columns: int = MOST_COLUMNS
) -> None:
    """Draw the share of the draws above a weight, and the Pareto tail with shape k-hat of the largest.

    Arguments are those of `draw_weights`.
    """
    from matplotlib.ticker import NullFormatter

    if not len(weights):
        head(axis, "Tail of the weights")
        say(axis, "no draw has a weight")
        return
    limit = RELIABILITY.heavy_tail
    side = "below" if k_hat <= limit else "above"
    title = rf"Tail of the weights: $\hat{{k}}$ = {k_hat:.2f}, {side} {limit}"
    ordered = np.sort(weights)[::-1]
    relative, share = ordered * n_draws, np.arange(1, len(ordered) + 1) / n_draws
    axis.plot(relative, share, color="0.35", lw=1.8, drawstyle="steps-post", label="draws")
    axis.plot(
        relative[0],
        share[0],
        "o",
        color=COLOURS[1],
        ms=6,
        label=f"largest: {percent(ordered[0], 2)} of the posterior",
    )
    n_tail = tail_size(n_draws)
    if 5 <= n_tail < len(relative) and math.isfinite(k_hat):
        x, y = _pareto_tail(relative[: n_tail + 1], n_tail / n_draws, k_hat)
        axis.plot(x, y, color=COLOURS[1], linestyle="--", lw=1.5, label=r"Pareto tail, shape $\hat{k}$")
    axis.set(xscale="log", yscale="log", xlabel="weight / mean weight", ylabel="share of draws above it")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set(xlim=(np.clip(relative[-1], 0.01, DECADE), relative[0] * 1.3), ylim=(0.6 / n_draws, 1.6))
    head(axis, title, most_columns=most_columns)


def _pareto_tail(tail: Array, share: float, k_hat: float) -> tuple[Array, Array]:
    """Generalised Pareto tail above ``tail[-1]``, with the median of the tail, shapes (100,) and (100,)."""
    threshold = tail[-1]
    median = float(np.median(tail[:-1])) - threshold
    shape = k_hat if abs(k_hat) > 1e-6 else 1e-6
    scale = max(median * shape / (2.0**shape - 1.0), 1e-300)
    x = np.linspace(threshold, tail[0] * 1.2, 100)
    survival = np.maximum(1.0 + shape * (x - threshold) / scale, 0.0) ** (-1.0 / shape)
    return x[survival > 0.0], share * survival[survival > 0.0]
