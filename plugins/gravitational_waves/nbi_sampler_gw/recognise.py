"""Likelihoods of ``bilby.gw`` that can be simulated, and reasons for those that cannot.

The hook of the plugin calls this once in each run.
"""

from __future__ import annotations

import logging

from bilby.gw import likelihood as gw

from nbi_sampler.forward.compat import value_of_class
from nbi_sampler_gw.responses import FullResponse, MultibandResponse, RelativeBinningResponse
from nbi_sampler_gw.strain import StrainModel

__all__ = ["forward_model"]

logger = logging.getLogger(__name__)

_RESPONSES: tuple[tuple[type, type[FullResponse]], ...] = (
    (gw.GravitationalWaveTransient, FullResponse),
    (gw.RelativeBinningGravitationalWaveTransient, RelativeBinningResponse),
    (gw.MBGravitationalWaveTransient, MultibandResponse),
)


def forward_model(likelihood: object) -> StrainModel | None:
    """Forward model of a gravitational-wave likelihood with bilby's own code.

    Parameters
    ----------
    likelihood : object
        Any likelihood.

    Returns
    -------
    StrainModel or None
        None for likelihoods of other kinds, for gravitational-wave likelihoods that override methods of
        bilby's, and for those without a signal at the frequencies of the data (reduced-order quadrature,
        multi-banding without linear interpolation). If a run therefore has no simulations, the log gives the
        reason.
    """
    if not isinstance(likelihood, gw.GravitationalWaveTransient):
        return None
    response = value_of_class(likelihood, _RESPONSES)
    reason = _obstacle(likelihood, response)
    if response is not None and reason is None:
        return StrainModel(likelihood, response(likelihood))
    logger.warning(
        "%s: no simulations, because %s; the run adapts to the likelihood alone",
        type(likelihood).__name__,
        reason,
    )
    return None


def _obstacle(likelihood: gw.GravitationalWaveTransient, response: type[FullResponse] | None) -> str | None:
    """Reason why a likelihood cannot be simulated; None if it can."""
    if response is None:
        return "its code is not one of bilby's three that give the signal in every detector"
    if response is MultibandResponse and not likelihood.linear_interpolation:
        return "multi-banding without linear_interpolation has no weights at the frequencies of the signal"
    return None
