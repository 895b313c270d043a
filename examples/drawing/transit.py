"""The figure of `transit.py`: light curve, residuals, and the geometry of the transit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from bilby.core.result import Result

from .shared import BLUE, corner_of, data_beside_corner, posterior_band, save

__all__ = ["draw"]


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray],
    sigma: float,
    transit: Callable[..., np.ndarray],
    truth: Mapping[str, float],
    path: str,
) -> None:
    """Draw the light curve with the posterior's 95 % and residuals, and the posterior of the geometry.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of two ndarrays, shape (n_data,)
        Times in days, and fluxes.
    sigma : float
        Uncertainty of the fluxes.
    transit : callable
        Flux at the times as a function of the parameters.
    truth : mapping of str to float
    path : str
    """
    time, observed = data
    figure, (top, bottom), right = data_beside_corner(4.6, margin=0.14)
    low, median, high = posterior_band(result, truth, partial(transit, time), n_draws=300)
    hours, residual = 24 * time, 1e6 * (observed - median)
    top.plot(hours, observed, ".", color="0.6", ms=4, label="two minutes")
    bottom.plot(hours, residual, ".", color="0.6", ms=4)
    bins = dict(yerr=1e6 * sigma / np.sqrt(8), fmt="o", ms=3.5, lw=0.8, color="0.15", label="16 minutes")
    bottom.errorbar(*np.array([hours, residual]).reshape(2, -1, 8).mean(axis=2), **bins)
    top.fill_between(hours, low, high, color=BLUE, alpha=0.5, lw=0, label="posterior")
    bottom.fill_between(hours, 1e6 * (low - median), 1e6 * (high - median), color=BLUE, alpha=0.5, lw=0)
    top.set(ylabel="relative flux", xlim=hours[[0, -1]])
    figure.legend(frameon=False, loc=(0.22, 0.66), fontsize=9)
    bottom.set(xlabel="hours from the expected transit", ylabel="residual (ppm)", ylim=(-1100, 1100))
    shown = {name: truth[name] for name in ("radius", "axis", "impact")}
    corner_of(result.nested_samples, result.priors, shown, "truth", fig=right)
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.2, top=0.97)
    save(figure, path)
