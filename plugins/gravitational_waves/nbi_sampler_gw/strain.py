"""Forward model of gravitational-wave data: whitened, band-limited strain in every detector.

`recognise` makes it for likelihoods of ``bilby.gw``; the rounds and the evaluator of the core call it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.forward import ForwardModel
from nbi_sampler.forward.draws import normal_like
from nbi_sampler_gw.nuisances import Nuisances
from nbi_sampler_gw.relative_binning import RelativeBinning
from nbi_sampler_gw.responses import FullResponse

__all__ = ["StrainModel"]

Array = NDArray[np.float64]


class StrainModel(ForwardModel):
    """Whitened strain plus white noise of unit variance.

    Each detector has two channels, the real and the imaginary part. The waveform depends on the parameters of
    the sampler alone, so the cache of its generator also serves a later call of the likelihood. Marginalised
    parameters only shift, rotate and scale the signal.

    Parameters
    ----------
    likelihood : bilby.gw.likelihood.GravitationalWaveTransient
        Likelihood of bilby or of a subclass.
    response : FullResponse
        Response for this kind of likelihood.

    Attributes
    ----------
    has_log_likelihood : bool
        False if a parameter is marginalised or the likelihood is approximate; it then gives the weights
        itself.
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
        self.has_approximation = RelativeBinning.is_possible(likelihood)

    @property
    def noise_is_known(self) -> bool:
        """False: see `ForwardModel.noise_is_known`.

        Marginalised parameters are drawn from their priors. And a noise spectrum that was estimated from a
        few segments is less accurate than a chi-squared of ten thousand points requires.
        """
        return False

    @property
    def uncertainty(self) -> Array:
        """One everywhere, because the strain is whitened; see `ForwardModel.uncertainty`."""
        return np.ones_like(self.observed)

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """One call of the waveform generator; NaN if it fails; see `ForwardModel.simulate`."""
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
        """Log-likelihood for white noise, normalised like bilby's; see `ForwardModel.log_likelihood`.

        Raises
        ------
        NotImplementedError
            If `has_log_likelihood` is False.
        """
        if not self.has_log_likelihood:
            raise NotImplementedError(
                f"{self.name}: a simulation has one value of what the likelihood integrates over or "
                "approximates; call the likelihood itself."
            )
        return predictions @ self.observed - 0.5 * np.sum(predictions**2, axis=1) + self._noise_log_likelihood

    def approximation(self, about: Mapping[str, float]) -> Callable[[Mapping[str, Array]], Array]:
        """Relative binning about one draw; see `ForwardModel.approximation`."""
        return RelativeBinning(self._likelihood, about)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add white noise of unit variance; see `ForwardModel.noise`."""
        return predictions + normal_like(predictions, generator)

    def stabilise(self, data: Tensor) -> Tensor:
        """Difference from the observed data, which are already white; see `ForwardModel.stabilise`."""
        return data - self._constant("observed", data)

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor:
        """One in every row; see `ForwardModel.white_noise_scale`."""
        return torch.ones_like(next(iter(columns.values())))

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return True; see `ForwardModel.is_whitened`."""
        return True


def _channels(strain: NDArray[np.complex128]) -> Array:
    """Flattened real and imaginary parts of (n_detectors, n_frequencies), grouped by detector."""
    return np.stack([strain.real, strain.imag], axis=1).reshape(-1)
