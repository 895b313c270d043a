"""A hard shape: the problem for a sampler, and the exact log Z."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import bilby
import numpy as np
from bilby.core.prior import Prior, PriorDict
from numpy.typing import NDArray

from nbi_sampler_benchmark.problems.models import FunctionLikelihood

__all__ = ["Array", "Shape", "shape_of"]

Array = NDArray[np.float64]


class Shape(NamedTuple):
    """A problem of one size.

    Attributes
    ----------
    likelihood : bilby.Likelihood
        A likelihood without a forward model.
    priors : PriorDict
    log_evidence : float
        Exact to 1e-5 or better.
    log_likelihoods : callable
        The same for many points, shape (..., n_dim) to (...).
    """

    likelihood: bilby.Likelihood
    priors: PriorDict
    log_evidence: float
    log_likelihoods: Callable[[Array], Array]


def shape_of(log_likelihoods: Callable[[Array], Array], priors: list[Prior], log_evidence: float) -> Shape:
    """Shape with parameters ``x0``, ``x1`` and so on.

    Parameters
    ----------
    log_likelihoods : callable
        Shape (..., n_dim) to (...).
    priors : list of Prior
        Prior of each parameter.
    log_evidence : float
    """
    keys = [f"x{d}" for d in range(len(priors))]

    def log_likelihood(x: Array) -> float:
        return float(log_likelihoods(x))

    box = PriorDict(dict(zip(keys, priors, strict=True)))
    return Shape(FunctionLikelihood(keys, log_likelihood), box, log_evidence, log_likelihoods)
