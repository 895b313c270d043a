"""Gravitational waves for nbi-sampler: likelihoods of ``bilby.gw`` as forward models on whitened strain."""

from __future__ import annotations

from nbi_sampler_gw.recognise import forward_model
from nbi_sampler_gw.strain import StrainModel

__version__ = "0.1.0"

__all__ = ["StrainModel", "forward_model"]
