"""Perceptrons: the trainable part of the pca featurizer, and a featurizer of their own."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from nbi_sampler.config import MlpConfig
from nbi_sampler.featurizers.base import SequenceInputs

__all__ = ["perceptron", "perceptron_featurizer"]


def perceptron(dim_in: int, dim_out: int, hidden: int, depth: int) -> nn.Sequential:
    """``depth`` hidden layers of width ``hidden`` with GELU between them."""
    widths = [dim_in] + [hidden] * depth
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], dim_out))


def perceptron_featurizer(shape: tuple[int, int], n_params: int, config: MlpConfig) -> SequenceInputs:
    """Perceptron on the whole data vector, whatever its channels.

    Parameters
    ----------
    shape : tuple of int
        (n_channels, length) of the data.
    n_params : int
        Unused: the widths come from ``config``.
    config : MlpConfig
    """
    network = perceptron(shape[0] * shape[1], config.dim_out, config.hidden, config.depth)
    return SequenceInputs(network, config.dim_out, shape, flat=True)
