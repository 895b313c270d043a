"""Simulations for many targets as networks see them: noise, uncertainties and masks drawn afresh.

The counterpart of `noisy_data`, which serves one target: here every simulation is a target of its own. Noise
with a known law is drawn and scaled on the device of the networks, that of a function in arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.amortised.data_format import LARGEST, DataLayout, Targets
from nbi_sampler.amortised.noise import NoiseLaw, Observation
from nbi_sampler.forward.draws import numpy_generator

__all__ = ["SimulatedTargets", "TensorLayout"]


class SimulatedTargets:
    """Predictions, and the noise that is put on them; a `SimulatedData`.

    Parameters
    ----------
    predictions : ndarray, shape (n, *shape)
        Finite.
    noise : NoiseLaw
    layout : TensorLayout
        Of what the noise makes of predictions; where it is, the noise of a known law is drawn.
    theta : ndarray, shape (n, n_dim), optional
        Their parameters, for noise functions that take them.
    """

    def __init__(
        self,
        predictions: NDArray[Any],
        noise: NoiseLaw,
        layout: TensorLayout,
        theta: NDArray[np.float64] | None = None,
    ) -> None:
        self.shape = layout.shape
        self.device = layout.device
        # Uncertainties come as data; there is no common scale.
        self.scale: Tensor | None = None
        self.has_noise_parameters = False
        self._layout = layout
        self._noise = noise
        self._signal: Tensor | None = None
        self._predictions = predictions
        self._theta = theta
        self._here = torch.as_tensor(predictions).to(self.device) if noise.of_tensors else None

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def signal(self) -> Tensor:
        """Data with noise, shape (n, n_data), for the scales of a featurizer; always the same."""
        if self._signal is None:
            everything = torch.arange(len(self), device=self.device)
            self._signal = self.draw(everything, torch.Generator(self.device).manual_seed(0))
        return self._signal

    def observe(self, index: NDArray[np.intp], rng: np.random.Generator) -> Targets:
        """Data of simulations ``index`` with fresh noise."""
        theta = None if self._theta is None else self._theta[index]
        return self._layout.of_arrays.targets(*self._noise(self._predictions[index], rng, theta))

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """What networks see of simulations ``index`` with fresh noise, shape (n, n_data)."""
        if self._here is not None:
            return self._layout.encode(self._noise.draw(self._here[index], generator)).flatten(1)
        targets = self.observe(index.cpu().numpy(), numpy_generator(generator))
        return torch.from_numpy(self._layout.of_arrays.encode(targets)).flatten(1).to(self.device)


class TensorLayout:
    """A `DataLayout` for tensors of one device; what a user might give wrongly it does not check.

    Parameters
    ----------
    layout : DataLayout
    device : torch.device
    """

    def __init__(self, layout: DataLayout, device: torch.device) -> None:
        self.of_arrays = layout
        self.shape = layout.shape
        self.device = device
        parts = (layout.shift, layout.scale, *layout.edges)
        self._shift, self._scale, *self._edges = (torch.as_tensor(part, device=device) for part in parts)

    def encode(self, observed: Observation) -> Tensor:
        """What networks see, shape (n, n_rows, length), of tensors as a noise law gives them.

        The same numbers as of `DataLayout.targets` and `DataLayout.encode`.
        """
        x, x_err, mask = observed
        n, length = len(x), self.shape[1]
        layout = self.of_arrays
        rows = [x.reshape(n, -1, length)]
        if layout.is_complex:
            data = rows[0] if x.is_complex() else rows[0] + 0j
            rows = [torch.cat([data.real, data.imag], 1)]
        present = torch.isfinite(rows[0]).all(1)
        if x_err is not None:
            n_parts = 1 + layout.is_complex
            n_values = layout.channels.count("value") // n_parts
            errors = (x_err[:, None] if x_err.ndim == 2 else x_err).expand(n, n_values, length)
            errors = errors.repeat(1, n_parts, 1)
            present = present & (torch.isfinite(errors) & (errors > 0)).all(1)
            rows.append(errors.log())
        if mask is not None:
            present = present & mask.reshape(n, length).bool()
            rows.append(present[:, None])
        scaled = (torch.cat(rows, 1) - self._shift) / self._scale
        clipped = scaled.clamp(*self._edges).clamp(-LARGEST, LARGEST)
        return torch.where(present[:, None], clipped, 0.0).float()
