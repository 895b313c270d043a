"""Adapter for bilby's ``ExponentialLikelihood``, for example for the ordinates of a periodogram."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from bilby.core.likelihood import ExponentialLikelihood
from torch import Tensor

from nbi_sampler.core.config import FORWARD
from nbi_sampler.core.types import Array
from nbi_sampler.forward.draws import exponential_like, normal_scores
from nbi_sampler.forward.function import FunctionModel

__all__ = ["ExponentialModel"]


class ExponentialModel(FunctionModel):
    """Independent exponential data with the prediction as means.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.ExponentialLikelihood
    """

    def __init__(self, likelihood: ExponentialLikelihood) -> None:
        super().__init__(likelihood, "exponential")
        positive = self.observed[self.observed > 0]
        self._floor = FORWARD.exponential_floor * (float(positive.min()) if positive.size else 1.0)

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        r"""Log-likelihood from predictions; see `ForwardModel.log_likelihood`.

        .. math:: -\sum_i \left[ \log \mu_i + y_i / \mu_i \right]

        Minus infinity if any mean is negative.
        """
        with np.errstate(all="ignore"):
            total = -np.sum(np.log(predictions) + self.observed / predictions, axis=1)
        negative = np.any(predictions < 0, axis=1) & ~np.any(np.isnan(predictions), axis=1)
        return np.where(negative, -np.inf, total)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Draw exponential data; see `ForwardModel.noise`."""
        drawn = predictions * exponential_like(predictions, generator)
        return torch.where(predictions >= 0, drawn, torch.nan)

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array:
        """Normal scores of the data; see `ForwardModel.normal_residuals`."""
        with np.errstate(all="ignore"):
            ratio = np.maximum(self.observed, 0.0) / predictions.numpy()
        return normal_scores(-np.expm1(-ratio), np.exp(-ratio))

    def stabilise(self, data: Tensor) -> Tensor:
        """Logarithm minus that of the observed data; see `ForwardModel.stabilise`."""
        floor = max(self._floor, torch.finfo(data.dtype).tiny)
        observed = self._constant("observed", data)
        return torch.log(data.clamp_min(0.0) + floor) - torch.log(observed + floor)
