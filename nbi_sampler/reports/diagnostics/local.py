r"""Calibration at one observation: a classifier two-sample test among the simulations that are most like it.

Ranks and coverage are averages over the prior, in which errors of opposite sign cancel. Here a regression
tells the truth of each simulation from one draw of its posterior, and simulations count the more, the more
alike their posterior and that of the observation are. Truth and draw are in units of the posterior,

.. math:: v = (z - m(x)) / s(x),

so that a local error looks alike in all neighbours. Where the posterior is right, truth and draw are
exchangeable, and relabelling pairs at random gives exact p-values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import PolynomialFeatures

from nbi_sampler.core.config import DIAGNOSIS
from nbi_sampler.core.types import Array

__all__ = ["LocalCalibration", "local_calibration"]

# Relabelled classifiers at a time, which bounds memory.
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class LocalCalibration:
    """Comparison of truths with the posteriors of simulations like the observation.

    Attributes
    ----------
    p_value : float
        Probability of a classifier as good as this one if posteriors are right.
    n_near : float
        Effective number of neighbouring simulations.
    bias, bias_err : ndarray, shape (n_dim,)
        Mean distance of truths above the mean of their posteriors, in standard deviations of these.
    width, width_err : ndarray, shape (n_dim,)
        Scatter of truths in units of what posteriors claim: above one where these are too narrow.
    """

    p_value: float
    n_near: float
    bias: Array
    bias_err: Array
    width: Array
    width_err: Array


def local_calibration(
    samples: ArrayLike, truths: ArrayLike, observed: ArrayLike, *, rng: np.random.Generator
) -> LocalCalibration:
    """Test the posterior at an observation by the simulations whose posteriors are most like it.

    Parameters
    ----------
    samples : array_like, shape (n_targets, n_samples, n_dim)
        Posterior draws of simulated targets, best in coordinates in which the prior is standard normal.
    truths : array_like, shape (n_targets, n_dim)
        Drawn from the prior.
    observed : array_like, shape (n, n_dim)
        Posterior draws of the observation.
    rng : numpy.random.Generator

    Notes
    -----
    Neighbours are told by mean and standard deviation of their posteriors, so that two posteriors with equal
    moments count as alike. The test sees no error that all neighbours of both kinds average out.

    References
    ----------
    Linhart, Gramfort & Rodrigues (2023), arXiv:2306.03580, section 3, for the local classifier test; Kim, Lee
    & Lei (2019), arXiv:1812.08927, for regression as classifier. The kernel weights are ours.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> narrow = 0.5 * rng.normal(size=(500, 100, 1))
    >>> local_calibration(narrow, rng.normal(size=(500, 1)), narrow[0], rng=rng).p_value < 0.01
    True
    """
    draws, true = np.asarray(samples, dtype=float), np.asarray(truths, dtype=float)
    own = np.asarray(observed, dtype=float)
    if draws.ndim != 3 or true.shape != (draws.shape[0], draws.shape[2]) or own.shape[1:] != true.shape[1:]:
        raise ValueError(
            "samples, truths, observed: expected shapes (n_targets, n_samples, n_dim), (n_targets, n_dim) "
            f"and (n, n_dim), got {draws.shape}, {true.shape} and {own.shape}"
        )
    # The draw that is compared takes no part in the moments, as the truth does not.
    drawn, rest = draws[:, 0], draws[:, 1:]
    mean, spread = rest.mean(1), _positive(rest.std(1))
    near = _nearness(_context(mean, spread), _context(own.mean(0)[None], _positive(own.std(0))[None]))
    v_true, v_drawn = (true - mean) / spread, (drawn - mean) / spread
    v_own = (own - own.mean(0)) / _positive(own.std(0))
    n_near = near.sum() ** 2 / np.square(near).sum()
    bias, square = near @ v_true, near @ np.square(v_true - near @ v_true)
    width = np.sqrt(square)
    fourth = near @ (v_true - bias) ** 4
    return LocalCalibration(
        p_value=_p_value(v_true, v_drawn, v_own, near, rng),
        n_near=float(n_near),
        bias=bias,
        bias_err=width / np.sqrt(n_near),
        width=width,
        width_err=np.sqrt(np.maximum(fourth - square**2, 0.0) / n_near) / (2.0 * _positive(width)),
    )


def _positive(spread: Array) -> Array:
    return np.maximum(spread, 1e-12)


def _context(mean: Array, spread: Array) -> Array:
    """Numbers by which posteriors are compared, shape (n, 2 n_dim)."""
    return np.concatenate([mean, np.log(spread)], axis=1)


def _nearness(context: Array, own: Array) -> Array:
    """Weights of the simulations, shape (n,), summing to one: Gaussian, as wide as gives enough of them."""
    unit = context.std(0)
    distance = np.square((context - own) / np.where(unit > 0, unit, 1.0)).mean(1)
    distance = distance - distance.min()
    n = len(context)
    wanted = min(max(DIAGNOSIS.near * n, DIAGNOSIS.fewest_near), 0.9 * n)

    def weights(log_width: float) -> Array:
        found = np.exp(-distance / np.exp(log_width))
        return np.asarray(found / found.sum())

    def lacking(log_width: float) -> float:
        return float(1.0 / np.square(weights(log_width)).sum() - wanted)

    low, high = -30.0, 30.0
    if lacking(low) >= 0.0:
        return weights(low)
    return weights(high if lacking(high) <= 0.0 else float(brentq(lacking, low, high, xtol=1e-3)))


def _p_value(v_true: Array, v_drawn: Array, v_own: Array, near: Array, rng: np.random.Generator) -> float:
    r"""Exact p-value of :math:`t = \mathrm{mean}(d(v) - 1/2)^2` at draws of the observation."""
    both = np.concatenate([v_true, v_drawn])
    # Heavy tails of wrong posteriors would be all that a quadratic sees.
    both, v_own = np.clip(both, -5.0, 5.0), np.clip(v_own, -5.0, 5.0)
    polynomials = PolynomialFeatures(2, include_bias=False).fit(both)
    kernel = Nystroem(
        gamma=0.5 / both.shape[1],
        n_components=min(DIAGNOSIS.n_components, len(both)),
        random_state=int(rng.integers(2**31)),
    ).fit(both)
    features = np.concatenate([polynomials.transform(both), kernel.transform(both)], axis=1)
    at_own = np.concatenate([polynomials.transform(v_own), kernel.transform(v_own)], axis=1)
    twice = np.concatenate([near, near]) / 2.0
    centre = twice @ features
    unit = np.sqrt(twice @ np.square(features - centre))
    unit = np.where(unit > 1e-12, unit, 1.0)
    features, at_own = (features - centre) / unit, (at_own - centre) / unit
    first, second = np.split(features, 2)
    gram = (features * twice[:, None]).T @ features + DIAGNOSIS.ridge * np.eye(features.shape[1])
    # The statistic is a quadratic form of what tells truths from draws.
    inverse = np.linalg.inv(gram)
    form = inverse @ (at_own.T @ at_own / len(at_own)) @ inverse
    difference = (near[:, None] * (first - second)).T

    def statistic(signs: NDArray[Any]) -> Array:
        told = difference @ signs
        return np.asarray((told * (form @ told)).sum(0))

    found = float(statistic(np.ones((len(near), 1)))[0])
    n_as_large = 0
    for start in range(0, DIAGNOSIS.n_permutations, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, DIAGNOSIS.n_permutations - start)
        signs = 2.0 * rng.integers(0, 2, size=(len(near), n)) - 1.0
        n_as_large += int((statistic(signs) >= found * (1.0 - 1e-9)).sum())
    return (1.0 + n_as_large) / (DIAGNOSIS.n_permutations + 1.0)
