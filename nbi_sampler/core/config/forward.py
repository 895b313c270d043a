"""Settings of forward models."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORWARD", "ForwardConfig"]


@dataclass(frozen=True, kw_only=True)
class ForwardConfig:
    """Scales of data for the networks. They change neither the noise law nor any weight."""

    exponential_floor: float = 1e-3
    """Number that is added to exponential data before their logarithm, in units of the smallest positive
    datum. For a spectrum over eight decades, simulated logarithms have a standard deviation of 1.76 with
    values from 1e-4 to 0.01, and a simulated zero becomes -28 (-30 with 1e-4, -25 with 0.01)."""
    n_scale_draws: int = 64
    """Data sets that are drawn from a user's noise function to learn the noise scale: to 9 % for Gaussian
    noise, and to 12 % with half as many."""


FORWARD = ForwardConfig()
