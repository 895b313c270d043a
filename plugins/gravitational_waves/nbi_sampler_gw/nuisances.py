"""Parameters that a likelihood marginalises: drawn for simulations, from the priors it integrates over.

A marginalised likelihood has no single prediction. A simulation therefore draws what is integrated out
(distance, phase, time, calibration) beside the draw of the sampler; the likelihood, which does the integral,
weighs.
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
    """One value of everything that is marginalised; the defaults leave a signal as it is.

    Attributes
    ----------
    amplitude : float
        Reference distance over the drawn one.
    phase : float
        Of coalescence, in radians.
    delay : float
        Time after the one that the sampler's parameters say, in seconds.
    calibration_curve : int or None
        Number of the response curve.
    """

    amplitude: float = 1.0
    phase: float = 0.0
    delay: float = 0.0
    calibration_curve: int | None = None

    def factor(self, frequencies: NDArray[np.float64]) -> NDArray[np.complex128]:
        r"""Factor of a signal, calibration left out.

        .. math:: \frac{D_\mathrm{ref}}{D} \exp(2 i \phi - 2 \pi i f \Delta t)

        Twice the phase, because that is the symmetry which bilby's marginalisation over phase relies on
        (Thrane & Talbot 2019, arXiv:1809.02293, appendix C).

        Parameters
        ----------
        frequencies : ndarray, shape (n_frequencies,)
            In Hz.

        Returns
        -------
        ndarray, shape (n_frequencies,)
        """
        return self.amplitude * np.exp(2j * (self.phase - np.pi * self.delay * frequencies))


class Nuisances:
    """Draws of what one likelihood marginalises.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient
        Or one of its children.

    Attributes
    ----------
    names : tuple of str
        Among "time", "distance", "phase" and "calibration"; empty where nothing is marginalised.
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
        # The likelihood sums over a grid of times, which `time_jitter` moves.
        self._time_step = float(likelihood._delta_tc) if "time" in self.names else 0.0
        self._n_curves = likelihood.number_of_response_curves if "calibration" in self.names else 0

    def draw(self, parameters: Mapping[str, float]) -> Drawn:
        """Draw every marginalised parameter from its prior.

        The stream of random numbers is keyed by the parameters themselves: one draw of the sampler always
        has the same nuisances, in whichever process it is simulated.

        Parameters
        ----------
        parameters : mapping of str to float
            Sampled and fixed; ``geocent_time`` with its jitter where time is marginalised.

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
