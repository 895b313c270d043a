"""Residual 2-d convolutions on images of shape (n, n_channels, height, width), with bands as channels.

They serve pictures of galaxies and lenses in one or several bands or exposures, and spectrograms.
Uncertainties and a mask are additional channels. A missing pixel is zero in all other channels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nbi_sampler.core.config import FEATURES, ImageConfig
from nbi_sampler.networks.featurizers.base import (
    Featurizer,
    SimulatedData,
    begin_as_shortcut,
    number_of_features,
)

__all__ = ["ImageFeaturizer", "ImageNetwork", "image_size", "strides"]

Pair = tuple[int, int]


class ImageFeaturizer(Featurizer):
    """Scaled images, then residual stages that halve height and width.

    All pixels of a channel share one shift and one scale, so a galaxy looks the same at any position. The
    pixels are compressed by asinh, as astronomers display their images.

    Parameters
    ----------
    shape : tuple of int
        (n_channels, n_pixels) of the data.
    n_params : int
        Number of parameters, which determines the number of features.
    config : ImageConfig

    References
    ----------
    Lupton, Gunn & Szalay (1999, arXiv:astro-ph/9903081) for asinh.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shape: Pair, n_params: int, config: ImageConfig) -> None:
        super().__init__()
        self.size = image_size(shape, config)
        self.n_features = config.dim_out or number_of_features(n_params)
        self.network = ImageNetwork(shape[0], self.size, self.n_features, config)
        self.register_buffer("shift", torch.zeros(shape[0], 1))
        self.register_buffer("scale", torch.ones(shape[0], 1))

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Learn median and mean deviation of the pixels of every channel, including noise."""
        noise = 1.0 if data.scale is None else float(data.scale.median())
        rows = torch.as_tensor(rng.permutation(len(data))[: FEATURES.most_rows_image], device=data.device)
        pixels = data.signal[rows].view(len(rows), len(self.shift), -1).transpose(0, 1).flatten(1)
        self.shift.copy_(pixels.median(1, keepdim=True).values)
        deviation = (pixels - self.shift).abs().clamp(max=FEATURES.largest_deviation)
        self.scale.copy_((deviation.mean(1, keepdim=True) ** 2 + noise**2).sqrt())

    def reduce(self, data: Tensor) -> Tensor:
        """Scaled and compressed images, shape (n, n_channels, height, width)."""
        channels = data.view(len(data), len(self.shift), -1)
        return torch.asinh((channels - self.shift) / self.scale).unflatten(-1, self.size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        return self.network(inputs)


class ResidualBlock(nn.Module):
    """Two convolutions of width 3 and a linear shortcut; the first convolution may halve a side."""

    def __init__(self, dim_in: int, dim_out: int, stride: Pair) -> None:
        super().__init__()
        self.first = nn.Conv2d(dim_in, dim_out, 3, stride=stride, padding=1)
        self.second = nn.Conv2d(dim_out, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(1, dim_out)
        self.shortcut = nn.Conv2d(dim_in, dim_out, 1)
        self.stride = stride
        begin_as_shortcut(self.first, self.second, self.norm, self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (n, dim_in, height, width) to (n, dim_out, height / stride, width / stride), rounded up."""
        hidden = functional.gelu(self.first(x))
        if self.stride != (1, 1):
            x = functional.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
        return self.shortcut(x) + self.norm(self.second(hidden))


class ImageNetwork(nn.Module):
    """Residual stages until a side has 4 to 7 pixels, then a linear layer on the remaining map.

    The map is not averaged over its pixels, because positions are parameters too.

    Parameters
    ----------
    n_channels : int
    size : tuple of int
        (height, width).
    n_features : int
    config : ImageConfig

    References
    ----------
    He et al. (2016, arXiv:1603.05027).
    """

    def __init__(self, n_channels: int, size: Pair, n_features: int, config: ImageConfig) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before, width = n_channels, config.dim_conv
        height_left, width_left = size
        for stride in strides(size, config.depth):
            stages.append(ResidualBlock(before, width, stride))
            before, width = width, min(2 * width, config.dim_conv_max)
            height_left, width_left = -(-height_left // stride[0]), -(-width_left // stride[1])
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(before * height_left * width_left, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, n_channels, height, width) to features (n, n_features)."""
        return self.head(self.stages(x).flatten(1))


def image_size(shape: Pair, config: ImageConfig) -> Pair:
    """(height, width) of data of shape (n_channels, n_pixels): the configured ones, or those of a square.

    Raises
    ------
    ValueError
        If the data have another number of pixels.
    """
    n_pixels = shape[1]
    side = math.isqrt(n_pixels)
    height = config.height or n_pixels // (config.width or side)
    width = config.width or n_pixels // (config.height or side)
    if height * width != n_pixels:
        sides = {"height": config.height, "width": config.width}
        told = ", ".join(f"{name}={value}" for name, value in sides.items() if value) or "equal sides"
        raise ValueError(
            f"featurizer: expected images of {told}, got {shape[0]} channel(s) of {n_pixels} pixels; give "
            'data of shape (channels, height, width), or "height" and "width" of the featurizer'
        )
    return height, width


def strides(size: Pair, depth: int | None = None) -> list[Pair]:
    """Strides of the stages: a side is halved while it has 8 pixels or more.

    Parameters
    ----------
    size : tuple of int
        (height, width).
    depth : int, optional
        Number of stages. None means as many as halve a side, and at least one.

    Examples
    --------
    >>> strides((64, 64)), strides((12, 40)), strides((3, 5))
    ([(2, 2), (2, 2), (2, 2), (2, 2)], [(2, 2), (1, 2), (1, 2)], [(1, 1)])
    """
    height, width = size
    found: list[Pair] = []
    while len(found) < (depth if depth is not None else 1) or (depth is None and max(height, width) >= 8):
        found.append((1 + (height >= 8), 1 + (width >= 8)))
        height, width = -(-height // found[-1][0]), -(-width // found[-1][1])
    return found
