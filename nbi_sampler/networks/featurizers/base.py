"""Featurizers (embedding networks), which turn noisy data into a short vector of features.

A featurizer has three parts: `fit` learns scalings (and projections) from the simulations of a round,
`inputs` turns noisy data into the input of the trainable part, and `forward` is the trainable part.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nbi_sampler.core.config import FEATURES, MlpConfig

__all__ = [
    "Featurizer",
    "SequenceInputs",
    "SimulatedData",
    "begin_as_shortcut",
    "number_of_features",
    "number_of_stages",
    "perceptron",
    "perceptron_featurizer",
    "zero_and_unit",
]


class SimulatedData(Protocol):
    """Data that a featurizer learns from: `NoisyData` of one target, or simulations for many targets.

    Attributes
    ----------
    shape : tuple of int
        (n_channels, length).
    scale : Tensor, shape (n,), or None
        Scale of the noise if it is exactly white.
    has_noise_parameters : bool
        True if residuals carry information.
    """

    shape: tuple[int, int]
    scale: Tensor | None
    has_noise_parameters: bool

    @property
    def signal(self) -> Tensor:
        """Simulations, shape (n, n_data); those of one target have no noise."""

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""

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
        Name and settings with which `featurizer_factory` makes the same featurizer for data of the same
        shape. Empty if it was not made from a name.
    """

    n_features: int
    recipe: Mapping[str, Any] = {}

    @abstractmethod
    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Learn scalings from simulations; this is called once, before training."""

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

    Every data point is scaled by its mean and spread over the simulations, and compressed by asinh. One
    bright simulation then does not dominate the others.

    Parameters
    ----------
    network : nn.Module
        Takes (n, n_channels, length), or (n, n_data) if ``flat``; returns (n, n_features).
    n_features : int
    shape : tuple of int
        (n_channels, length).
    flat : bool
        Pass the data as one vector.
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
        """Learn mean and spread of every data point, including noise."""
        noise = 1.0 if data.scale is None else float(data.scale.median())
        self.mean.copy_(data.signal.median(0).values)
        deviation = (data.signal - self.mean).abs().clamp(max=FEATURES.largest_deviation)
        self.spread.copy_((deviation.mean(0) ** 2 + noise**2).sqrt())

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled and compressed data, (n, n_channels, length) or (n, n_data)."""
        scaled = torch.asinh((data - self.mean) / self.spread)
        return scaled if self.flat else scaled.view(-1, *self.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        return self.network(inputs)


def zero_and_unit(points: NDArray[np.float64], role: str) -> tuple[float, float]:
    """Median and half the central 68 % of the points of a row; for times, their start and range."""
    low, middle, high = np.quantile(points, [0.0, 0.5, 1.0] if role == "time" else [0.16, 0.5, 0.84])
    return (float(low), float(high - low)) if role == "time" else (float(middle), float(0.5 * (high - low)))


def number_of_features(n_params: int) -> int:
    """Length of the feature vector, which increases with the number of parameters.

    Examples
    --------
    >>> [number_of_features(n) for n in (1, 4, 5, 10, 50)]
    [64, 64, 96, 160, 256]
    """
    rules = FEATURES
    n_multiples = math.ceil(n_params * rules.per_parameter / rules.multiple)
    return min(max(rules.multiple * n_multiples, rules.least), rules.most)


def number_of_stages(length: int) -> int:
    """Number of halvings that leave 2 or 3 steps, so that the last stages see all of the data.

    Examples
    --------
    >>> [number_of_stages(length) for length in (1, 3, 4, 50, 1000)]
    [0, 0, 1, 4, 8]
    """
    return max(0, length.bit_length() - 2)


def perceptron(dim_in: int, dim_out: int, hidden: int, depth: int) -> nn.Sequential:
    """A perceptron with ``depth`` hidden layers of width ``hidden`` and GELU between them."""
    widths = [dim_in] + [hidden] * depth
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], dim_out))


def perceptron_featurizer(shape: tuple[int, int], n_params: int, config: MlpConfig) -> SequenceInputs:
    """Perceptron on the whole data vector, for any channels; ``config`` alone gives its widths."""
    network = perceptron(shape[0] * shape[1], config.dim_out, config.hidden, config.depth)
    return SequenceInputs(network, config.dim_out, shape, flat=True)


def begin_as_shortcut(first: nn.Module, second: nn.Module, norm: nn.Module, shortcut: nn.Module) -> None:
    """Initialise a residual block: its shortcut keeps the size of a signal, and the rest adds a share.

    Parameters
    ----------
    first, second : nn.Module
        Convolutions.
    norm : nn.Module
        Normalisation after the second convolution.
    shortcut : nn.Module
        A convolution, or the identity.

    References
    ----------
    He et al. (2015, arXiv:1502.01852), equation 10.
    """
    for layer in (first, second, shortcut):
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    assert isinstance(norm, nn.GroupNorm)
    nn.init.constant_(norm.weight, FEATURES.first_share)
