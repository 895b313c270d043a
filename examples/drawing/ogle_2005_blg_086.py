"""The figure of `ogle_2005_blg_086.py`: a light curve without and with parallax, and the parallax vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from bilby.core.result import Result
from matplotlib.axes import Axes

from .shared import BLUE, GREEN, PURPLE, VERMILION, save, ticks_inside

__all__ = ["draw"]


def draw(
    runs: Mapping[str, Result],
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    magnitude: Callable[..., np.ndarray],
    solutions: Sequence[tuple[float, pd.DataFrame]],
    path: str,
) -> None:
    """Draw the light curve, the residuals of both models, and the parallax vector of each solution.

    Parameters
    ----------
    runs : mapping of str to bilby.core.result.Result
        "no parallax" and "parallax".
    data : tuple of three ndarrays, shape (n_data,)
        Times (HJD - 2450000), magnitudes and their errors.
    magnitude : callable
        Magnitude as a function of times and of the parameters.
    solutions : sequence of (float, pandas.DataFrame)
        Share and draws of each solution with parallax.
    path : str
    """
    figure = plt.figure(figsize=(10, 5.5), layout="constrained")
    rows = [["curve", "vector"], ["no parallax", "vector"], ["parallax", "vector"]]
    panels = figure.subplot_mosaic(rows, height_ratios=(2.2, 1, 1), width_ratios=(1.6, 1))
    draw_curves(panels, runs, data, magnitude)
    vectors = panels["vector"]
    for share, draws in solutions:
        some = draws.sample(int(4000 * share), replace=True, weights="weights", random_state=1)
        sign, colour = (">", GREEN) if draws["u0"].iloc[0] > 0 else ("<", PURPLE)
        vectors.plot(some["piE"], some["piN"], ".", ms=2, color=colour, alpha=0.4)
        at = some["piE"].mean(), some["piN"].min() - 0.02
        vectors.text(*at, f"$u_0 {sign} 0$: {100 * share:.0f} %", color=colour, ha="center", va="top")
    vectors.axhline(0, color="0.7", lw=0.8, zorder=0)
    vectors.set(xlabel=r"$\pi_{\rm E}$ to the east", ylabel=r"$\pi_{\rm E}$ to the north", ylim=(-0.55, 0.5))
    ticks_inside(panels.values())
    save(figure, path)


def draw_curves(
    panels: Mapping[str, Axes],
    runs: Mapping[str, Result],
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    magnitude: Callable[..., np.ndarray],
) -> None:
    """Draw the light curve with the best curve of each run, and the residuals; see `draw`."""
    time, observed, error = data
    points = dict(yerr=error, fmt="o", ms=2.5, lw=0.6, color="0.5")
    panels["curve"].errorbar(time, observed, **points)
    dense = np.linspace(time[0] - 60, time[-1] + 60, 2000)
    for (name, run), colour, style in zip(runs.items(), (VERMILION, BLUE), ("--", "-"), strict=True):
        draws = run.nested_samples
        best = draws.loc[draws["log_likelihood"].idxmax(), run.search_parameter_keys]
        parameters = dict(piN=0.0, piE=0.0) | best.to_dict()
        line = dict(ls=style, color=colour, lw=1.3, zorder=3, label=name)
        panels["curve"].plot(dense, magnitude(dense, **parameters), **line)
        panels[name].errorbar(time, observed - magnitude(time, **parameters), **points)
        panels[name].axhline(0, **line)
        panels[name].set(ylabel="residual (mag)", ylim=(0.085, -0.085))
    panels["curve"].set(ylabel="$I$ (mag)", ylim=(16.5, 15.2))
    panels["curve"].legend(frameon=False)
    panels["parallax"].set(xlabel="HJD $-$ 2450000 (days)")
    for name in ("curve", *runs):
        panels[name].set(xlim=dense[[0, -1]])
        panels[name].label_outer()
