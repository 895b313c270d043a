"""The hooks of nbi-sampler that this package implements; its entry point names this module."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbi_sampler.plugins import hookimpl

if TYPE_CHECKING:
    from nbi_sampler_gw.strain import StrainModel

__all__ = ["featurizers", "forward_model"]

logger = logging.getLogger(__name__)


@hookimpl
def forward_model(likelihood: object) -> StrainModel | None:
    """Return whitened strain for ``bilby.gw``, and warn about angles that should be periodic."""
    from nbi_sampler_gw import recognise
    from nbi_sampler_gw.periodic import not_periodic

    model = recognise.forward_model(likelihood)
    if model is not None:
        for name in not_periodic(getattr(likelihood, "priors", None) or {}):
            logger.warning(
                '%s: its prior goes once around the circle; give it boundary="periodic", or modes at its '
                "ends cost extra draws",
                name,
            )
    return model


@hookimpl
def featurizers() -> Mapping[str, str]:
    """``"gw-pca"`` and ``"gw-resnet"``, imported when one is chosen."""
    return {
        "gw-pca": "nbi_sampler_gw.featurizers:GW_PCA",
        "gw-resnet": "nbi_sampler_gw.featurizers:GW_RESNET",
    }
