"""The sampler as bilby sees it; the only layer that knows bilby's sampler classes."""

from __future__ import annotations

from nbi_sampler.sampler.nbi import Nbi

__all__ = ["Nbi"]
