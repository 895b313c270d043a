"""The figure of `sine.py`: data, residuals, and a posterior of two modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from bilby.core.result import Result

from .shared import BLUE, VERMILION, corner_of, data_beside_corner, save

__all__ = ["draw"]


def cut(phi0: np.ndarray) -> np.ndarray:
    """Phases on the circle cut at minus a quarter turn, away from both modes."""
    return (phi0 + np.pi / 2) % (2 * np.pi) - np.pi / 2


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray],
    sigma: float,
    sine: Callable[..., np.ndarray],
    truth: Mapping[str, float],
    path: str,
) -> None:
    """Draw the data with draws from the posterior, the residuals, and the posterior.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of two ndarrays, shape (n_data,)
        Times and values.
    sigma : float
        Uncertainty of the values.
    sine : callable
        Wave as a function of times and of the parameters.
    truth : mapping of str to float
    path : str
    """
    (t, y), names = data, list(result.priors)
    figure, (top, bottom), right = data_beside_corner(4.6, margin=0.15)
    grid = np.linspace(-0.02, 1.02, 500)
    curves = np.array([sine(grid, *each) for each in result.posterior[names].to_numpy()[:200]])
    median = np.median(curves, axis=0)
    points = dict(yerr=sigma, fmt="o", ms=3, lw=0.8, color="0.15")
    top.errorbar(t, y, label="data", **points)
    top.plot(grid, curves.T, color=BLUE, lw=0.5, alpha=0.1)
    top.plot([], [], color=BLUE, label="posterior")
    top.plot(grid, sine(grid, **truth), color=VERMILION, ls="--", lw=1.2, label="truth")
    top.set(ylabel="$y$", xlim=grid[[0, -1]], ylim=(-0.7, 1.0))
    top.legend(frameon=False, ncols=3, loc="upper center")
    bottom.errorbar(t, y - np.interp(t, grid, median), **points)
    bottom.plot(grid, (curves - median).T, color=BLUE, lw=0.5, alpha=0.1)
    bottom.set(xlabel="$t$ (s)", ylabel="residual", ylim=(-0.45, 0.45))

    draws = result.nested_samples
    corner_of(
        draws.assign(phi0=cut(draws["phi0"])),
        result.priors,
        dict(truth) | dict(phi0=cut(truth["phi0"])),
        "truth",
        range=[(-1.2, 4.2), (-0.6, 0.6), (36.1, 37.5)],
        **dict(fig=right, bins=40, max_n_ticks=4, labelpad=0.1),
    )
    right.subplots_adjust(left=0.18, right=0.97, bottom=0.18, top=0.97)
    save(figure, path)
