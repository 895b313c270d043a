"""Forward model of gravitational-wave data: whitened, band-limited strain in every detector.

Made for likelihoods of ``bilby.gw`` by `recognise`; the rounds and the evaluation of the core call it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.forward import ForwardModel
from nbi_sampler.forward.draws import normal_like
from nbi_sampler_gw.nuisances import Nuisances
from nbi_sampler_gw.responses import FullResponse

__all__ = ["StrainModel"]

Array = NDArray[np.float64]


class StrainModel(ForwardModel):
    """Whitened strain plus white noise of unit variance.

    Each detector has two channels, the real and the imaginary part. The waveform is called with the
    parameters of the sampler alone, so that the generator's own cache serves a likelihood that is called
    afterwards; what is marginalised only moves, turns and scales the signal.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient
        Or one of its children.
    response : FullResponse
        Of the kind that belongs to the likelihood.

    Attributes
    ----------
    has_log_likelihood : bool
        False where something is marginalised or the likelihood approximates: it then weighs for itself.
    """

    def __init__(self, likelihood: Any, response: FullResponse) -> None:
        self._likelihood = likelihood
        self._response = response
        self._nuisances = Nuisances(likelihood)
        self._noise_log_likelihood = float(likelihood.noise_log_likelihood())
        detectors = [detector.name for detector in likelihood.interferometers]
        drawn = f", {', '.join(self._nuisances.names)} drawn" if self._nuisances.names else ""
        super().__init__(
            f"whitened strain of {', '.join(detectors)}{drawn}",
            _channels(response.observed),
            shape=(2 * len(detectors), len(response.frequencies)),
        )
        self.has_log_likelihood = response.is_exact and not self._nuisances.names

    @property
    def noise_is_known(self) -> bool:
        """No: see `ForwardModel.noise_is_known`.

        What is marginalised is drawn from its prior, and a spectrum of noise that was estimated from some
        segments is off by more than a chi-squared of ten thousand points allows for.
        """
        return False

    @property
    def uncertainty(self) -> Array:
        """One everywhere: the strain is whitened; see `ForwardModel.uncertainty`."""
        return np.ones_like(self.observed)

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """One call of the waveform generator; NaN where it gives none; see `ForwardModel.simulate`."""
        likelihood, response = self._likelihood, self._response
        polarizations = likelihood.waveform_generator.frequency_domain_strain(dict(parameters))
        if polarizations is None:
            return np.full(self.observed.size, np.nan)
        located = dict(parameters)
        if likelihood.time_marginalization and likelihood.jitter_time:
            located["geocent_time"] += located["time_jitter"]
        located.update(likelihood.get_sky_frame_parameters(located))
        drawn = self._nuisances.draw(located)
        signal = response.signal(polarizations, located, drawn.calibration_curve)
        return _channels(signal * response.whitening * drawn.factor(response.frequencies))

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Of data with white noise, in bilby's normalisation; see `ForwardModel.log_likelihood`.

        Raises
        ------
        NotImplementedError
            Where `has_log_likelihood` is False.
        """
        if not self.has_log_likelihood:
            raise NotImplementedError(
                f"{self.name}: a simulation has one value of what the likelihood integrates over or "
                "approximates; call the likelihood itself."
            )
        return predictions @ self.observed - 0.5 * np.sum(predictions**2, axis=1) + self._noise_log_likelihood

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add white noise of unit variance; see `ForwardModel.noise`."""
        return predictions + normal_like(predictions, generator)

    def stabilise(self, data: Tensor) -> Tensor:
        """Difference from the observed data, which is white already; see `ForwardModel.stabilise`."""
        return data - self._constant("observed", data)

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor:
        """One in every row; see `ForwardModel.white_noise_scale`."""
        return torch.ones_like(next(iter(columns.values())))

    def is_whitened(self, names: Collection[str]) -> bool:
        """Always; see `ForwardModel.is_whitened`."""
        return True


def _channels(strain: NDArray[np.complex128]) -> Array:
    """Real and imaginary parts of (n_detectors, n_frequencies), the two of a detector together; flat."""
    return np.stack([strain.real, strain.imag], axis=1).reshape(-1)
