"""Featurizers of an ensemble: each sees all data, and their features stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nbi_sampler.networks.featurizers.base import Featurizer, SimulatedData

__all__ = ["EnsembleFeaturizer"]


class EnsembleFeaturizer(Featurizer):
    """Featurizers of the same data.

    Parameters
    ----------
    members : sequence of Featurizer
    shape : tuple of int
        (n_channels, length) of the data.
    """

    def __init__(self, members: Sequence[Featurizer], shape: tuple[int, int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.shape = shape
        self.n_features = sum(member.n_features for member in members)

    def fit(self, data: SimulatedData, rng: np.random.Generator) -> None:
        """Let every member learn its scales."""
        for member in self._featurizers():
            member.fit(data, rng)

    def reduce(self, data: Tensor) -> Tensor:
        """Inputs of all members side by side, shape (n, n_inputs)."""
        return torch.cat([member.reduce(data).flatten(1) for member in self._featurizers()], 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of shape (n, n_features)."""
        features, start = [], 0
        for member in self._featurizers():
            # How many inputs a member makes of its data may depend on what it has learnt.
            with torch.no_grad():
                example = member.reduce(inputs.new_zeros(1, self.shape[0] * self.shape[1]))
            own = inputs[:, start : start + example.numel()].view(-1, *example.shape[1:])
            features.append(member(own))
            start += example.numel()
        return torch.cat(features, 1)

    def _featurizers(self) -> list[Featurizer]:
        return [cast(Featurizer, member) for member in self.members]
