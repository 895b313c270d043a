"""The figure of `own_simulator.py`: detections and upper limits of an afterglow, and the posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from bilby.core.result import Result

from .shared import BLUE, VERMILION, band, corner_of, data_beside_corner, save

__all__ = ["draw"]


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    light_curve: Callable[..., np.ndarray],
    truth: Mapping[str, float],
    path: str,
) -> None:
    """Draw detections and limits with the band of the posterior, residuals, and the posterior.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of four ndarrays, shape (n_data,)
        Times, fluxes (0 without a detection), their noise and the limits of a detection.
    light_curve : callable
        Flux, as a function of a dictionary of parameters and of times.
    truth : mapping of str to float
    path : str
    """
    epoch, flux, noise, limit = data
    figure, (top, bottom), right = data_beside_corner(4.8, margin=0.13)
    draws = result.posterior.sample(300, replace=True, random_state=1).to_dict("records")
    grid, seen = np.geomspace(3, 1200, 300), flux > 0
    low, median, high = band(light_curve(each, grid) for each in draws)
    points = dict(fmt="o", ms=3.5, lw=0.8, color="0.15")
    top.errorbar(epoch[seen], flux[seen], noise[seen], label="detections", **points)
    top.plot(epoch[~seen], limit[~seen], "v", ms=5, mfc="none", color="0.15", label=r"limits (3$\sigma$)")
    top.fill_between(grid, low, high, color=BLUE, alpha=0.3, lw=0)
    top.plot(grid, median, color=BLUE, label="posterior, 95 %")
    top.plot(grid, light_curve(truth, grid), color=VERMILION, ls="--", lw=1.2, label="truth")
    top.set(ylabel=r"flux density ($\mu$Jy)", xscale="log", yscale="log", xlim=grid[[0, -1]], ylim=(2, 250))
    top.legend(frameon=False, loc="lower center")
    residual = (flux - np.interp(epoch, grid, median)) / noise
    bottom.errorbar(epoch[seen], residual[seen], 1.0, **points)
    bottom.axhline(0, color=BLUE, lw=1)
    bottom.set(xlabel="time since merger (d)", ylabel=r"residual / $\sigma$", ylim=(-3.9, 3.9))
    corner_of(result.nested_samples, result.priors, truth, "truth", fig=right)
    right.subplots_adjust(left=0.19, right=0.97, bottom=0.19, top=0.97)
    for panel in right.axes:
        panel.tick_params(labelsize=8)
    save(figure, path)
