"""Adapter for bilby's ``JointLikelihood``: independent data sets that share parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.base import ForwardModel

__all__ = ["JointModel"]


class JointModel(ForwardModel):
    """Several forward models together: data are concatenated, and log-likelihoods are added.

    Parts of equal length become channels. Other parts are joined in a single channel.

    Parameters
    ----------
    parts : sequence of ForwardModel
        At least one part.
    """

    def __init__(self, parts: Sequence[ForwardModel]) -> None:
        observed = np.concatenate([part.observed for part in parts])
        channels, lengths = zip(*(part.shape for part in parts), strict=True)
        predicting = tuple(dict.fromkeys(key for part in parts for key in part.prediction_parameters or ()))
        known = all(part.prediction_parameters is not None for part in parts)
        noisy = dict.fromkeys(key for part in parts for key in part.noise_parameters)
        super().__init__(
            "joint: " + " + ".join(part.name for part in parts),
            observed,
            shape=(sum(channels), lengths[0]) if len(set(lengths)) == 1 else (1, observed.size),
            noise_parameters=tuple(key for key in noisy if key not in predicting),
            prediction_parameters=predicting if known else None,
        )
        self.parts = tuple(parts)
        self.plugins = frozenset().union(*(part.plugins for part in parts))
        self._sizes = [part.observed.size for part in parts]

    @property
    def noise_is_known(self) -> bool:
        """True if it is true for all parts; see `ForwardModel.noise_is_known`."""
        return all(part.noise_is_known for part in self.parts)

    @property
    def sequences(self) -> tuple[NDArray[np.intp], ...]:
        """Sequences of all parts; see `ForwardModel.sequences`."""
        starts = np.cumsum([0, *self._sizes[:-1]])
        pairs = zip(starts, self.parts, strict=True)
        return tuple(start + sequence for start, part in pairs for sequence in part.sequences)

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """Predictions of all parts in their order; see `ForwardModel.simulate`."""
        return np.concatenate([part.simulate(parameters) for part in self.parts])

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """Predictions of all parts, if all support it; see `ForwardModel.simulate_batch`."""
        return np.concatenate([part.simulate_batch(columns) for part in self.parts], axis=1)

    def replacing_function(self, wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> JointModel:
        """A copy with copies of the parts; see `ForwardModel.replacing_function`."""
        return JointModel([part.replacing_function(wrap) for part in self.parts])

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Sum over the parts; see `ForwardModel.log_likelihood`."""
        blocks = np.split(predictions, np.cumsum(self._sizes)[:-1], axis=1)
        total = np.zeros(len(predictions))
        for part, block in zip(self.parts, blocks, strict=True):
            total += part.log_likelihood(block, columns)
        return total

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Noise of each part by its own law; see `ForwardModel.noise`."""
        return self._blockwise(predictions, lambda part, block: part.noise(block, columns, generator))

    def stabilise(self, data: Tensor) -> Tensor:
        """Stabilised data of each part by its own law; see `ForwardModel.stabilise`."""
        return self._blockwise(data, lambda part, block: part.stabilise(block))

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """One in every row if all parts are whitened, else None; see `ForwardModel.white_noise_scale`."""
        if len(self.parts) == 1:
            return self.parts[0].white_noise_scale(columns)
        return torch.ones_like(next(iter(columns.values()))) if self.is_whitened(columns.keys()) else None

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array | None:
        """Residuals of all parts, if all have them; see `ForwardModel.normal_residuals`."""
        blocks = torch.split(predictions, self._sizes, dim=1)
        pairs = zip(self.parts, blocks, strict=True)
        residuals = [part.normal_residuals(block, columns, rng) for part, block in pairs]
        made = [each for each in residuals if each is not None]
        return np.concatenate(made, axis=1) if len(made) == len(self.parts) else None

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return whether all parts are whitened; see `ForwardModel.is_whitened`."""
        return all(part.is_whitened(names) for part in self.parts)

    def _blockwise(self, data: Tensor, transform: Callable[[ForwardModel, Tensor], Tensor]) -> Tensor:
        blocks = torch.split(data, self._sizes, dim=1)
        return torch.cat(
            [transform(part, block) for part, block in zip(self.parts, blocks, strict=True)], dim=1
        )
