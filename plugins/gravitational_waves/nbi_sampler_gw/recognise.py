"""Which likelihoods of ``bilby.gw`` can be simulated, and what to say of the others.

Called through the plugin's hook, once a run.
"""

from __future__ import annotations

import logging

from bilby.gw import likelihood as gw

from nbi_sampler.forward.compat import behaves_like
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
    """Forward model of a gravitational-wave likelihood whose code is bilby's own.

    Parameters
    ----------
    likelihood : object
        Any likelihood.

    Returns
    -------
    StrainModel or None
        None for likelihoods of other kinds, for gravitational-wave likelihoods that change the methods of
        bilby's, and for those with no signal at the frequencies of the data (reduced-order quadrature,
        multi-banding without linear interpolation). Where a run will have to do without simulations the log
        says why.
    """
    if not isinstance(likelihood, gw.GravitationalWaveTransient):
        return None
    for reference, response in _RESPONSES:
        if behaves_like(likelihood, reference):
            reason = _obstacle(likelihood)
            if reason is None:
                return StrainModel(likelihood, response(likelihood))
            break
    else:
        reason = "its code is not one of bilby's three that give the signal in every detector"
    logger.warning(
        "%s: no simulations, because %s; the run adapts to the likelihood alone",
        type(likelihood).__name__,
        reason,
    )
    return None


def _obstacle(likelihood: gw.GravitationalWaveTransient) -> str | None:
    """Why a likelihood of a known class cannot be simulated; None where it can."""
    if isinstance(likelihood, gw.MBGravitationalWaveTransient) and not likelihood.linear_interpolation:
        return "multi-banding without linear_interpolation has no weights at the frequencies of the signal"
    return None
