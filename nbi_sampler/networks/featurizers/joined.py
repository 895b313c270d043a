"""Several inputs with one featurizer each, whose features are joined.

This serves data of different kinds, such as a light curve and a spectrum, and instruments with different
numbers of data. A list of configurations, each with the shape of its input, selects it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nbi_sampler.networks.featurizers.base import Featurizer, SimulatedData

__all__ = ["JoinedFeaturizer"]

Shape = tuple[int, int]


class JoinedFeaturizer(Featurizer):
    """Featurizers of consecutive parts of the data vector.

    Parameters
    ----------
    parts : sequence of Featurizer
    shapes : sequence of tuple of int
        (n_channels, length) of each input.
    """

    def __init__(self, parts: Sequence[Featurizer], shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.shapes = tuple(shapes)
        self.n_features = sum(part.n_features for part in parts)

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Let each part learn from its own input."""
        for part, shape, columns in self._inputs():
            part.fit(OneInput(data, shape, columns), rng)

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled inputs of all parts side by side, shape (n, n_inputs)."""
        return torch.cat([part.reduce(data[:, columns]).flatten(1) for part, _, columns in self._inputs()], 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        features, start = [], 0
        for part, shape, _ in self._inputs():
            # The number of inputs of a part may depend on what it has learnt.
            with torch.no_grad():
                example = part.reduce(inputs.new_zeros(1, shape[0] * shape[1]))
            own = inputs[:, start : start + example.numel()].view(-1, *example.shape[1:])
            features.append(part(own))
            start += example.numel()
        return torch.cat(features, 1)

    def _inputs(self) -> Iterator[tuple[Featurizer, Shape, slice]]:
        """Each part with the shape of its input and its slice of the data vector."""
        start = 0
        for part, shape in zip(self.parts, self.shapes, strict=True):
            stop = start + shape[0] * shape[1]
            yield cast(Featurizer, part), shape, slice(start, stop)
            start = stop


class OneInput:
    """Simulated data of one input; a `SimulatedData`."""

    def __init__(self, data: SimulatedData, shape: Shape, columns: slice) -> None:
        self.shape = shape
        self.signal = data.signal[:, columns]
        self.scale = data.scale
        self.has_noise_parameters = data.has_noise_parameters
        self.device = data.device
        self._data = data
        self._columns = columns

    def __len__(self) -> int:
        return len(self._data)

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy data of this input, shape (n, n_data)."""
        return self._data.draw(index, generator)[:, self._columns]
