"""The figure of `stellar_spectrum.py`: iron lines of a star, residuals, and marginals of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result
from matplotlib.axes import Axes

from .shared import BLUE, VERMILION, posterior_band, save, ticks_inside

__all__ = ["draw"]

LIGHT = 299792.458  # km/s


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray],
    spectrum: Callable[..., np.ndarray],
    lines: np.ndarray,
    truth: Mapping[str, float],
    path: str,
) -> None:
    """Draw the spectrum with the band of the posterior, residuals, and marginals of six parameters.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of two ndarrays, shape (n_pixels,)
        Wavelengths in Angstrom, and fluxes.
    spectrum : callable
        Flux as a function of wavelengths and of the parameters.
    lines : ndarray, shape (n_lines, 4)
        Lines: the first column is the wavelength at rest in Angstrom, the last is one for ionised iron.
    truth : mapping of str to float
    path : str
    """
    wavelength, flux = data
    shown = list(truth)[:6]
    figure, panels = plt.subplot_mosaic(
        [["top"] * 6, ["bottom"] * 6, shown],
        **dict(figsize=(11, 6.8), height_ratios=(3, 1, 1.5), layout="constrained"),
    )
    top, bottom = panels["top"], panels["bottom"]
    low, median, high = posterior_band(result, truth, partial(spectrum, wavelength), n_draws=200)
    points = dict(ls="none", marker=".", ms=2.5, color="0.15")
    top.plot(wavelength, flux, label="simulated spectrum", **points)
    top.plot(wavelength, median, color=VERMILION, lw=0.9, label="posterior, 95 %")
    top.fill_between(wavelength, low, high, color=VERMILION, alpha=0.4, lw=0)
    shifted = lines[:, 0] * (1 + result.posterior["velocity"].median() / LIGHT)
    for place, ionised in zip(shifted, lines[:, -1], strict=True):
        top.annotate("Fe II" if ionised else "Fe I", (place, 1.045), ha="center", fontsize=8)
    top.set(ylabel="flux / continuum", ylim=(0.3, 1.1), xticklabels=[])
    top.legend(frameon=False, loc="lower left", ncols=2, markerscale=2)
    bottom.plot(wavelength, 100 * (flux - median), **points)
    edges = 100 * (low - median), 100 * (high - median)
    bottom.fill_between(wavelength, *edges, color=VERMILION, alpha=0.6, lw=0)
    bottom.set(xlabel=r"wavelength in air ($\rm\AA$)", ylabel="residual (%)", ylim=(-2.2, 2.2))
    for name in shown:
        draw_marginal(panels[name], result, name, truth[name])
    panels["teff"].legend(frameon=False, loc="upper right", fontsize=8, handlelength=1.2)
    ticks_inside((top, bottom))
    for panel in (top, bottom):
        panel.set_xlim(wavelength[[0, -1]])
    save(figure, path)


def draw_marginal(panel: Axes, result: Result, name: str, truth: float) -> None:
    """Draw a histogram of one parameter, and its true value."""
    panel.hist(result.posterior[name], bins=30, color=BLUE, histtype="stepfilled", alpha=0.7)
    panel.axvline(truth, color=VERMILION, ls="--", label="truth")
    panel.set(xlabel=result.priors[name].latex_label_with_unit, yticks=[])
    panel.tick_params(axis="x", labelsize=8, rotation=30)
