"""Simulations for many targets as networks see them: noise, uncertainties and masks drawn afresh.

The counterpart of `noisy_data`, which serves one target: here every simulation is a target of its own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.amortised.layout import DataLayout, Targets
from nbi_sampler.amortised.noise import NoiseLaw
from nbi_sampler.forward.draws import numpy_generator

__all__ = ["SimulatedTargets"]


class SimulatedTargets:
    """Predictions, and the noise that is put on them; a `SimulatedData`.

    Parameters
    ----------
    predictions : ndarray, shape (n, *shape)
        Finite.
    noise : NoiseLaw
    layout : DataLayout
        Of what the noise makes of predictions.
    device : torch.device
    """

    def __init__(
        self, predictions: NDArray[np.float64], noise: NoiseLaw, layout: DataLayout, device: torch.device
    ) -> None:
        self.layout = layout
        self.shape = layout.shape
        self.device = device
        # Uncertainties come as data; there is no common scale.
        self.scale: Tensor | None = None
        self.has_noise_parameters = False
        self._predictions = predictions
        self._noise = noise
        self._signal: Tensor | None = None

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def signal(self) -> Tensor:
        """Data with noise, shape (n, n_data), for the scales of a featurizer; always the same."""
        if self._signal is None:
            everything = torch.arange(len(self))
            self._signal = self.draw(everything, torch.Generator().manual_seed(0))
        return self._signal

    def subset(self, rows: NDArray[np.intp]) -> SimulatedTargets:
        """Some of the simulations."""
        return SimulatedTargets(self._predictions[rows], self._noise, self.layout, self.device)

    def observe(self, index: NDArray[np.intp], rng: np.random.Generator) -> Targets:
        """Data of simulations ``index`` with fresh noise."""
        return self.layout.targets(*self._noise(self._predictions[index], rng))

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """What networks see of simulations ``index`` with fresh noise, shape (n, n_data)."""
        targets = self.observe(index.cpu().numpy(), numpy_generator(generator))
        return torch.from_numpy(self.layout.encode(targets)).flatten(1).to(self.device)
