"""Priors with tails beyond the resolution of quantiles, as functions of the normal coordinate itself.

Quantiles near one have a spacing of 1e-16, so ``rescale(u)`` cannot resolve values above 8.2 sigma. The upper
tail is as precise as the lower one if it uses the probability above a value, or its logarithm. Each form is a
pair: ``(prior, z, conditions) -> theta`` and its inverse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from bilby.core.prior import Gaussian, LogNormal, Prior
from bilby.core.prior.analytical import (
    Cauchy,
    Exponential,
    FermiDirac,
    Gamma,
    HalfGaussian,
    Logistic,
    StudentT,
    TruncatedGaussian,
)
from scipy.special import (
    erf,
    erfinv,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    log_ndtr,
    ndtr,
    ndtri,
    ndtri_exp,
    stdtr,
    stdtrit,
)

from nbi_sampler.priors.column_function import Conditions, Formula

__all__ = ["CLOSED_FORMS", "normal_quantile"]

# Guards against rounding. Beyond the first, the remaining probability underflows.
FARTHEST = 37.0
LEAST_OF_STUDENT = 1e-100
_LARGEST_EXPONENT = 700.0


def _formula(function: Callable[[Any, Any], Any]) -> Formula:
    """A function of a prior and values, after the prior has evaluated its conditions."""

    def formula(prior: Any, values: Any, conditions: Conditions) -> Any:
        if hasattr(prior, "update_conditions"):
            prior.update_conditions(**conditions)
        return function(prior, values)

    return formula


def normal_quantile(log_below: Any, log_above: Any) -> Any:
    """Normal coordinate from the logarithms of the probabilities below and above; the smaller one is used."""
    # Rounding may make the larger one exceed one.
    below, above = np.minimum(log_below, 0.0), np.minimum(log_above, 0.0)
    return np.where(below < above, ndtri_exp(below), -ndtri_exp(above))


def _of_tails(log_below: Any, log_above: Any) -> Any:
    return np.clip(normal_quantile(log_below, log_above), -FARTHEST, FARTHEST)


def _left(z: Any) -> Any:
    """Probability of the tail beyond z, on its own side."""
    return ndtr(-np.minimum(np.abs(z), FARTHEST))


def _log_difference(larger: Any, smaller: Any) -> Any:
    """``log(exp(larger) - exp(smaller))``."""
    return larger + np.log(-np.expm1(np.minimum(smaller - larger, 0.0)))


def _linear(prior: Any, z: Any) -> Any:
    return prior.mu + prior.sigma * z


def _linear_inverse(prior: Any, theta: Any) -> Any:
    return (theta - prior.mu) / prior.sigma


def _exponential_of_linear(prior: Any, z: Any) -> Any:
    return np.exp(np.clip(_linear(prior, z), -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _exponential_of_linear_inverse(prior: Any, theta: Any) -> Any:
    return _linear_inverse(prior, np.log(np.maximum(theta, np.exp(-_LARGEST_EXPONENT))))


def _limits(prior: Any) -> tuple[Any, Any, Any]:
    """Standardised limits of a truncated Gaussian, and the logarithm of the probability between them."""
    low, high = (prior.minimum - prior.mu) / prior.sigma, (prior.maximum - prior.mu) / prior.sigma
    # If both limits are in one tail, its probability is used.
    below = _log_difference(log_ndtr(high), log_ndtr(low))
    above = _log_difference(log_ndtr(-low), log_ndtr(-high))
    return low, high, np.where(low > 0.0, above, below)


def _truncated(prior: Any, z: Any) -> Any:
    low, high, log_norm = _limits(prior)
    below = np.logaddexp(log_ndtr(low), log_norm + log_ndtr(z))
    above = np.logaddexp(log_ndtr(-high), log_norm + log_ndtr(-z))
    t = normal_quantile(below, above)
    return np.clip(prior.mu + prior.sigma * t, prior.minimum, prior.maximum)


def _truncated_inverse(prior: Any, theta: Any) -> Any:
    low, high, log_norm = _limits(prior)
    t = np.clip((theta - prior.mu) / prior.sigma, low, high)
    below = _log_difference(log_ndtr(t), log_ndtr(low)) - log_norm
    above = _log_difference(log_ndtr(-t), log_ndtr(-high)) - log_norm
    return _of_tails(below, above)


def _half(prior: Any, z: Any) -> Any:
    # Near its edge, the probability below has full relative precision.
    below = math.sqrt(2.0) * erfinv(ndtr(z))
    t = np.where(z < 0.0, below, -ndtri_exp(log_ndtr(-np.asarray(z)) - math.log(2.0)))
    return prior.mu + prior.sigma * t


def _half_inverse(prior: Any, theta: Any) -> Any:
    t = np.maximum((theta - prior.mu) / prior.sigma, 0.0)
    return _of_tails(np.log(erf(t / math.sqrt(2.0))), log_ndtr(-t) + math.log(2.0))


def _student(prior: Any, z: Any) -> Any:
    # scipy gives infinities farther out. Probabilities below 1e-100 do not matter.
    return prior.mu - np.sign(z) * prior.scale * stdtrit(prior.df, np.maximum(_left(z), LEAST_OF_STUDENT))


def _student_inverse(prior: Any, theta: Any) -> Any:
    t = (theta - prior.mu) / prior.scale
    return np.clip(-np.sign(t) * ndtri(stdtr(prior.df, -np.abs(t))), -FARTHEST, FARTHEST)


def _cauchy(prior: Any, z: Any) -> Any:
    return prior.alpha + np.sign(z) * prior.beta / np.tan(np.pi * _left(z))


def _cauchy_inverse(prior: Any, theta: Any) -> Any:
    t = (theta - prior.alpha) / prior.beta
    return np.clip(-np.sign(t) * ndtri(np.arctan2(1.0, np.abs(t)) / np.pi), -FARTHEST, FARTHEST)


def _logistic(prior: Any, z: Any) -> Any:
    return prior.mu + prior.scale * (log_ndtr(z) - log_ndtr(-z))


def _logistic_inverse(prior: Any, theta: Any) -> Any:
    t = (theta - prior.mu) / prior.scale
    return _of_tails(-np.logaddexp(0.0, -t), -np.logaddexp(0.0, t))


def _exponential(prior: Any, z: Any) -> Any:
    return -prior.mu * log_ndtr(-z)


def _exponential_inverse(prior: Any, theta: Any) -> Any:
    t = np.maximum(theta, 0.0) / prior.mu
    return _of_tails(np.log(-np.expm1(-t)), -t)


def _gamma(prior: Any, z: Any) -> Any:
    left = _left(z)
    return prior.theta * np.where(z > 0.0, gammainccinv(prior.k, left), gammaincinv(prior.k, left))


def _gamma_inverse(prior: Any, theta: Any) -> Any:
    t = np.maximum(theta, 0.0) / prior.theta
    return _of_tails(np.log(gammainc(prior.k, t)), np.log(gammaincc(prior.k, t)))


def _fermi_dirac(prior: Any, z: Any) -> Any:
    left = ndtr(-np.clip(z, -FARTHEST, FARTHEST))
    theta = prior.sigma * (np.log(prior.expr) - np.log(np.expm1(left * np.log1p(prior.expr))))
    return np.maximum(theta, 0.0)


def _fermi_dirac_inverse(prior: Any, theta: Any) -> Any:
    t = np.maximum(theta, 0.0) / prior.sigma
    left = np.log1p(prior.expr * np.exp(-t)) / np.log1p(prior.expr)
    return _of_tails(np.log1p(-np.minimum(left, 1.0)), np.log(left))


_PAIRS: tuple[tuple[type[Prior], Callable[[Any, Any], Any], Callable[[Any, Any], Any]], ...] = (
    (Gaussian, _linear, _linear_inverse),
    (LogNormal, _exponential_of_linear, _exponential_of_linear_inverse),
    (TruncatedGaussian, _truncated, _truncated_inverse),
    (HalfGaussian, _half, _half_inverse),
    (StudentT, _student, _student_inverse),
    (Cauchy, _cauchy, _cauchy_inverse),
    (Logistic, _logistic, _logistic_inverse),
    (Exponential, _exponential, _exponential_inverse),
    (Gamma, _gamma, _gamma_inverse),
    (FermiDirac, _fermi_dirac, _fermi_dirac_inverse),
)

CLOSED_FORMS: tuple[tuple[type[Prior], Formula, Formula], ...] = tuple(
    (prior_class, _formula(forward), _formula(inverse)) for prior_class, forward, inverse in _PAIRS
)
