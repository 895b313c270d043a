"""Residual convolutions and recurrent units on sequences of shape (n, n_channels, length).

The ResNet-GRU of the paper: residual 1-d convolutions with pooling, widths doubling up to a maximum, then a
GRU whose last state is the feature vector. ``resnet`` and ``gru`` are its two halves.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import SequenceConfig
from nbi_sampler.networks.featurizers.base import SequenceInputs, number_of_features, number_of_stages

__all__ = ["SequenceNetwork", "sequence_featurizer"]

Kind = Literal["resnet-gru", "resnet", "gru"]


class ResidualBlock(nn.Module):
    """Two convolutions of width 3 around a shortcut, both with layer scaling by group normalisation."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(dim_in, dim_out, 3, padding=1)
        self.second = nn.Conv1d(dim_out, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(1, dim_out)
        self.shortcut = nn.Conv1d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, dim_in, length) to (n, dim_out, length)."""
        hidden = functional.gelu(self.first(x))
        return functional.gelu(self.shortcut(x) + self.norm(self.second(hidden)))


class SequenceNetwork(nn.Module):
    """Residual stages with pooling, then a GRU or an average over what is left of the length.

    Parameters
    ----------
    kind : {"resnet-gru", "resnet", "gru"}
    n_channels, length : int
        Shape of the data.
    n_features : int
    config : SequenceConfig

    References
    ----------
    Zhang, Bloom & Hernitschek (2023, arXiv:2312.03824), section 3 (ResNet-GRU); He et al. (2015,
    arXiv:1512.03385); Cho et al. (2014, arXiv:1406.1078).
    """

    def __init__(
        self, kind: Kind, n_channels: int, length: int, n_features: int, config: SequenceConfig
    ) -> None:
        super().__init__()
        depth = number_of_stages(length) if config.depth is None else config.depth
        stages: list[nn.Module] = []
        width = n_channels
        if kind != "gru":
            width = config.dim_conv
            stages.append(ResidualBlock(n_channels, width))
            for _ in range(depth):
                wider = min(2 * width, config.dim_conv_max)
                stages.append(ResidualBlock(width, wider))
                width = wider
                if length >= 2:
                    stages.append(nn.MaxPool1d(2))
                    length //= 2
        self.stages = nn.Sequential(*stages)
        self.recurrent = (
            nn.GRU(width, n_features, config.n_gru, batch_first=True) if kind != "resnet" else None
        )
        self.head = nn.Linear(2 * width if kind == "resnet" else n_features, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences (n, n_channels, length) to features (n, n_features)."""
        x = self.stages(x)
        if self.recurrent is None:
            return self.head(torch.cat([x.mean(-1), x.amax(-1)], 1))
        _, state = self.recurrent(x.transpose(1, 2))
        return self.head(state[-1])


def sequence_featurizer(
    kind: Kind, shape: tuple[int, int], n_params: int, config: SequenceConfig
) -> SequenceInputs:
    """Make a sequence network with scaled inputs; a ValueError tells of another ``dim_in`` than channels."""
    if config.dim_in not in (None, shape[0]):
        raise ValueError(
            f"featurizer: dim_in={config.dim_in}, but the data have {shape[0]} channel(s) of length "
            f"{shape[1]}; leave it out or give the data as (channels, length)"
        )
    n_features = config.dim_out or number_of_features(n_params)
    return SequenceInputs(SequenceNetwork(kind, *shape, n_features, config), n_features, shape)
