"""Featurizers (embedding networks): noisy data in, a short vector of features out.

A featurizer has three parts: `fit` learns scalings (and projections) from the simulations of a round,
`inputs` turns noisy data into what the trainable part takes, and `forward` is that trainable part.
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
        Of the noise where it is exactly white.
    has_noise_parameters : bool
        True where residuals carry information.
    """

    shape: tuple[int, int]
    scale: Tensor | None
    has_noise_parameters: bool

    @property
    def signal(self) -> Tensor:
        """Simulations, shape (n, n_data); without noise where that is of one target."""

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


def zero_and_unit(points: NDArray[np.float64], role: str) -> tuple[float, float]:
    """Median and half the central 68 % of the points of a row; of times their start and range."""
    low, middle, high = np.quantile(points, [0.0, 0.5, 1.0] if role == "time" else [0.16, 0.5, 0.84])
    return (float(low), float(high - low)) if role == "time" else (float(middle), float(0.5 * (high - low)))


def number_of_features(n_params: int) -> int:
    """Length of the feature vector, which grows with the number of parameters.

    Examples
    --------
    >>> [number_of_features(n) for n in (1, 4, 5, 10, 50)]
    [64, 64, 96, 160, 256]
    """
    rules = FEATURES
    n_multiples = math.ceil(n_params * rules.per_parameter / rules.multiple)
    return min(max(rules.multiple * n_multiples, rules.least), rules.most)


def number_of_stages(length: int) -> int:
    """Halvings of the length until 2 or 3 steps are left, so that the last ones see the whole of the data.

    Examples
    --------
    >>> [number_of_stages(length) for length in (1, 3, 4, 50, 1000)]
    [0, 0, 1, 4, 8]
    """
    return max(0, length.bit_length() - 2)


def perceptron(dim_in: int, dim_out: int, hidden: int, depth: int) -> nn.Sequential:
    """``depth`` hidden layers of width ``hidden`` with GELU between them."""
    widths = [dim_in] + [hidden] * depth
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], dim_out))


def perceptron_featurizer(shape: tuple[int, int], n_params: int, config: MlpConfig) -> SequenceInputs:
    """Perceptron on the whole data vector, whatever its channels; its widths come from ``config`` alone."""
    network = perceptron(shape[0] * shape[1], config.dim_out, config.hidden, config.depth)
    return SequenceInputs(network, config.dim_out, shape, flat=True)


def begin_as_shortcut(first: nn.Module, second: nn.Module, norm: nn.Module, shortcut: nn.Module) -> None:
    """Initial values of a residual block: the shortcut keeps the size of a signal, the rest adds a share.

    Parameters
    ----------
    first, second : nn.Module
        Convolutions.
    norm : nn.Module
        Normalisation after the second.
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
