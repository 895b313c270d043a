"""The figure of `counts.py`: counts of photons, and the bands of two models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result
from scipy import stats

from .shared import BLUE, VERMILION, posterior_band, save, with_residuals

__all__ = ["draw"]


def draw(
    with_line: Result,
    without: Result,
    data: tuple[np.ndarray, np.ndarray],
    expected: Callable[..., np.ndarray],
    path: str,
) -> None:
    """Draw counts with bands of both models, and residuals.

    Parameters
    ----------
    with_line, without : bilby.core.result.Result
    data : tuple of two ndarrays, shape (n_channels,)
        Equally spaced energies in keV, and counts.
    expected : callable
        Expected photons as a function of energies and of the parameters.
    path : str
    """
    energy, counts = data
    top, bottom = with_residuals(plt.figure(figsize=(8, 5.5), layout="constrained"))
    # Central 68 % of the means that would explain a count (Garwood 1936).
    low, high = stats.chi2.ppf([[0.159], [0.841]], [2 * counts, 2 * counts + 2]) / 2
    points = dict(fmt="o", ms=3, lw=0.8, color="0.15")
    top.errorbar(
        energy, counts, (counts - np.nan_to_num(low), high - counts), label="simulated counts", **points
    )
    for model, colour, label in ((without, BLUE, "power law"), (with_line, VERMILION, "power law and line")):
        below, median, above = posterior_band(model, with_line.priors, partial(expected, energy), n_draws=300)
        top.fill_between(energy, below, above, color=colour, alpha=0.3, lw=0)
        top.plot(energy, median, color=colour, lw=1.2, label=f"{label}, 95 %")
    half = (energy[1] - energy[0]) / 2
    top.set(ylabel="photons / 100 eV", xlim=(energy[0] - half, energy[-1] + half), ylim=(0, None))
    top.legend(frameon=False, loc="upper right")
    bottom.errorbar(energy, (counts - median) / np.sqrt(median), 1.0, **points)
    bottom.axhline(0, color=VERMILION, lw=1)
    bottom.set(xlabel="energy (keV)", ylabel=r"residual / $\sqrt{\rm model}$", ylim=(-4, 4))
    save(top.figure, path)
