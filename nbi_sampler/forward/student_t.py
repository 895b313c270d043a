"""Adapter for bilby's ``StudentTLikelihood``: independent heavy-tailed noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from bilby.core.likelihood import StudentTLikelihood
from scipy.special import gammaln, stdtr
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.compat import known_value
from nbi_sampler.forward.draws import gamma, normal_like, normal_scores
from nbi_sampler.forward.function import FunctionModel

__all__ = ["StudentTModel"]


class StudentTModel(FunctionModel):
    """Data ``m(theta) + sigma t_nu``, with ``sigma`` known and ``nu`` known or a parameter.

    A parameter called ``nu`` replaces the likelihood's own value. A parameter called ``sigma`` does not, as
    in bilby.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.StudentTLikelihood

    Raises
    ------
    ValueError
        If the data are not finite, or the scale is zero or not finite anywhere.
    """

    def __init__(self, likelihood: StudentTLikelihood) -> None:
        nu = known_value(likelihood, "nu")
        super().__init__(
            likelihood,
            "Student-t, unknown nu" if nu is None else "Student-t, known nu",
            noise_parameter="nu" if nu is None else None,
        )
        self._known = None if nu is None else np.array([nu], dtype=np.float64)
        self._scale = self._per_point(known_value(likelihood, "sigma"), "sigma")

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        r"""Log-likelihood from predictions; see `ForwardModel.log_likelihood`.

        .. math:: \sum_i \log t_\nu\left((y_i - m_i) / \sigma_i\right) - \log \sigma_i

        Raises
        ------
        ValueError
            If any ``nu`` is not positive, as in bilby.
        """
        nu = self._value(columns, "nu")
        if np.any(nu <= 0):
            raise ValueError(
                f"nu: expected positive degrees of freedom, got {np.nanmin(nu)}; restrict its prior "
                "to nu > 0."
            )
        precision = 1 / self._scale**2
        with np.errstate(all="ignore"):
            terms = (
                -(nu + 1) * np.log1p(precision * (self.observed - predictions) ** 2 / nu) / 2
                + np.log(precision / (nu * np.pi)) / 2
                + gammaln((nu + 1) / 2)
                - gammaln(nu / 2)
            )
            return np.sum(terms, axis=1)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Add Student-t noise, a Gaussian over the root of a gamma number; see `ForwardModel.noise`."""
        nu = self._tensor(columns, "nu", predictions)
        half = (nu / 2).expand(predictions.shape).contiguous()
        drawn = normal_like(predictions, generator) * torch.sqrt(half / gamma(half, generator))
        return predictions + self._constant("_scale", predictions) * drawn

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array:
        """Normal scores of the residuals; see `ForwardModel.normal_residuals`."""
        nu = self._value(columns, "nu")
        deviations = (self.observed - predictions.numpy()) / self._scale
        return normal_scores(stdtr(nu, deviations), stdtr(nu, -deviations))
