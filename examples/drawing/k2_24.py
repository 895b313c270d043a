"""The figure of `k2_24.py`: the velocity of the star due to each of its two planets."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result

from .shared import BLUE, VERMILION, save, ticks_inside

__all__ = ["draw"]


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray],
    velocity: Callable[..., np.ndarray],
    circular: Callable[..., np.ndarray],
    path: str,
) -> None:
    """Draw the velocity due to each planet by phase, and the residuals.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of two ndarrays, shape (n_data,)
        Times in days, and velocities in m/s.
    velocity, circular : callable
        Velocity from all causes, or from one planet, as functions of times and of the parameters.
    path : str
    """
    time, observed = data
    draws = result.posterior.sample(300, replace=True, random_state=1)
    best = draws[[key for key in result.priors if key != "sigma"]].median()
    residual = observed - velocity(time, **best)
    figure, panels = plt.subplots(
        2, 2, figsize=(9, 5), sharex="col", sharey="row", height_ratios=(3, 1), layout="constrained"
    )
    phase = np.linspace(-0.5, 0.5, 200)
    points = dict(yerr=draws["sigma"].median(), fmt="o", ms=4, lw=0.8, color="0.15")
    for planet, (top, bottom), colour in zip("bc", panels.T, (BLUE, VERMILION), strict=True):
        K, P, T = (best[f"{name}_{planet}"] for name in "KPT")
        at = (time - T + P / 2) % P / P - 0.5
        curves = circular(phase, draws[f"K_{planet}"].to_numpy()[:, None], 1.0, 0.0)
        for level, alpha in ((95, 0.2), (68, 0.35)):
            low, high = np.percentile(curves, (50 - level / 2, 50 + level / 2), axis=0)
            top.fill_between(phase, low, high, color=colour, alpha=alpha, lw=0, label=f"{level} %")
        top.errorbar(at, residual + circular(time, K, P, T), **points)
        top.set_title(f"K2-24 {planet}, {P:.3f} days")
        top.legend(frameon=False, loc="upper right", ncols=2)
        bottom.errorbar(at, residual, **points)
        bottom.axhline(0, color=colour, lw=1)
        bottom.set(xlabel="orbits since transit", xlim=(-0.5, 0.5))
    panels[0, 0].set(ylabel="velocity (m s$^{-1}$)", ylim=(-16, 20))
    panels[1, 0].set(ylabel="residual (m s$^{-1}$)", ylim=(-12, 12))
    ticks_inside(panels.flat)
    save(figure, path)
