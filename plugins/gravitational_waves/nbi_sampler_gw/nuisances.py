"""Marginalised parameters of a likelihood, which simulations draw from the priors of the marginalisation.

A marginalised likelihood has no single prediction. A simulation therefore draws the marginalised parameters
(distance, phase, time, calibration) in addition to the draw of the sampler. The likelihood, which computes
the integral, gives the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drawn", "Nuisances"]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One value for each marginalised parameter; the defaults do not change a signal.

    Attributes
    ----------
    amplitude : float
        Reference distance divided by the drawn one.
    phase : float
        Phase of coalescence, in radians.
    delay : float
        Time after that of the sampler's parameters, in seconds.
    calibration_curve : int or None
        Number of the response curve.
    """

    amplitude: float = 1.0
    phase: float = 0.0
    delay: float = 0.0
    calibration_curve: int | None = None

    def factor(self, frequencies: NDArray[np.float64]) -> NDArray[np.complex128]:
        r"""Factor of a signal, without calibration.

        .. math:: \frac{D_\mathrm{ref}}{D} \exp(2 i \phi - 2 \pi i f \Delta t)

        The phase has a factor of two, because bilby's marginalisation over phase relies on this symmetry
        (Thrane & Talbot 2019, arXiv:1809.02293, appendix C).

        Parameters
        ----------
        frequencies : ndarray, shape (n_frequencies,)
            Frequencies in Hz.

        Returns
        -------
        ndarray, shape (n_frequencies,)
        """
        return self.amplitude * np.exp(2j * (self.phase - np.pi * self.delay * frequencies))


class Nuisances:
    """Draws of the marginalised parameters of one likelihood.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient
        Likelihood of bilby or of a subclass.

    Attributes
    ----------
    names : tuple of str
        Among "time", "distance", "phase" and "calibration"; empty if nothing is marginalised.
    """

    def __init__(self, likelihood: Any) -> None:
        self.names = tuple(
            name
            for name in ("time", "distance", "phase", "calibration")
            if getattr(likelihood, f"{name}_marginalization", False)
        )
        priors = likelihood.priors or {}
        self._distance: Any = priors["luminosity_distance"] if "distance" in self.names else None
        self._phase: Any = priors["phase"] if "phase" in self.names else None
        self._time: Any = priors["geocent_time"] if "time" in self.names else None
        # The likelihood sums over a grid of times, which `time_jitter` shifts.
        self._time_step = float(likelihood._delta_tc) if "time" in self.names else 0.0
        self._n_curves = likelihood.number_of_response_curves if "calibration" in self.names else 0

    def draw(self, parameters: Mapping[str, float]) -> Drawn:
        """Draw every marginalised parameter from its prior.

        The parameters themselves are the key of the random numbers. A draw of the sampler always has the same
        values of the marginalised parameters, in any process.

        Parameters
        ----------
        parameters : mapping of str to float
            Sampled and fixed parameters; ``geocent_time`` includes its jitter if time is marginalised.

        Returns
        -------
        Drawn
        """
        if not self.names:
            return Drawn()
        values = np.array([parameters[name] for name in sorted(parameters)], dtype=np.float64)
        distance, phase, time, curve = np.random.default_rng(values.view(np.uint32)).uniform(size=4)
        return Drawn(
            amplitude=parameters["luminosity_distance"] / self._distance.rescale(distance)
            if self._distance
            else 1.0,
            phase=float(self._phase.rescale(phase)) if self._phase else 0.0,
            delay=self._delay(time, parameters["geocent_time"]) if self._time else 0.0,
            calibration_curve=int(curve * self._n_curves) if self._n_curves else None,
        )

    def _delay(self, unit: float, time: float) -> float:
        steps = (float(self._time.rescale(unit)) - time) / self._time_step
        return round(steps) * self._time_step
