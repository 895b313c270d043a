"""What a featurizer is: noisy data in, a short vector of features out.

A featurizer has three parts: `fit` learns scalings (and projections) from the simulations of a round,
`inputs` turns noisy data into what the trainable part takes, and `forward` is that trainable part.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Featurizer", "SequenceInputs", "SimulatedData"]


class SimulatedData(Protocol):
    """What a featurizer learns from: `NoisyData` of one target, or simulations for many targets.

    Attributes
    ----------
    shape : tuple of int
        (n_channels, length).
    scale : Tensor, shape (n,), or None
        Of the noise where it is exactly white.
    has_noise_parameters : bool
        Whether residuals carry information.
    """

    shape: tuple[int, int]
    scale: Tensor | None
    has_noise_parameters: bool

    @property
    def signal(self) -> Tensor:
        """Simulations, shape (n, n_data); without noise where that is of one target."""

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""

    def __len__(self) -> int: ...

    def draw(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Data of simulations ``index`` with fresh noise, shape (n, n_data)."""


class Featurizer(nn.Module):
    """Base class of featurizers.

    Attributes
    ----------
    n_features : int
        Length of the feature vector.
    recipe : mapping
        Name and settings, from which `featurizer_factory` makes the like for data of the same shape; empty
        for a featurizer that it did not make from a name.
    """

    n_features: int
    recipe: Mapping[str, Any] = {}

    @abstractmethod
    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Learn scalings from simulations; called once, before training."""

    @abstractmethod
    def reduce(self, data: Tensor) -> Tensor:
        """Scaled inputs of the trainable part from whitened relative data, shape (n, n_data)."""

    def inputs(self, data: SimulatedData, index: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled inputs of simulations ``index``, shape (n,), with fresh noise; first dimension n."""
        return self.reduce(data.draw(index, generator))

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features); differentiable."""


class SequenceInputs(Featurizer):
    """Featurizers that see the whole data set as a sequence of shape (n, n_channels, length).

    Every data point is scaled by its own mean and spread over the simulations, then compressed by asinh, so
    that one bright simulation does not drown the others.

    Parameters
    ----------
    network : nn.Module
        Takes (n, n_channels, length), or (n, n_data) when ``flat``; gives (n, n_features).
    n_features : int
    shape : tuple of int
        (n_channels, length).
    flat : bool
        Hand the data over as one vector.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, network: nn.Module, n_features: int, shape: tuple[int, int], flat: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.n_features = n_features
        self.shape = shape
        self.flat = flat
        self.register_buffer("mean", torch.zeros(shape[0] * shape[1]))
        self.register_buffer("spread", torch.ones(shape[0] * shape[1]))

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Mean and spread of every data point, noise included."""
        noise = 1.0 if data.scale is None else float(data.scale.median())
        self.mean.copy_(data.signal.median(0).values)
        deviation = (data.signal - self.mean).abs().clamp(max=1e4)
        self.spread.copy_((deviation.mean(0) ** 2 + noise**2).sqrt())

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled and compressed data, (n, n_channels, length) or (n, n_data)."""
        scaled = torch.asinh((data - self.mean) / self.spread)
        return scaled if self.flat else scaled.view(-1, *self.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        return self.network(inputs)
