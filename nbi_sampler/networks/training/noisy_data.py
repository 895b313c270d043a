"""Simulations as networks see them: whitened, relative to the observed data, with fresh noise.

This module is between the forward model, which knows the noise law, and the featurizer, which sees only
tensors. In its coordinates the observed data are the zero vector, and the noise has a scale of about one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.core.config import FEATURES
from nbi_sampler.forward import ForwardModel

__all__ = ["NoisyData"]


class NoisyData:
    """Noiseless predictions of one round with noise that is drawn on demand.

    Parameters
    ----------
    forward : ForwardModel
    predictions : ndarray, shape (n, n_data)
        Finite predictions.
    columns : mapping of str to ndarray, shape (n,)
        Sampled and fixed parameters, which the noise law may need.
    device : torch.device or str

    Attributes
    ----------
    signal : Tensor, shape (n, n_data)
        Whitened noiseless predictions minus whitened observed data, float32, clipped at a million noise
        scales.
    scale : Tensor, shape (n,), or None
        Standard deviation of the whitened noise if it is exactly white; None for any other law.
    has_noise_parameters : bool
        True if the parameters include those of the noise law, so that residuals carry information.
    """

    def __init__(
        self,
        forward: ForwardModel,
        predictions: NDArray[np.float64],
        columns: Mapping[str, NDArray[np.float64]],
        device: torch.device | str = "cpu",
    ) -> None:
        self.forward = forward
        self.shape = forward.shape
        self.has_noise_parameters = bool(forward.noise_parameters)
        exact = torch.as_tensor(predictions, dtype=torch.float64)
        self._columns = {
            name: torch.as_tensor(np.asarray(values, dtype=np.float64)) for name, values in columns.items()
        }
        self._reference = forward.stabilise(torch.as_tensor(forward.observed, dtype=torch.float64)[None])
        self.signal = self._relative(exact).to(device)
        scale = forward.white_noise_scale(self._columns)
        self.scale = None if scale is None else scale.to(device, torch.float32)
        self._predictions = exact.to(device) if scale is None else None
        self._columns = {name: values.to(device) for name, values in self._columns.items()}
        self._reference = self._reference.to(device)

    def __len__(self) -> int:
        return self.signal.shape[0]

    @property
    def n_data(self) -> int:
        """Length of a data vector."""
        return self.signal.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.signal.device

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy data of simulations ``index``, shape (n, n_data): float32, relative to the observed data.

        Parameters
        ----------
        index : Tensor of int, shape (n,)
        generator : torch.Generator
        """
        if self.scale is not None:
            signal = self.signal[index]
            noise = torch.randn(signal.shape, generator=generator, device=signal.device)
            return signal + self.scale[index, None] * noise
        assert self._predictions is not None
        columns = {name: values[index] for name, values in self._columns.items()}
        return self._relative(self.forward.noise(self._predictions[index], columns, generator))

    def _relative(self, data: Tensor) -> Tensor:
        difference = self.forward.stabilise(data) - self._reference
        return difference.nan_to_num_(nan=0.0).clamp_(-FEATURES.largest, FEATURES.largest).float()
