"""Antenna responses and times of arrival of many draws at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bilby.core.utils import speed_of_light
from bilby.gw.utils import greenwich_mean_sidereal_time, zenith_azimuth_to_theta_phi
from numpy.typing import NDArray

__all__ = ["Network"]

Array = NDArray[np.float64]


class Network:
    """The detectors of a likelihood, and its coordinates of the sky and of time.

    The Earth turns by 1e-5 radians in the width of a prior on time, so its rotation is that at the middle of
    the data.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient
    """

    def __init__(self, likelihood: Any) -> None:
        detectors = list(likelihood.interferometers)
        self._tensors = np.array([detector.geometry.detector_tensor for detector in detectors])
        self._vertices = np.array([detector.geometry.vertex for detector in detectors])
        strain = detectors[0].strain_data
        self._start = strain.start_time
        self._sidereal = greenwich_mean_sidereal_time(strain.start_time + 0.5 * strain.duration)
        self._time = f"{likelihood.time_reference}_time"
        self._reference = None if "geocent" in self._time else likelihood.reference_ifo.geometry.vertex
        frame = likelihood.reference_frame
        axes = [(0.5 * np.pi, 0.0), (0.5 * np.pi, 0.5 * np.pi), (0.0, 0.0)]
        self._frame = None
        if not isinstance(frame, str):
            self._frame = np.array([_unit(*zenith_azimuth_to_theta_phi(*axis, frame)) for axis in axes])

    def responses(self, columns: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Responses to both polarisations, and times of arrival after the start of the data.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            Coordinates of the sky and of time as the likelihood expects them, and psi.

        Returns
        -------
        plus, cross, time : ndarray, shape (n, n_detectors)
            Times in seconds.

        References
        ----------
        Nishizawa et al. (2009, arXiv:0903.0528), section II.
        """
        direction = self._direction(columns)
        theta, phi = (
            np.arccos(np.clip(direction[:, 2], -1.0, 1.0)),
            np.arctan2(direction[:, 1], direction[:, 0]),
        )
        south, west = (
            _unit(theta + 0.5 * np.pi, phi),
            _unit(np.full_like(phi, 0.5 * np.pi), phi + 0.5 * np.pi),
        )
        cos, sin = np.cos(columns["psi"])[:, None], np.sin(columns["psi"])[:, None]
        m, n = -south * sin - west * cos, -south * cos + west * sin
        along_m, along_n = (np.einsum("ni,dij->ndj", axis, self._tensors) for axis in (m, n))
        plus = np.einsum("ndj,nj->nd", along_m, m) - np.einsum("ndj,nj->nd", along_n, n)
        cross = np.einsum("ndj,nj->nd", along_m, n) + np.einsum("ndj,nj->nd", along_n, m)
        # Times are 1e9 s, of which double precision resolves 1e-7 s; the differences are exact.
        time = columns[self._time] - self._start
        if self._reference is not None:
            time = time + direction @ self._reference / speed_of_light
        return plus, cross, time[:, None] - direction @ self._vertices.T / speed_of_light

    def _direction(self, columns: Mapping[str, Array]) -> Array:
        """Unit vectors to the source in the frame that turns with the Earth, shape (n, 3)."""
        if self._frame is None:
            return _unit(0.5 * np.pi - columns["dec"], columns["ra"] - self._sidereal)
        return _unit(columns["zenith"], columns["azimuth"]) @ self._frame


def _unit(theta: Any, phi: Any) -> Array:
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
