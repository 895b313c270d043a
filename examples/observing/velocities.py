"""Velocities of a star from several instruments: a likelihood with an offset and a jitter for each.

`hd_164922.py` uses it and names the planets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import bilby
import numpy as np

__all__ = ["Velocities"]


class Velocities(bilby.Likelihood):
    """Gaussian likelihood with variances from the data and from the jitter of each instrument.

    Parameters are `offset_NAME` and `jitter_NAME` of each instrument, in m/s, and those of the orbits.

    Parameters
    ----------
    data : tuple of four ndarrays, shape (n_data,)
        Times, velocities and their uncertainties in m/s, and the instrument of each velocity.
    orbit : callable
        Velocity due to one planet as a function of parameters, its name and times.
    planets : str
        Names of the planets, one letter each.
    """

    def __init__(self, data: tuple[np.ndarray, ...], orbit: Callable[..., np.ndarray], planets: str) -> None:
        super().__init__()
        self.time, self.velocity, self.error, instrument = data
        self.orbit, self.planets = orbit, planets
        self.seen_by = {name: instrument == name for name in np.unique(instrument)}

    def predict(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Velocity at each observation, shape (n_data,)."""
        planets = sum(self.orbit(parameters, name, self.time) for name in self.planets)
        return self._of_instruments("offset", parameters) + planets

    def variance(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Variance of each observation, shape (n_data,)."""
        return self.error**2 + self._of_instruments("jitter", parameters) ** 2

    def log_likelihood(self, parameters: Mapping[str, float]) -> float:
        """Log-likelihood of one set of parameters."""
        variance = self.variance(parameters)
        residual = self.velocity - self.predict(parameters)
        return -0.5 * np.sum(residual**2 / variance + np.log(2 * np.pi * variance))

    def _of_instruments(self, quantity: str, parameters: Mapping[str, float]) -> np.ndarray:
        """Value of a parameter of the instrument at each observation, shape (n_data,)."""
        return sum(parameters[f"{quantity}_{name}"] * seen for name, seen in self.seen_by.items())
