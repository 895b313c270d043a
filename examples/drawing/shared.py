"""Shared parts of the figures of the gallery: colours, panels with residuals, bands, corner plots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import corner
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from bilby.core.prior import PriorDict
from bilby.core.result import Result
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure

from nbi_sampler.reports.plots.style import COLOURS

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "VERMILION",
    "band",
    "corner_of",
    "data_beside_corner",
    "posterior_band",
    "save",
    "ticks_inside",
    "with_residuals",
]

BLUE, VERMILION, GREEN, PURPLE, ORANGE = COLOURS[:5]


def ticks_inside(panels: Iterable[Axes]) -> None:
    """Put ticks inside, on all four sides."""
    for panel in panels:
        panel.tick_params(direction="in", which="both", top=True, right=True)


def with_residuals(figure: FigureBase) -> tuple[Axes, Axes]:
    """A panel for data above a low panel for residuals."""
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    ticks_inside((top, bottom))
    return top, bottom


def data_beside_corner(height: float, margin: float) -> tuple[Figure, tuple[Axes, Axes], SubFigure]:
    """A wide figure: panels for data and residuals on the left, and space for a corner plot on the right.

    Parameters
    ----------
    height : float
        Height in inches.
    margin : float
        Margin on the left of the panels, as a share of their half.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : tuple of two matplotlib.axes.Axes
        See `with_residuals`.
    right : matplotlib.figure.SubFigure
    """
    figure = plt.figure(figsize=(10, height))
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    panels = with_residuals(left)
    left.subplots_adjust(left=margin, right=0.97, bottom=0.12, top=0.97, hspace=0.06)
    left.align_ylabels()
    return figure, panels, right


def band(curves: Iterable[np.ndarray]) -> np.ndarray:
    """Central 95 % of curves with the median between its edges: shape (3, n_points)."""
    return np.quantile(list(curves), (0.025, 0.5, 0.975), axis=0)


def posterior_band(
    result: Result, names: Iterable[str], curve: Callable[..., np.ndarray], n_draws: int
) -> np.ndarray:
    """Band of the curves at draws from the posterior, shape (3, n_points); see `band`.

    Parameters
    ----------
    result : bilby.core.result.Result
    names : iterable of str
        Parameters in the order of the arguments of `curve`.
    curve : callable
    n_draws : int
    """
    draws = result.posterior.sample(n_draws, replace=True, random_state=1)[list(names)]
    return band(curve(*each) for each in draws.to_numpy())


def corner_of(
    draws: pd.DataFrame, priors: PriorDict, truths: Mapping[str, float], said: str = "", **changes: Any
) -> Figure:
    """Corner plot of weighted draws, with contours that hold 39 % and 86 % of the posterior.

    Parameters
    ----------
    draws : pandas.DataFrame
        Parameters, and a column `weights`.
    priors : bilby.core.prior.PriorDict
        Priors, which give the labels of the axes.
    truths : mapping of str to float
        Parameters in the plot, with the values that lines mark.
    said : str
        Name of these values for a text that also explains the contours; None for no text.
    **changes
        Changes of the arguments of `corner.corner`.
    """
    settings = dict(
        labels=[priors[name].latex_label_with_unit for name in truths],
        range=[0.999] * len(truths),
        levels=1 - np.exp([-0.5, -2]),  # within 1 and 2 sigma of a Gaussian in the plane
        **dict(bins=30, smooth=1.0, fill_contours=True, plot_datapoints=False, max_n_ticks=3),
        **dict(color=BLUE, truth_color=VERMILION, labelpad=0.25),
    )
    shown = dict(weights=draws["weights"].to_numpy(), truths=list(truths.values()))
    figure = corner.corner(draws[list(truths)].to_numpy(), **shown, **settings | changes)
    if said:
        text = f"contours: 39 % and 86 %\nof the posterior\nlines: {said}"
        figure.text(0.97, 0.95, text, ha="right", va="top", fontsize=9)
    return figure


def save(figure: Figure, path: str | Path, **settings: Any) -> None:
    """Save the picture, and close the figure."""
    figure.savefig(path, **dict(dpi=150) | settings)
    plt.close(figure)
