"""Adapter for bilby's ``GaussianLikelihood``: independent Gaussian noise of known or unknown scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from bilby.core.likelihood import GaussianLikelihood
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import robust_scale
from nbi_sampler.forward.compat import known_value, parameter_or_known
from nbi_sampler.forward.draws import normal_like
from nbi_sampler.forward.function import FunctionModel

__all__ = ["GaussianModel"]


class GaussianModel(FunctionModel):
    """Data ``m(theta) + sigma N(0, I)``.

    A parameter called ``sigma`` replaces the likelihood's own value, as in bilby. The known scale whitens the
    data; if there is none, a robust scale of the observed data does.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.GaussianLikelihood

    Raises
    ------
    ValueError
        If the data are not finite, or the known scale is zero or not finite anywhere.
    """

    def __init__(self, likelihood: GaussianLikelihood) -> None:
        sigma = known_value(likelihood, "sigma")
        super().__init__(
            likelihood,
            "Gaussian, unknown sigma" if sigma is None else "Gaussian, known sigma",
            noise_parameter="sigma" if sigma is None else None,
        )
        self._known = None if sigma is None else self._per_point(sigma, "sigma")
        self._scale = (
            np.full(self.observed.size, robust_scale(self.observed)) if self._known is None else self._known
        )
        self._uniform = bool(np.all(self._scale == self._scale[0]))

    @property
    def uncertainty(self) -> Array | None:
        """The likelihood's own ``sigma``; see `ForwardModel.uncertainty`."""
        return self._known

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        r"""Log-likelihood from predictions; see `ForwardModel.log_likelihood`.

        .. math:: -\frac12 \sum_i \left[ (y_i - m_i)^2 / \sigma_i^2 + \log 2 \pi \sigma_i^2 \right]
        """
        sigma = self._value(columns, "sigma")
        with np.errstate(all="ignore"):
            terms = ((self.observed - predictions) / sigma) ** 2 / 2 + np.log(2 * np.pi * sigma**2) / 2
            return -np.sum(terms, axis=1)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add Gaussian noise; see `ForwardModel.noise`."""
        sigma = self._tensor(columns, "sigma", predictions).abs()
        return predictions + sigma * normal_like(predictions, generator)

    def white_noise_scale(self, columns: Mapping[str, Tensor]) -> Tensor | None:
        """``sigma`` in units of the scale, None if it varies; see `ForwardModel.white_noise_scale`."""
        if "sigma" in columns:
            return columns["sigma"].abs() / float(self._scale[0]) if self._uniform else None
        parameter_or_known(columns, "sigma", self._known)
        return torch.ones_like(next(iter(columns.values())))

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array:
        """Residuals in units of ``sigma``; see `ForwardModel.normal_residuals`."""
        return (self.observed - predictions.numpy()) / np.abs(self._value(columns, "sigma"))

    def is_whitened(self, names: Collection[str]) -> bool:
        """Return whether the scale is known and no parameter replaces it; see `ForwardModel.is_whitened`."""
        return self._known is not None and "sigma" not in names
