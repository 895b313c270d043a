"""The warning that data are unlike all simulations. Called by the engine."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nbi_sampler.config import OOD_THRESHOLD

__all__ = ["OutOfDistributionWarning", "warn_of_unfamiliar"]


class OutOfDistributionWarning(UserWarning):
    """Observed data are unlike all simulations that the networks were trained on."""


def warn_of_unfamiliar(p_values: ArrayLike) -> None:
    """Warn on behalf of the caller's caller where more p-values are small than those of familiar targets.

    Parameters
    ----------
    p_values : array_like, shape (n_targets,)
        NaN where there is none.
    """
    p = np.asarray(p_values, dtype=float)
    n_small = int((p < OOD_THRESHOLD).sum())
    # Of many familiar targets some have a small p-value.
    if stats.binom.sf(n_small - 1, len(p), OOD_THRESHOLD) > OOD_THRESHOLD:
        return
    smallest = float(np.nanmin(p))
    warnings.warn(
        f"x_obs: {n_small} of {len(p)} targets are unlike the simulations (smallest p-value {smallest:.2g}). "
        "Networks may be wrong there, and weights may not tell: look at data and noise, or fit such a target "
        "by the sampler",
        OutOfDistributionWarning,
        stacklevel=4,
    )
