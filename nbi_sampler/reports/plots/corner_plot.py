"""Corner plot of weighted draws, with as many parameters as are legible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from nbi_sampler.algorithm.records import QUANTILES
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.importance.weights import systematic_indices, weighted_quantiles
from nbi_sampler.reports.plots.modes import modes_of
from nbi_sampler.reports.plots.style import COLOURS, percent
from nbi_sampler.reports.plots.view import RunView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["corner_figure", "most_correlated"]

# Probabilities within one and two standard deviations of a normal law in two dimensions.
LEVELS = (0.393, 0.865)
FEWEST_FOR_CONTOURS = 100.0
# Share of the posterior in the plot; the rest has little weight and may be far away.
SHOWN = (0.001, 0.999)
# Size of a panel, with few parameters and with many.
INCHES = (2.2, 1.6)
FEW = 4
BINS = (16, 40)


def most_correlated(view: RunView, n_most: int) -> tuple[int, ...]:
    """Choose the parameters whose draws depend most on each other, which a corner plot is meant to show.

    Pairs are taken in the order of their absolute rank correlation until there are ``n_most`` parameters.
    """
    if view.n_dim <= n_most:
        return tuple(range(view.n_dim))
    rows = systematic_indices(view.weights, 2_000, stage_generator(0, "corner"))
    ranks = np.apply_along_axis(rankdata, 0, view.theta[rows])
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.abs(np.nan_to_num(np.corrcoef(ranks.T)))
    chosen: dict[int, None] = {}
    pairs = np.column_stack(np.triu_indices(view.n_dim, 1))
    for first, second in pairs[np.argsort(-size[tuple(pairs.T)], kind="stable")]:
        for each in (int(first), int(second)):
            if len(chosen) < n_most:
                chosen.setdefault(each)
    return tuple(sorted(chosen))


def corner_figure(view: RunView, shown: Sequence[int], n_rows: int) -> Figure:
    """Draw marginals of the parameters with these numbers.

    If there are more than ``n_rows`` draws, that many equally likely ones represent them. A text beside the
    panels explains contours and lines.
    """
    import corner
    from matplotlib.figure import Figure

    theta, weights = view.theta[:, list(shown)], view.weights
    if len(theta) > n_rows:
        rows = systematic_indices(weights, n_rows, stage_generator(0, "corner"))
        theta, weights = theta[rows], np.full(n_rows, 1.0 / n_rows)
    ends = weighted_quantiles(theta, weights, SHOWN)
    truths = [view.truth[i] if view.truth else None for i in shown]
    size = INCHES[len(shown) > FEW] * max(len(shown), 2)
    figure = Figure(figsize=(size, size))
    corner.corner(
        theta,
        weights=weights,
        bins=int(np.clip(0.6 * np.sqrt(view.ess), *BINS)),
        range=[_range(each, truth) for each, truth in zip(ends, truths, strict=True)],
        labels=[view.label_with_unit(i) for i in shown],
        # corner cannot mark them in a single panel.
        truths=truths if len(shown) > 1 else None,
        truth_color=COLOURS[1],
        color=COLOURS[0],
        levels=LEVELS,
        smooth=0.8 if view.ess >= FEWEST_FOR_CONTOURS else None,
        plot_contours=view.ess >= FEWEST_FOR_CONTOURS,
        plot_density=view.ess >= FEWEST_FOR_CONTOURS,
        max_n_ticks=4,
        labelpad=0.1,
        label_kwargs={"fontsize": 10},
        data_kwargs={"alpha": 0.25},
        hist_kwargs={"lw": 1.4},
        fig=figure,
    )
    _add_intervals(figure, theta, weights)
    for axis in figure.axes:
        axis.grid(False)
    if len(shown) == 1 and truths[0] is not None:
        figure.axes[0].axvline(truths[0], color=COLOURS[1])
    known = any(truth is not None for truth in truths)
    _explain(figure, len(shown), has_contours=view.ess >= FEWEST_FOR_CONTOURS, has_truths=known)
    return figure


def _add_intervals(figure: Figure, theta: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
    """Draw dashed lines at the median and the ends of the central 68 % of each marginal, or at its modes."""
    n = theta.shape[1]
    quantiles = weighted_quantiles(theta, weights, QUANTILES[1:4])
    for i in range(n):
        modes = modes_of(theta[:, i], weights)
        places = [mode.place for mode in modes] if len(modes) > 1 else quantiles[i]
        for place in places:
            figure.axes[i * (n + 1)].axvline(place, color=COLOURS[0], lw=1, linestyle="--")


def _explain(figure: Figure, n: int, *, has_contours: bool, has_truths: bool) -> None:
    """Explain lines and contours in the empty space above the diagonal, or above a single panel."""
    lines = ["dashed: median and central 68 %, or modes"]
    if n > 1 and has_contours:
        first, second = map(percent, LEVELS)
        lines.insert(0, f"contours: {first} and {second} of the posterior")
    if has_truths:
        lines.append("vermilion: injected values")
    # With few panels there is no space beside those of the top row.
    y, side = (0.98, "top") if n >= FEW else (1.0, "bottom")
    figure.text(0.98, y, "\n".join(lines), ha="right", va=side, fontsize=9, color="0.2")


def _range(ends: NDArray[np.float64], truth: float | None) -> tuple[float, float]:
    """Ends of an axis, also for a parameter with a single value."""
    low, high = map(float, ends)
    if truth is not None and np.isfinite(truth):
        low, high = min(low, truth), max(high, truth)
    margin = 0.05 * (high - low) or 1e-3 * abs(high) or 1.0
    return low - margin, high + margin
