"""The figure of `dynesty_comparison.py`: superposed posteriors of two samplers, and the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from nbi_sampler_benchmark import Comparison
from nbi_sampler_benchmark.samplers.figures import corner_figure

from .shared import BLUE, VERMILION, save, ticks_inside

__all__ = ["draw"]


def draw(
    comparison: Comparison,
    data: tuple[np.ndarray, np.ndarray],
    noise: float,
    ringdown: Callable[..., np.ndarray],
    path: str,
) -> None:
    """Draw both posteriors superposed, and the data beside them.

    Parameters
    ----------
    comparison : nbi_sampler_benchmark.Comparison
    data : tuple of two ndarrays, shape (n_data,)
        Times in ms, and strain.
    noise : float
        Uncertainty of the strain.
    ringdown : callable
        Strain as a function of times and of the parameters.
    path : str
    """
    time, strain = data
    figure = corner_figure(comparison)
    axis = figure.add_axes((0.6, 0.62, 0.37, 0.22))
    grid = np.linspace(time[0], time[-1], 500)
    for run, colour, dashes in zip(comparison.runs, (BLUE, VERMILION), ("-", "--"), strict=True):
        best = np.average(run.theta, axis=0, weights=run.weights)
        axis.plot(grid, ringdown(grid, *best), color=colour, ls=dashes, lw=1.2)
    axis.errorbar(time, strain, noise, fmt="o", ms=2, lw=0.6, color="0.15")
    axis.set(xlabel="time (ms)", ylabel=r"strain / $\sigma$", xlim=(-0.5, 25))
    ticks_inside([axis])
    save(figure, path)
