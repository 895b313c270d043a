"""The figure of `one_parameter_more.py`: velocities with both orbits by phase, and the added parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from bilby.core.result import Result

from .shared import BLUE, VERMILION, corner_of, data_beside_corner, save

__all__ = ["draw"]


def draw(
    one: Result,
    two: Result,
    data: tuple[np.ndarray, np.ndarray],
    sigma: float,
    velocity: Callable[..., np.ndarray],
    truth: Mapping[str, float],
    path: str,
) -> None:
    """Draw velocities and residuals by phase with the best orbit of each result, and the added parameters.

    Parameters
    ----------
    one, two : bilby.core.result.Result
        Results without and with the added parameters.
    data : tuple of two ndarrays, shape (n_data,)
        Times in days, and velocities.
    sigma : float
        Uncertainty of the velocities.
    velocity : callable
        Velocity as a function of times and of the parameters.
    truth : mapping of str to float
    path : str
    """
    time, observed = data
    figure, (top, bottom), right = data_beside_corner(4.0, margin=0.12)
    for result, name, colour in ((one, "circular", VERMILION), (two, "eccentric", BLUE)):
        best = result.posterior.loc[result.posterior["log_likelihood"].idxmax()]
        values = {key: float(best[key]) for key in truth}
        phase = time / values["P"] % 1.0
        grid = np.linspace(0, 1, 200)
        top.plot(grid, velocity(grid * values["P"], **values), color=colour, label=name)
        bottom.errorbar(
            phase, observed - velocity(time, **values), sigma, fmt="o", ms=2.5, lw=0.6, color=colour
        )
    top.errorbar(time / float(best["P"]) % 1.0, observed, sigma, fmt="o", ms=3, lw=0.7, color="0.15")
    top.set(ylabel="velocity (m/s)")
    top.legend(frameon=False)
    bottom.set(xlabel="orbital phase", ylabel="residual (m/s)")
    shown = {name: truth[name] for name in ("K", "h", "k")}
    corner_of(two.nested_samples, two.priors, shown, said="injected values", fig=right)
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.18, top=0.97)
    save(figure, path)
