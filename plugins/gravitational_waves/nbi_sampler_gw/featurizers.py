"""Featurizers for strain: principal components of each detector, then a network.

A signal that arrives in the detectors at varying time differences is one signal in each detector, but many
signals in all of them together. Components of single detectors therefore need fewer numbers. The plugin's
hook offers these featurizers for ``featurizer=``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import PcaConfig
from nbi_sampler.networks.featurizers import FeaturizerKind
from nbi_sampler.networks.featurizers.pca import PrincipalComponents, strongest_components

__all__ = ["GW_PCA", "GW_RESNET", "DetectorComponents", "DetectorPcaConfig", "DetectorResnetConfig"]

CHANNELS_PER_DETECTOR = 2

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DetectorPcaConfig(PcaConfig):
    """Principal components of the noiseless strain in each detector, then a network.

    ``n_components`` is the number for one detector. ``n_blocks`` residual blocks follow the first layer;
    without any, the network is a perceptron.
    """

    n_components: int = 100
    dim_out: int = 64
    hidden: int = 256
    n_blocks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.n_blocks, int) or self.n_blocks < 0:
            raise ValueError(f"n_blocks: expected an integer of at least 0, got {self.n_blocks!r}")


@dataclass(frozen=True, kw_only=True)
class DetectorResnetConfig(DetectorPcaConfig):
    """The same with a residual network."""

    n_blocks: int = 3


class DetectorComponents(PrincipalComponents):
    """Whitened strain on the principal components of each detector.

    Parameters
    ----------
    shape : tuple of int
        (n_channels, length), with two channels for each detector.
    n_params : int
        At least this many components are kept for each detector.
    config : DetectorPcaConfig
    """

    config: DetectorPcaConfig

    def __init__(self, shape: tuple[int, int], n_params: int, config: DetectorPcaConfig) -> None:
        if shape[0] % CHANNELS_PER_DETECTOR:
            raise ValueError(
                f"featurizer: expected strain with {CHANNELS_PER_DETECTOR} channels for each detector, got "
                f"data of shape {shape}; it serves the likelihoods of bilby.gw, 'pca' any other"
            )
        super().__init__(shape, n_params, config)
        self.n_detectors = shape[0] // CHANNELS_PER_DETECTOR

    def find_components(self, sample: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Leading components of every detector, side by side; see `PrincipalComponents.find_components`."""
        found = [
            strongest_components(part, self.config, self.n_params, rng)
            for part in np.split(sample, self.n_detectors, axis=1)
        ]
        return block_diag(*(components for components, _ in found)), np.concatenate([v for _, v in found])

    def make_network(self, n_inputs: int) -> nn.Sequential:
        """Perceptron, or residual network; see `PrincipalComponents.make_network`."""
        hidden, n_blocks = self.config.hidden, self.config.n_blocks
        if not n_blocks:
            return super().make_network(n_inputs)
        blocks = [ResidualBlock(hidden) for _ in range(n_blocks)]
        return nn.Sequential(
            nn.Linear(n_inputs, hidden), *blocks, nn.GELU(), nn.Linear(hidden, self.n_features)
        )


class ResidualBlock(nn.Module):
    """Two dense layers with a shortcut, preceded by a normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, width) to the same."""
        return x + self.second(functional.gelu(self.first(self.norm(x))))


GW_PCA = FeaturizerKind(DetectorPcaConfig, DetectorComponents)
GW_RESNET = FeaturizerKind(DetectorResnetConfig, DetectorComponents)
