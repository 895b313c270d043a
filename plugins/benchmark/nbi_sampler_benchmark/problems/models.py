"""Predictions and log-likelihoods of the benchmark problems.

Arguments are named like the sampled parameters, because bilby reads the names from the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import bilby
import numpy as np

__all__ = [
    "FunctionLikelihood",
    "eggbox_log_likelihood",
    "line_model",
    "microlensing_model",
    "radial_velocity_model",
    "rosenbrock_log_likelihood",
    "sine_model",
    "spectrum_model",
    "transit_model",
]


def sine_model(t: np.ndarray, phi0: float, A: float, omega: float) -> np.ndarray:
    """Sine wave A sin(omega t + phi0)."""
    return A * np.sin(omega * t + phi0)


def line_model(x: np.ndarray, m: float, c: float) -> np.ndarray:
    """Straight line m x + c."""
    return m * x + c


@lru_cache(maxsize=1)
def _batman_model(times: bytes) -> tuple[Any, Any]:
    """Set up batman once for each time grid, because this costs more than the light curve itself."""
    import batman

    params = batman.TransitParams()
    params.t0, params.per, params.rp, params.a = 0.0, 3.5, 0.1, 9.0
    params.inc, params.ecc, params.w = 88.0, 0.0, 90.0
    params.u, params.limb_dark = [0.3, 0.2], "quadratic"
    return batman.TransitModel(params, np.frombuffer(times).copy(), nthreads=1), params


def transit_model(
    t: np.ndarray, t0: float, rp: float, a: float, b: float, u1: float, u2: float, f0: float
) -> np.ndarray:
    """Transit of a planet of 3.5 days with quadratic limb darkening (Kreidberg 2015, arXiv:1507.08285).

    Parameters
    ----------
    t : ndarray, shape (n_times,)
        Days from the reference epoch.
    t0 : float
        Mid-transit, days.
    rp, a, b : float
        Planet radius, semi-major axis and impact parameter, in stellar radii.
    u1, u2 : float
        Limb-darkening coefficients.
    f0 : float
        Flux out of transit.

    Returns
    -------
    ndarray, shape (n_times,)
        Flux.
    """
    model, params = _batman_model(np.asarray(t, dtype=float).tobytes())
    params.t0, params.rp, params.a = float(t0), float(rp), float(a)
    params.inc = float(np.degrees(np.arccos(min(b / a, 1.0))))
    params.u = [float(u1), float(u2)]
    return f0 * model.light_curve(params)


def microlensing_model(t: np.ndarray, t0: float, u0: float, tE: float, fs: float, fb: float) -> np.ndarray:
    """Flux of a point source magnified by a point lens (Paczynski 1986, ApJ 304, 1) plus blended light."""
    u_squared = u0**2 + ((t - t0) / tE) ** 2
    magnification = (u_squared + 2) / np.sqrt(u_squared * (u_squared + 4))
    return fs * magnification + fb


def _eccentric_anomaly(mean_anomaly: np.ndarray, eccentricity: float) -> np.ndarray:
    """Solve Kepler's equation by eight Newton steps."""
    anomaly = mean_anomaly + eccentricity * np.sin(mean_anomaly)
    for _ in range(8):
        excess = anomaly - eccentricity * np.sin(anomaly) - mean_anomaly
        anomaly = anomaly - excess / (1 - eccentricity * np.cos(anomaly))
    return anomaly


def radial_velocity_model(
    t: np.ndarray, P: float, K: float, e: float, w: float, M0: float, gamma: float
) -> np.ndarray:
    """Radial velocity of a star with one planet on a Kepler orbit.

    Parameters
    ----------
    t : ndarray, shape (n_times,)
        Days.
    P : float
        Period, days.
    K, gamma : float
        Semi-amplitude and systemic velocity, m/s.
    e, w, M0 : float
        Eccentricity, argument of periastron and mean anomaly at t = 0, radians.

    Returns
    -------
    ndarray, shape (n_times,)
        Velocity, m/s.
    """
    anomaly = _eccentric_anomaly(2 * np.pi * t / P + M0, e)
    true_anomaly = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))
    return K * (np.cos(true_anomaly + w) + e * np.cos(w)) + gamma


def spectrum_model(
    x: np.ndarray, c0: float, c1: float, d1: float, m1: float, s1: float, d2: float, m2: float, s2: float
) -> np.ndarray:
    """Linear continuum with two Gaussian absorption lines of depth d, centre m and width s."""
    first = d1 * np.exp(-0.5 * ((x - m1) / s1) ** 2)
    second = d2 * np.exp(-0.5 * ((x - m2) / s2) ** 2)
    return (c0 + c1 * x) * (1 - first - second)


def rosenbrock_log_likelihood(x: np.ndarray) -> float:
    """Rosenbrock's curved valley, shape (n_dim,) in."""
    return -float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)) / 2


def eggbox_log_likelihood(x: np.ndarray) -> float:
    """Eighteen equal peaks on a square, shape (2,) in (Feroz, Hobson & Bridges 2009, arXiv:0809.3437)."""
    return float((2 + np.cos(x[0] / 2) * np.cos(x[1] / 2)) ** 5)


class FunctionLikelihood(bilby.Likelihood):
    """Log-likelihood from a function of the parameters in order.

    Parameters
    ----------
    keys : list of str
        Parameter names, in the order of the function.
    function : callable
        Takes an ndarray, shape (n_dim,), returns log L.
    """

    def __init__(self, keys: list[str], function: Callable[[np.ndarray], float]) -> None:
        super().__init__()
        self.keys = keys
        self.function = function

    def log_likelihood(self, parameters: dict[str, float] | None = None) -> float:
        """Log-likelihood of one point; the default is the point that bilby has stored."""
        values = self.parameters if parameters is None else parameters
        return self.function(np.array([values[key] for key in self.keys]))
