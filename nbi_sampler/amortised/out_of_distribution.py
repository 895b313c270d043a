"""A test for data out of the distribution of a training's simulations, with exact p-values.

A network may say anything about data unlike all that it has seen. The test works on any summary of the data:
the features of a featurizer, principal components, or the data themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.covariance import ledoit_wolf

from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.core.config import OOD_THRESHOLD, OUT_OF_DISTRIBUTION
from nbi_sampler.core.guarded import warn_user
from nbi_sampler.core.types import Array
from nbi_sampler.forward.arrays import as_real_numbers
from nbi_sampler.reports.diagnostics.ranks import exceedance

__all__ = ["DataSummary", "OutOfDistributionTest", "OutOfDistributionWarning", "warn_out_of_distribution"]


@dataclass(frozen=True)
class OutOfDistributionTest:
    r"""Distance from the simulations, calibrated on simulations that were held out; made by `fit`.

    The score is the squared Mahalanobis distance over the dimension,

    .. math:: s(f) = (f - \mu)^T \Sigma^{-1} (f - \mu) / k,

    and the p-value the share of m held-out simulations that lie as far out, :math:`(1 + \#\{s_j \geq s\}) /
    (m + 1)`, which holds in any dimension and for any distribution of the features, because held-out
    simulations and data of their distribution are exchangeable.

    Attributes
    ----------
    mean : ndarray, shape (k,)
    whitening : ndarray, shape (k, k)
        Takes deviations from the mean to unit covariance.
    scores : ndarray, shape (m,)
        Of the held-out simulations, ascending.

    Notes
    -----
    The smallest p-value is 1 / (m + 1). The covariance is shrunk towards a multiple of the identity (after
    every feature has been scaled), so that it can be inverted with fewer simulations than features. Distance
    from the mean cannot tell what lies in a hole of the distribution; and features that were trained for
    parameters may be blind to what has nothing to do with them: test principal components of the data too.

    References
    ----------
    Ledoit & Wolf (2004), Journal of Multivariate Analysis 88, 365, for the shrinkage; Vovk, Gammerman &
    Shafer (2005), Algorithmic Learning in a Random World, section 4.2, for the p-value.
    """

    mean: Array
    whitening: Array
    scores: Array

    @classmethod
    def fit(cls, features: ArrayLike, rng: np.random.Generator) -> OutOfDistributionTest:
        """Learn from features of simulations with noise: covariance from one half, scores from the other.

        Parameters
        ----------
        features : array_like, shape (n, k)
            At least 20 rows; best of simulations that did not train the featurizer.
        rng : numpy.random.Generator
        """
        known = as_real_numbers(features, "features")
        fewest = OUT_OF_DISTRIBUTION.fewest
        if known.ndim != 2 or len(known) < fewest or not np.isfinite(known).all():
            raise ValueError(
                f"features: expected finite ones of shape (n, k), n at least {fewest}, got {known.shape}"
            )
        known = rng.permutation(known)
        first, second = np.array_split(known, 2)
        mean, spread = first.mean(0), first.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        covariance, _ = ledoit_wolf((first - mean) / spread, assume_centered=True)
        variance, vectors = np.linalg.eigh(covariance)
        floor = 1e-10 * max(variance[-1], 1e-10)
        whitening = vectors / np.sqrt(np.maximum(variance, floor)) / spread[:, None]
        unscored = cls(mean, whitening, np.empty(0))
        return cls(mean, whitening, np.sort(unscored.score(second)))

    def score(self, features: ArrayLike) -> Array:
        """Mean squared deviation in units of the simulations' spread, shape (n,), about 1 in distribution.

        Parameters
        ----------
        features : array_like, shape (n, k) or (k,)
            The score of a row that is not finite is infinite.
        """
        rows = np.atleast_2d(as_real_numbers(features, "features"))
        finite = np.isfinite(rows).all(1)
        scores = np.full(len(rows), np.inf)
        scores[finite] = np.square((rows[finite] - self.mean) @ self.whitening).mean(1)
        return scores

    def p_value(self, features: ArrayLike) -> Array:
        """Chance that a simulation is as unlike the others as these features, shape (n,); see `score`."""
        return exceedance(self.score(features), self.scores)


class OutOfDistributionWarning(UserWarning):
    """Observed data are unlike all simulations that the networks were trained on."""


def warn_out_of_distribution(p_values: ArrayLike) -> None:
    """Warn on behalf of the caller's caller where more p-values are small than by chance.

    Parameters
    ----------
    p_values : array_like, shape (n_targets,)
        NaN where there is none.
    """
    p = np.asarray(p_values, dtype=float)
    n_small = int((p < OOD_THRESHOLD).sum())
    # Of many targets in distribution some have a small p-value.
    if stats.binom.sf(n_small - 1, len(p), OOD_THRESHOLD) > OOD_THRESHOLD:
        return
    smallest = float(np.nanmin(p))
    warn_user(
        f"x_obs: {n_small} of {len(p)} targets are unlike the simulations (smallest p-value {smallest:.2g}). "
        "Networks may be wrong there, and weights may not tell: look at data and noise, or fit such a target "
        "by the sampler",
        OutOfDistributionWarning,
    )


@dataclass(frozen=True)
class DataSummary:
    """Principal components of scaled data, and the size of what they leave over.

    Attributes
    ----------
    mean : ndarray, shape (n_data,)
    components : ndarray, shape (n_data, k)
    """

    mean: Array
    components: Array

    @classmethod
    def learnt(cls, data_format: DataFormat, observation: Observation) -> DataSummary:
        """Learn the components from simulations with noise."""
        data, rules = _flat(data_format, observation), OUT_OF_DISTRIBUTION
        mean = data.mean(0)
        _, singular, vectors = np.linalg.svd(data - mean, full_matrices=False)
        held = np.cumsum(singular**2) / max(float(np.sum(singular**2)), 1e-300)
        n_kept = min(int(np.searchsorted(held, rules.share)) + 1, rules.most_components, len(singular))
        return cls(mean, vectors[:n_kept].T.copy())

    def __call__(self, data_format: DataFormat, observation: Observation) -> Array:
        """Coefficients and the logarithm of what is left, per point, shape (n, k + 1 or k + 2).

        Where networks see uncertainties, what is left is measured in units of these too.
        """
        data = _flat(data_format, observation)
        coefficients = (data - self.mean) @ self.components
        left = (data - self.mean - coefficients @ self.components.T).reshape(len(data), *data_format.shape)
        values = [i for i, role in enumerate(data_format.roles) if role == "value"]
        present = observation.mask[:, None]
        n_present = len(values) * np.maximum(observation.mask.sum(1), 1)
        square = np.where(present, left[:, values], 0.0) ** 2
        columns = [coefficients, _log_mean(square, n_present)]
        if data_format.has_uncertainty:
            relative = square * (data_format.scale[values] / observation.x_err) ** 2
            columns.append(_log_mean(relative, n_present))
        return np.concatenate(columns, 1)


def _flat(data_format: DataFormat, observation: Observation) -> Array:
    return data_format.encode(observation, clip=False).flatten(1).numpy().astype(float)


def _log_mean(square: Array, n_present: NDArray[np.int_]) -> Array:
    return np.log(square.sum((1, 2)) / n_present + 1e-12)[:, None]
