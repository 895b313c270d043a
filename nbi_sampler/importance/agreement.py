"""Agreement of independent estimates of one evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from nbi_sampler.importance.weights import Evidence

__all__ = ["Agreement", "agreement"]


class Agreement(NamedTuple):
    """Scatter of estimates about their mean, relative to their errors.

    Attributes
    ----------
    chi_squared : float
    n_degrees : int
        Degrees of freedom: the number of estimates minus one.
    p_value : float
        Probability of a larger scatter if the errors are right.
    """

    chi_squared: float
    n_degrees: int
    p_value: float


def agreement(estimates: Sequence[Evidence]) -> Agreement | None:
    r"""Compare estimates of log Z with their mean.

    .. math:: \chi^2 = \sum_i (\log Z_i - \overline{\log Z})^2 / \sigma_i^2

    The mean has weights :math:`1 / \sigma_i^2`. The errors have to be small compared with one, because log Z
    is normal only then; the caller leaves out estimates with larger errors.

    Parameters
    ----------
    estimates : sequence of Evidence
        Independent estimates. Those without a finite value or a positive error are left out.

    Returns
    -------
    Agreement or None
        None if there are fewer than two estimates.

    Examples
    --------
    >>> round(agreement([Evidence(-1.0, 0.1), Evidence(-1.2, 0.1)]).chi_squared, 12)
    2.0
    """
    kept = [each for each in estimates if all(map(math.isfinite, each)) and each.error > 0.0]
    if len(kept) < 2:
        return None
    values, errors = np.array(kept).T
    precision = 1.0 / np.square(errors)
    # Values relative to the first one, because a large common value would hide the scatter in rounding.
    offsets = values - values[0]
    mean = np.average(offsets, weights=precision)
    scatter = float(precision @ np.square(offsets - mean))
    return Agreement(scatter, len(kept) - 1, float(chi2.sf(scatter, len(kept) - 1)))
