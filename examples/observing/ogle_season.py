"""A season of OGLE, simulated or read: times and errors of the observations, and the input of a network.

`survey_microlensing.py` uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit

__all__ = ["N_NIGHTS", "SEASON_START", "LightCurve", "observe", "read"]

SEASON_START, N_NIGHTS = 5264, 234  # HJD - 2450000 of the season of 2010, and how many nights it has
NIGHT = (0.48, 0.94)  # when it is dark in Chile, as a fraction of a day


class LightCurve(NamedTuple):
    """Days of the season, fluxes in units of the baseline, their errors, and a mask of the present points.

    All have one shape. For networks it is (..., N_NIGHTS), with one slot for each night.
    """

    time: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    mask: np.ndarray

    def for_network(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Input rows of a network: times and compressed significances, uncertainties, and a mask."""
        significance = np.arcsinh((self.flux - 1) / self.error)
        return np.stack([self.time, significance], axis=-2), self.error, self.mask

    def nightly_means(self) -> LightCurve:
        """Weighted means of the nights of the season; ones in nights without points."""
        night, means = np.floor(self.time).astype(int), np.ones((3, N_NIGHTS))
        mask = np.isin(np.arange(N_NIGHTS), night)
        for i in np.flatnonzero(mask):
            weights = np.where(night == i, self.error**-2.0, 0.0)
            means[:2, i] = np.array([self.time, self.flux]) @ weights / weights.sum()
            means[2, i] = weights.sum() ** -0.5
        return LightCurve(*means, mask)


def observe(flux_at: Callable[..., np.ndarray], events: np.ndarray, rng: np.random.Generator) -> LightCurve:
    """Observe events for a season, once a night at a random hour.

    Fields differ in how often they are visited, and stars in how faint they are.

    Parameters
    ----------
    flux_at : callable
        Flux in units of the baseline as a function of times and of the parameters.
    events : ndarray, shape (..., n_parameters)
        Parameters in the order of the arguments of `flux_at`.
    rng : numpy.random.Generator

    Returns
    -------
    LightCurve
        Has the shape (..., N_NIGHTS).
    """
    shape = events.shape[:-1]
    night = np.arange(N_NIGHTS)
    weather = np.cumsum(rng.normal(size=(*shape, N_NIGHTS + 8)), axis=-1)
    clear = weather[..., 8:] - weather[..., :-8] > -0.8 * np.sqrt(8)  # bad weather comes in spells
    visible = 0.4 + 0.6 * np.sin(np.pi * (night + 0.5) / N_NIGHTS)  # the bulge sets early in autumn
    visited = rng.random((*shape, N_NIGHTS)) < visible * rng.uniform(0.3, 1.0, size=(*shape, 1))
    time = night + rng.uniform(*NIGHT, size=(*shape, N_NIGHTS))
    flux = flux_at(time, *(events[..., i, None] for i in range(events.shape[-1])))
    faintness = 0.006 * (0.2 / 0.006) ** np.sqrt(rng.uniform(size=(*shape, 1)))  # most stars are faint
    photons = rng.uniform(0.5, 1.0, size=(*shape, 1))  # 0.5 where the source makes the noise
    error = faintness * np.clip(flux, 0.1, None) ** photons
    error = error * np.exp(0.1 * rng.normal(size=time.shape))
    return LightCurve(time, flux + error * rng.normal(size=time.shape), error, clear & visited)


def read(path: Path, flux_at: Callable[..., np.ndarray], guess: list[float]) -> LightCurve:
    """Read all points of a real event of the season, in units of the median flux after it.

    Parameters
    ----------
    path : Path
        HJD - 2450000, magnitudes and their errors.
    flux_at : callable
        Flux as a function of times and of the parameters. Its best fit scales the errors to a chi^2 per
        degree of freedom of one.
    guess : list of float
        Parameters at which the fit starts.

    Returns
    -------
    LightCurve
        Has the shape (n_data,).
    """
    time, magnitude, magnitude_error = np.loadtxt(path, unpack=True)
    time = time - SEASON_START
    flux = 10 ** (-0.4 * (magnitude - np.median(magnitude[time > N_NIGHTS])))
    error = flux * magnitude_error * np.log(10) / 2.5
    best, _ = curve_fit(flux_at, time, flux, p0=guess, sigma=error)
    chi_squared = np.sum(((flux - flux_at(time, *best)) / error) ** 2)
    error = error * np.sqrt(chi_squared / (len(time) - len(guess)))
    return LightCurve(time, flux, error, np.full(len(time), True))
