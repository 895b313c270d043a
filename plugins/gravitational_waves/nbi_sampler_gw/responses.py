r"""Signals of a wave in detectors for each likelihood of ``bilby.gw``, and the whitening of noise.

There is one class for each form of the likelihood. All forms are Gaussian,

.. math:: \log L = \mathrm{Re} \langle y, m \rangle - |m|^2 / 2 + \log L_\mathrm{noise}

with whitened data y and whitened signals m.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FullResponse", "MultibandResponse", "RelativeBinningResponse"]

Complex = NDArray[np.complex128]
Polarizations = Mapping[str, Complex]


class FullResponse:
    """Strain at every frequency of the band: ``GravitationalWaveTransient``.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient

    Attributes
    ----------
    frequencies : ndarray, shape (n_frequencies,)
        Frequencies in Hz in the band of any detector.
    whitening : ndarray, shape (n_detectors, n_frequencies)
        Factor that converts strain to units of the noise of its real and imaginary parts; zero outside the
        band.
    observed : ndarray, shape (n_detectors, n_frequencies)
        Whitened data, complex.
    is_exact : bool
        Whether the likelihood follows from signals, up to rounding.
    """

    is_exact = True

    def __init__(self, likelihood: Any) -> None:
        self._likelihood = likelihood
        self._detectors = list(likelihood.interferometers)
        self._band = np.any([detector.frequency_mask for detector in self._detectors], axis=0)
        self.frequencies = np.asarray(self._detectors[0].frequency_array)[self._band]
        self.whitening = np.array([self._whitening(detector) for detector in self._detectors])
        strain = np.array([detector.frequency_domain_strain[self._band] for detector in self._detectors])
        self.observed: Complex = np.where(self.whitening > 0, strain, 0.0) * self.whitening

    def signal(
        self, polarizations: Polarizations, parameters: dict[str, float], curve: int | None = None
    ) -> Complex:
        """Strain of a wave in every detector.

        Parameters
        ----------
        polarizations : mapping of str to ndarray
            Polarisations from the likelihood's waveform generator.
        parameters : dict of str to float
            Includes right ascension, declination and time at the centre of the Earth.
        curve : int, optional
            Calibration curve to apply.

        Returns
        -------
        ndarray, shape (n_detectors, n_frequencies)
            Strain without whitening.
        """
        strain = np.array([self._strain(each, polarizations, parameters) for each in self._detectors])
        if curve is not None:
            for row, detector in zip(strain, self._detectors, strict=True):
                row[detector.frequency_mask[self._band]] *= self._likelihood.calibration_draws[detector.name][
                    curve
                ]
        return strain

    def _strain(self, detector: Any, polarizations: Polarizations, parameters: dict[str, float]) -> Complex:
        return detector.get_detector_response(polarizations, parameters)[self._band]

    def _whitening(self, detector: Any) -> NDArray[np.float64]:
        density = np.where(detector.frequency_mask, detector.power_spectral_density_array, np.inf)
        return np.sqrt(4.0 / (self._likelihood.waveform_generator.duration * density[self._band]))


class RelativeBinningResponse(FullResponse):
    """Fiducial strain times a ratio that is linear in every bin: relative binning.

    The likelihood omits the second order of the ratio in its norm, so it gives the weights itself.

    References
    ----------
    Zackay, Dai & Venumadhav (2018), arXiv:1806.08792, section II.
    """

    is_exact = False

    def _strain(self, detector: Any, polarizations: Polarizations, parameters: dict[str, float]) -> Complex:
        full = self._likelihood._compute_full_waveform(polarizations, detector, parameters=parameters)
        return full[self._band]


class MultibandResponse(FullResponse):
    r"""Strain at the frequencies of all bands, each as coarse as the signal allows: multi-banding.

    With linear coefficients c and quadratic ones q the likelihood is
    :math:`\mathrm{Re} \sum_k c_k h_k - \sum_k q_k |h_k|^2 / 2`. It is Gaussian with signals
    :math:`\sqrt{q_k} h_k` and data :math:`c_k^* / \sqrt{q_k}`. Below the band some c have no q. If a wave has
    power there, the core finds that the likelihood differs by some hundredths, and uses it for the weights.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.MBGravitationalWaveTransient
        A likelihood with ``linear_interpolation=True``; without it there are no quadratic coefficients.

    References
    ----------
    Morisaki (2021), arXiv:2104.07813, equations 25 and 31.
    """

    def __init__(self, likelihood: Any) -> None:
        self._likelihood = likelihood
        self._detectors = list(likelihood.interferometers)
        self.frequencies = np.asarray(likelihood.banded_frequency_points)
        names = [detector.name for detector in self._detectors]
        quadratic = np.array([np.real(likelihood.quadratic_coeffs[name]) for name in names])
        linear = np.array([likelihood.linear_coeffs[name] for name in names])
        self.whitening = np.sqrt(np.maximum(quadratic, 0.0))
        self.observed = np.divide(
            np.conj(linear), self.whitening, out=np.zeros_like(linear), where=self.whitening > 0
        )

    def _strain(self, detector: Any, polarizations: Polarizations, parameters: dict[str, float]) -> Complex:
        unique = self._likelihood.unique_to_original_frequencies
        modes = {mode: value[unique] for mode, value in polarizations.items()}
        return detector.get_detector_response(modes, parameters, frequencies=self.frequencies)
