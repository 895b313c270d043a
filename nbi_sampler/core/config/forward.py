"""Settings of forward models."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORWARD", "ForwardConfig"]


@dataclass(frozen=True, kw_only=True)
class ForwardConfig:
    """Scales of data for the networks. They change neither the noise law nor any weight."""

    exponential_floor: float = 1e-3
    """Number that is added to exponential data before their logarithm, in units of the smallest positive
    datum. It keeps steep spectra in range. Not measured."""
    n_scale_draws: int = 64
    """Data sets that are drawn from a user's noise function to learn the noise scale to about ten per
    cent."""


FORWARD = ForwardConfig()
