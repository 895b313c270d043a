"""Whether a result found on disk answers the question that is asked now.

bilby compares the names of the parameters only: it would hand out the answer to other data or priors, or that
of the sampler that a script named before. Called by the sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bilby.core.prior import Constraint, PriorDict
from bilby.core.result import Result
from numpy.typing import NDArray

from nbi_sampler.persistence.fingerprint import TOLERANCE
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reporting.result import log_prior_density

__all__ = ["what_differs"]

N_COMPARED = 5


def what_differs(
    cached: Result,
    priors: PriorDict,
    space: ParameterSpace,
    log_likelihood: Callable[[NDArray[Any]], float],
    n_effective: float,
) -> str | None:
    """Say in what a result answers another question: its samples have other densities, or other limits hold.

    Parameters
    ----------
    cached : bilby.core.result.Result
    priors : bilby.core.prior.PriorDict
    space : ParameterSpace
        Of the priors.
    log_likelihood : callable
        ``theta of shape (n_dim,) -> float``; called a few times.
    n_effective : float
        Asked for now.

    Returns
    -------
    str or None
        ``"sampler"``, ``"likelihood"``, ``"set of priors"``, ``"set of constraints"``, or ``"n_effective"``
        where that was smaller; None where all agree.
    """
    if cached.sampler != "nbi":
        return "sampler"
    if cached.meta_data["nbi"]["n_effective"] < n_effective:
        return "n_effective"
    if _constraints(cached.priors or {}) != _constraints(priors):
        return "set of constraints"
    samples = cached.posterior.iloc[:N_COMPARED]
    theta = samples[list(space.names)].to_numpy(dtype=float)
    if not _agree(samples["log_prior"], log_prior_density(theta, space, priors)):
        return "set of priors"
    if not _agree(samples["log_likelihood"], [log_likelihood(row) for row in theta]):
        return "likelihood"
    return None


def _constraints(priors: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    kept = {name: prior for name, prior in priors.items() if isinstance(prior, Constraint)}
    return {name: (float(prior.minimum), float(prior.maximum)) for name, prior in kept.items()}


def _agree(saved: Any, present: Any) -> bool:
    return np.allclose(
        np.asarray(saved, dtype=float), np.asarray(present, dtype=float), rtol=TOLERANCE, atol=TOLERANCE
    )
