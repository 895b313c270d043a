"""Adapters for bilby's likelihoods of counts: ``PoissonLikelihood`` and ``Multinomial``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from bilby.core.likelihood import Multinomial, PoissonLikelihood
from scipy.special import bdtr, bdtrc, gammaln, pdtr, pdtrc, xlogy
from torch import Tensor

from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_observed
from nbi_sampler.forward.base import ForwardModel
from nbi_sampler.forward.draws import multinomial, normal_scores, poisson
from nbi_sampler.forward.function import FunctionModel

__all__ = ["MultinomialModel", "PoissonModel"]


def _root(counts: Tensor) -> Tensor:
    """Variance-stabilising root of counts (Anscombe 1948, Biometrika 35, 246)."""
    return 2.0 * torch.sqrt(counts.clamp_min(0.0) + 0.375)


def _log_of_its_own_count(counts: Array) -> Array:
    """Log of the Poisson probability of each count at a rate equal to it; zero for zero counts."""
    safe = np.maximum(counts, 1.0)
    # Stirling's series has full precision where the logarithm of the factorial has lost all digits.
    series = -0.5 * np.log(2.0 * np.pi * safe) - (1.0 - 1.0 / (30.0 * safe**2)) / (12.0 * safe)
    exact = xlogy(counts, counts) - counts - gammaln(counts + 1)
    return np.asarray(np.where(counts > 1e3, series, exact))


class PoissonModel(FunctionModel):
    """Counts with the prediction as rates.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.PoissonLikelihood
    """

    def __init__(self, likelihood: PoissonLikelihood) -> None:
        super().__init__(likelihood, "Poisson counts")

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        r"""Log-likelihood from predictions; see `ForwardModel.log_likelihood`.

        .. math:: \sum_i \left[ y_i \log r_i - r_i - \log y_i! \right]
            = \sum_i \left[ y_i (\log(1 + d_i) - d_i) + \log p(y_i | y_i) \right], \quad d_i = r_i / y_i - 1

        The second form is used because the terms of the first cancel: at 1e12 counts they leave an error of
        0.01. As in bilby, the result is minus infinity if any rate is zero, whatever its count. It is NaN if
        a rate is negative.
        """
        with np.errstate(all="ignore"):
            counted = self.observed > 0.0
            counts = np.where(counted, self.observed, 1.0)
            excess = (predictions - counts) / counts
            terms = np.where(counted, counts * (np.log1p(excess) - excess), -predictions)
            total = np.sum(terms, axis=1) + float(np.sum(_log_of_its_own_count(self.observed)))
        dark = np.any(predictions == 0, axis=1) & ~np.any(np.isnan(predictions) | (predictions < 0), axis=1)
        return np.where(dark, -np.inf, total)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Draw counts; see `ForwardModel.noise`."""
        return poisson(predictions, generator)

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array:
        """Normal scores of the counts; see `ForwardModel.normal_residuals`."""
        rates, share = predictions.numpy(), rng.random(predictions.shape)
        below = np.where(self.observed >= 1, pdtr(self.observed - 1, rates), 0.0)
        return normal_scores(below, pdtrc(self.observed, rates), share)

    def stabilise(self, data: Tensor) -> Tensor:
        """Anscombe's square root minus that of the observed counts; see `ForwardModel.stabilise`."""
        return _root(data) - _root(self._constant("observed", data))

    def _check(self, prediction: Any) -> None:
        super()._check(prediction)
        if not isinstance(prediction, np.ndarray):
            raise ValueError(
                f"func: expected the Poisson rates as a numpy.ndarray, got {type(prediction).__name__}; "
                "return an array like x."
            )
        n_negative = int(np.count_nonzero(prediction < 0))
        if n_negative:
            raise ValueError(
                f"func: expected Poisson rates of at least zero, got {n_negative} negative; restrict the "
                "priors or clip the rates."
            )


class MultinomialModel(ForwardModel):
    """Counts of objects in classes; the prediction is the expected count of each class.

    Expected counts rather than probabilities give predictions and data the same units.

    Parameters
    ----------
    likelihood : bilby.core.likelihood.Multinomial
        The last class gets the remaining probability and has no parameter.

    Raises
    ------
    ValueError
        If the counts are not finite, or if there is not one for each class.
    """

    def __init__(self, likelihood: Multinomial) -> None:
        observed = as_observed(likelihood.data, "data")
        if observed.shape != (likelihood.n,):
            raise ValueError(
                f"data: expected one count for each of the {likelihood.n} classes, got shape "
                f"{observed.shape}; make n_dimensions the number of counts."
            )
        self._keys = tuple(f"{likelihood.base}{k}" for k in range(likelihood.n - 1))
        # The minimum is one, because an experiment without objects still has probabilities.
        self._total = max(float(np.sum(observed)), 1.0)
        super().__init__("multinomial counts", observed, prediction_parameters=self._keys)

    def simulate(self, parameters: Mapping[str, float]) -> Array:
        """Compute the expected count of each class; see `ForwardModel.simulate`."""
        free = [float(parameters[key]) for key in self._keys]
        return self._total * np.array([*free, 1 - sum(free)])

    def simulate_batch(self, columns: Mapping[str, Array]) -> Array:
        """Compute the expected count of each class; see `ForwardModel.simulate_batch`."""
        if not self._keys:
            return super().simulate_batch(columns)
        free = [np.asarray(columns[key], dtype=np.float64) for key in self._keys]
        return self._total * np.stack([*free, 1 - sum(free)], axis=1)

    def log_likelihood(self, predictions: Array, columns: Mapping[str, Array]) -> Array:
        r"""Log-likelihood from predictions; see `ForwardModel.log_likelihood`.

        .. math:: \log N! + \sum_k \left[ n_k \log p_k - \log n_k! \right]

        NaN if a probability is negative, as in bilby.
        """
        with np.errstate(all="ignore"):
            terms = xlogy(self.observed, predictions / self._total) - gammaln(self.observed + 1)
        return gammaln(np.sum(self.observed) + 1) + np.sum(terms, axis=1)

    def noise(self, predictions: Tensor, columns: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Draw as many objects as were observed; see `ForwardModel.noise`."""
        return multinomial(round(float(np.sum(self.observed))), predictions / self._total, generator)

    def normal_residuals(
        self, predictions: Tensor, columns: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Array:
        """Normal scores of each class given those before it; see `ForwardModel.normal_residuals`.

        The last class is determined by the others, so it has no score.
        """
        expected, counts = predictions.numpy(), self.observed[:-1].astype(np.int64)
        # Sums from the end: objects, and probability, in this class and the later ones.
        left = np.cumsum(self.observed[::-1].astype(np.int64))[::-1][:-1]
        with np.errstate(all="ignore"):
            chance = expected[:, :-1] / np.cumsum(expected[:, ::-1], axis=1)[:, ::-1][:, :-1]
        chance = np.clip(chance, 0.0, 1.0)
        below = np.where(counts >= 1, bdtr(np.maximum(counts - 1, 0), left, chance), 0.0)
        above = np.where(counts < left, bdtrc(np.minimum(counts, left), left, chance), 0.0)
        return normal_scores(below, above, rng.random(chance.shape))

    def stabilise(self, data: Tensor) -> Tensor:
        """Anscombe's square root minus that of the observed counts; see `ForwardModel.stabilise`."""
        return _root(data) - _root(self._constant("observed", data))
