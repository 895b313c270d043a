"""Residual convolutions and recurrent units on sequences of shape (n, n_channels, length).

The ResNet-GRU of the paper consists of residual 1-d convolutions with pooling, whose widths double up to a
maximum, and a GRU whose last state is the feature vector. ``resnet`` and ``gru`` are its two parts.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import SequenceConfig
from nbi_sampler.networks.featurizers.base import (
    SequenceInputs,
    begin_as_shortcut,
    number_of_features,
    number_of_stages,
)

__all__ = ["SequenceNetwork", "sequence_featurizer"]

Kind = Literal["resnet-gru", "resnet", "gru"]


class ResidualBlock(nn.Module):
    """Two convolutions of width 3 around a shortcut, with group normalisation after the second.

    No activation follows the sum, so the shortcut is linear, and the convolutions add little to it at first.
    A signal then reaches the recurrent layer with its amplitude through any number of stages.

    Parameters
    ----------
    dim_in, dim_out : int
    linear_trunk : bool
        False for networks in older files, which have an activation after the sum and torch's initial values.

    References
    ----------
    He et al. (2016, arXiv:1603.05027), figure 1; He et al. (2015, arXiv:1502.01852), equation 10.
    """

    def __init__(self, dim_in: int, dim_out: int, linear_trunk: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv1d(dim_in, dim_out, 3, padding=1)
        self.second = nn.Conv1d(dim_out, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(1, dim_out)
        self.shortcut = nn.Conv1d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()
        self.linear_trunk = linear_trunk
        if linear_trunk:
            begin_as_shortcut(self.first, self.second, self.norm, self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, dim_in, length) to (n, dim_out, length)."""
        image = _as_image(x)
        hidden = functional.gelu(_convolved(self.first, image))
        shortcut = image if isinstance(self.shortcut, nn.Identity) else _convolved(self.shortcut, image)
        total = (shortcut + self.norm(_convolved(self.second, hidden))).squeeze(2)
        return total if self.linear_trunk else functional.gelu(total)


class Halving(nn.Module):
    """Average pairs of neighbours, or take their larger value; an unpaired last one is left out."""

    def __init__(self, averages: bool = True) -> None:
        super().__init__()
        self.averages = averages

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, dim, length) to (n, dim, length // 2)."""
        pool = functional.avg_pool2d if self.averages else functional.max_pool2d
        return pool(_as_image(x), (1, 2)).squeeze(2)


def _as_image(x: Tensor) -> Tensor:
    """Sequences as images with one row and adjacent channels in memory, in a quarter less time."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _convolved(layer: nn.Module, image: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv1d)
    padding = layer.kernel_size[0] // 2
    return functional.conv2d(image, layer.weight.unsqueeze(2), layer.bias, padding=(0, padding))


class SequenceNetwork(nn.Module):
    """Residual stages with pooling, then a GRU or an average over the remaining length.

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
        width, linear = n_channels, config.linear_trunk
        if kind != "gru":
            width = config.dim_conv
            stages.append(ResidualBlock(n_channels, width, linear))
            for _ in range(depth):
                wider = min(2 * width, config.dim_conv_max)
                stage: list[nn.Module] = [ResidualBlock(width, wider, linear)]
                if length >= 2:
                    stage.insert(0 if linear else 1, Halving(averages=linear))
                    length //= 2
                stages += stage
                width = wider
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
    """Make a sequence network with scaled inputs; ``dim_in`` must be the number of channels."""
    if config.dim_in not in (None, shape[0]):
        raise ValueError(
            f"featurizer: dim_in={config.dim_in}, but the data have {shape[0]} channel(s) of length "
            f"{shape[1]}; leave it out, or give the data as (channels, length)"
        )
    n_features = config.dim_out or number_of_features(n_params)
    return SequenceInputs(SequenceNetwork(kind, *shape, n_features, config), n_features, shape)
