"""Gravitational waves for nbi-sampler: likelihoods of ``bilby.gw`` as forward models on whitened strain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbi_sampler_gw.recognise import forward_model
    from nbi_sampler_gw.strain import StrainModel

__version__ = "0.2.0"

__all__ = ["StrainModel", "forward_model"]

# These are imported on first use, so that a list of the plugins imports no waveforms.
_MODULES = {"StrainModel": "nbi_sampler_gw.strain", "forward_model": "nbi_sampler_gw.recognise"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
