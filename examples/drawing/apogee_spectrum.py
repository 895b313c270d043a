"""The figure of `apogee_spectrum.py`: three lines of a star, residuals, and its velocity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from bilby.core.result import Result

from .shared import BLUE, VERMILION, posterior_band, save, with_residuals

__all__ = ["draw"]


def draw(
    result: Result,
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    spectrum: Callable[..., np.ndarray],
    lines: tuple[float, ...],
    pipeline: tuple[float, float],
    path: str,
) -> None:
    """Draw the spectrum with the band of the model, residuals, and the velocity.

    Parameters
    ----------
    result : bilby.core.result.Result
    data : tuple of three ndarrays, shape (n_pixels,)
        Wavelengths in Angstrom, fluxes, and which of them were fitted.
    spectrum : callable
        Flux as a function of wavelengths and of the parameters.
    lines : tuple of float
        Wavelengths of the lines.
    pipeline : tuple of two floats
        Heliocentric velocity that was removed from the data, and its uncertainty, in km/s.
    path : str
    """
    wavelength, flux, fitted = data
    names = [name for name in result.priors if name != "sigma"]
    low, median, high = posterior_band(result, names, partial(spectrum, wavelength), n_draws=200)
    top, bottom = with_residuals(plt.figure(figsize=(9, 5), layout="constrained"))
    used = np.where(fitted, flux, np.nan)
    steps = dict(drawstyle="steps-mid", lw=0.9)
    top.plot(wavelength, flux, color="0.75", label="left out: night sky, other lines", **steps)
    top.plot(wavelength, used, color="0.15", label="APOGEE, 2MASS J19485057+5005279", **steps)
    top.fill_between(wavelength, low, high, color=VERMILION, alpha=0.4, lw=0)
    top.plot(wavelength, median, color=VERMILION, lw=1.0, label="posterior, 95 %")
    for line in lines:
        top.annotate("Al I", (line, 1.06), ha="center", fontsize=9)
    top.set(ylabel="flux / continuum", xlim=(16712, 16782), ylim=(0.45, 1.12))
    top.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.2, 0.0))
    sigma = 100 * result.posterior["sigma"].median()
    bottom.axhspan(-sigma, sigma, color=BLUE, alpha=0.2, lw=0, label=r"$\pm\sigma$")
    bottom.plot(wavelength, 100 * (used - median), color="0.15", **steps)
    bottom.axhline(0, color=VERMILION, lw=1.0)
    bottom.set(xlabel=r"vacuum wavelength at rest ($\rm\AA$)", ylabel="residual (%)", ylim=(-5.5, 5.5))
    inset, (velocity, error) = top.inset_axes((0.3, 0.4, 0.2, 0.36)), pipeline
    inset.hist(velocity + result.posterior["velocity"], bins=30, color=BLUE, histtype="stepfilled")
    inset.axvspan(velocity - error, velocity + error, color="0.6")
    inset.annotate("pipeline", (velocity + 0.08, 0.85), xycoords=("data", "axes fraction"), fontsize=8)
    limits = velocity - 1.0, velocity + 0.8
    inset.set(xlabel="heliocentric velocity (km s$^{-1}$)", yticks=[], xlim=limits)
    save(top.figure, path)
