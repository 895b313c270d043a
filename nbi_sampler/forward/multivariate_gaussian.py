"""Adapters for bilby's analytic targets: a correlated Gaussian in the parameters, with one mode or two.

The likelihood is a density of theta. It is also a noise law with theta as the prediction and the mean of the
density as the observed datum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

import numpy as np
import torch
from bilby.core.likelihood import (
    AnalyticalMultidimensionalBimodalCovariantGaussian,
    AnalyticalMultidimensionalCovariantGaussian,
)
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_observed
from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.draws import normal_like

__all__ = ["BimodalGaussianModel", "CovariantGaussianModel"]

_Likelihood: TypeAlias = (
    AnalyticalMultidimensionalCovariantGaussian | AnalyticalMultidimensionalBimodalCovariantGaussian
)


class _CovariantModel(ForwardModel):
    """Base of both targets: the prediction is x0, x1, ..., and the noise has one covariance matrix."""

    def __init__(self, likelihood: _Likelihood, name: str, observed: Array) -> None:
        covariance = as_observed(likelihood.cov, "cov")
        n_dim = covariance.shape[0]
        self._keys = tuple(f"x{i}" for i in range(n_dim))
        super().__init__(name, observed, prediction_parameters=self._keys)
        self._cholesky = np.linalg.cholesky(covariance)
        self._whitener = np.linalg.inv(self._cholesky)
        self._log_norm = float(np.log(np.diag(self._cholesky)).sum() + n_dim * np.log(2 * np.pi) / 2)

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """The parameters themselves; see `ForwardModel.simulate`."""
        return np.array([parameters[key] for key in self._keys], dtype=np.float64)

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """The parameters themselves; see `ForwardModel.simulate_batch`."""
        return np.stack([np.asarray(columns[key], dtype=np.float64) for key in self._keys], axis=1)

    def stabilise(self, data: Tensor) -> Tensor:
        """Residuals times the inverse Cholesky factor; see `ForwardModel.stabilise`."""
        return (data - self._constant("observed", data)) @ self._constant("_whitener", data).T

    def _correlated(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return normal_like(like, generator) @ self._constant("_cholesky", like).T

    def _log_density(self, predictions: Array, mean: Array) -> Array:
        with np.errstate(all="ignore"):
            return -np.sum(((predictions - mean) @ self._whitener.T) ** 2, axis=1) / 2 - self._log_norm


class CovariantGaussianModel(_CovariantModel):
    """The datum is ``mean``, drawn from a Gaussian about theta.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.AnalyticalMultidimensionalCovariantGaussian

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance matrix is not positive definite.
    """

    def __init__(self, likelihood: AnalyticalMultidimensionalCovariantGaussian) -> None:
        super().__init__(likelihood, "multivariate Gaussian", as_observed(likelihood.mean, "mean"))

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Log-density of theta; see `ForwardModel.log_likelihood`."""
        return self._log_density(predictions, self.observed)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add correlated Gaussian noise; see `ForwardModel.noise`."""
        return predictions + self._correlated(predictions, generator)

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor:
        """One in every row; see `ForwardModel.white_noise_scale`."""
        return torch.ones_like(next(iter(columns.values())))

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return True, always; see `ForwardModel.is_whitened`."""
        return True


class BimodalGaussianModel(_CovariantModel):
    """The datum is zero, from equal halves of two Gaussians about ``theta - mean_1`` and ``theta - mean_2``.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.AnalyticalMultidimensionalBimodalCovariantGaussian

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance matrix is not positive definite.
    """

    def __init__(self, likelihood: AnalyticalMultidimensionalBimodalCovariantGaussian) -> None:
        means = {"mean_1": likelihood.mean_1, "mean_2": likelihood.mean_2}
        self._means = np.stack([as_observed(each, name).reshape(-1) for name, each in means.items()])
        super().__init__(likelihood, "bimodal multivariate Gaussian", np.zeros(self._means.shape[1]))

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        """Log-density of theta; see `ForwardModel.log_likelihood`."""
        modes = [self._log_density(predictions, mean) for mean in self._means]
        with np.errstate(invalid="ignore"):
            return np.logaddexp(modes[0], modes[1]) - np.log(2)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Subtract the mean of a random mode and add correlated noise; see `ForwardModel.noise`."""
        mode = torch.randint(0, 2, (len(predictions),), generator=generator, device=predictions.device)
        shifted = predictions - self._constant("_means", predictions)[mode]
        return shifted + self._correlated(predictions, generator)
