"""Angles whose prior covers the full circle and should be periodic.

To a proposal, a full circle is an interval unless its prior has ``boundary="periodic"``. It then spends draws
on modes that the cut divides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["PERIODS", "not_periodic"]

PERIODS: dict[str, float] = {
    "phase": 2 * np.pi,
    "psi": np.pi,
    "ra": 2 * np.pi,
    "azimuth": 2 * np.pi,
    "phi_12": 2 * np.pi,
    "phi_jl": 2 * np.pi,
}


def not_periodic(priors: Mapping[str, Any]) -> list[str]:
    """Angles with a prior over one full period and a boundary that is not periodic.

    Parameters
    ----------
    priors : mapping of str to bilby.core.prior.Prior or float
        Priors, which are not changed.

    Returns
    -------
    list of str
        Names of the angles that should get ``boundary="periodic"``.

    Examples
    --------
    >>> from bilby.core.prior import Uniform
    >>> not_periodic({"psi": Uniform(0, np.pi), "ra": Uniform(0, 2 * np.pi, boundary="periodic"), "dec": 0.3})
    ['psi']
    """
    return [name for name in PERIODS if name in priors and _is_open(priors[name], PERIODS[name])]


def _is_open(prior: Any, period: float) -> bool:
    if not hasattr(prior, "boundary") or prior.boundary == "periodic":
        return False
    return bool(np.isclose(prior.maximum - prior.minimum, period))
