"""The figures of `ogle_2008_blg_092.py`: the light curve with its residuals, and the posterior."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result
from matplotlib.lines import Line2D

from .shared import BLUE, VERMILION, corner_of, save, with_residuals

__all__ = ["draw"]


def draw(
    result: Result,
    best: np.ndarray,
    data: tuple[np.ndarray, np.ndarray, np.ndarray, float],
    flux_model: Callable[..., np.ndarray],
    season: tuple[float, float],
    stem: str,
) -> None:
    """Draw light curve and posterior.

    Parameters
    ----------
    result : bilby.core.result.Result
    best : ndarray, shape (n_dim,)
        Fit by least squares.
    data : tuple of three ndarrays, shape (n_data,), and a float
        Times, fluxes and their errors in units of the baseline, and the magnitude of the baseline.
    flux_model : callable
        Flux as a function of times and of the parameters.
    season : tuple of two floats
        First and last time in the plot.
    stem : str
        First part of the names of the two files.
    """
    draw_corner(result, best, f"{stem}_corner.png")
    draw_light_curve(result, data, flux_model, season, f"{stem}_light_curve.png")


def draw_corner(result: Result, best: np.ndarray, path: str) -> None:
    """Draw the marginals of all weighted draws, with the least-squares fit as lines."""
    priors = result.priors
    with plt.rc_context({"axes.formatter.useoffset": False, "axes.titlepad": 9}):
        figure = corner_of(
            result.nested_samples,
            priors,
            dict(zip(priors, best, strict=True)),
            titles=[prior.latex_label for prior in priors.values()],
            **dict(bins=40, smooth=1.2, labelpad=0.08, label_kwargs=dict(fontsize=14)),
            **dict(quantiles=(0.159, 0.5, 0.841), show_titles=True, title_fmt=".3f"),
            title_kwargs=dict(fontsize=13),
        )
    lines = {
        "contours: 39 % and 86 % of the posterior": Line2D([], [], color=BLUE),
        "dashed: median and central 68 %": Line2D([], [], color=BLUE, ls="--"),
        "least squares": Line2D([], [], color=VERMILION),
    }
    figure.legend(lines.values(), lines, fontsize=14, frameon=False, loc=(0.52, 0.83))
    save(figure, path, dpi=200, bbox_inches="tight")


def draw_light_curve(
    result: Result,
    data: tuple[np.ndarray, np.ndarray, np.ndarray, float],
    flux_model: Callable[..., np.ndarray],
    season: tuple[float, float],
    path: str,
) -> None:
    """Draw the season's magnitudes with curves from the posterior, and residuals from their median."""
    time, flux, error, baseline = data
    grid = np.linspace(season[0] - 5, season[1] + 5, 2000)
    chosen = result.nested_samples.sample(200, weights="weights", replace=True, random_state=1)
    draws = chosen[list(result.priors)].to_numpy()
    curves = np.array([flux_model(grid, *each) for each in draws])
    median = np.median(curves, axis=0)

    top, bottom = with_residuals(plt.figure(figsize=(7, 5.5), layout="constrained"))
    points = dict(fmt="o", ms=3, lw=0.8, color="0.15", label="OGLE-IV $I$ band, season 2010")
    top.errorbar(time, baseline - 2.5 * np.log10(flux), 2.5 / np.log(10) * error / flux, **points)
    top.plot(grid, baseline - 2.5 * np.log10(curves.T), color=VERMILION, lw=0.5, alpha=0.1)
    top.plot([], [], color=VERMILION, label=f"{len(draws)} draws from the posterior")
    top.set(ylabel="$I$ (mag)", xlim=grid[[0, -1]])
    top.invert_yaxis()
    top.legend(frameon=False, loc="upper right")

    expected = np.interp(time, grid, median)
    bottom.errorbar(time, -2500 * np.log10(flux / expected), 2500 / np.log(10) * error / flux, **points)
    bottom.plot(grid, -2500 * np.log10(curves / median).T, color=VERMILION, lw=0.5, alpha=0.2)
    bottom.set(xlabel="HJD $-$ 2450000 (days)", ylabel="residual (mmag)", ylim=(35, -35))
    save(top.figure, path, dpi=200)
