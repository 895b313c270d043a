"""Forward models."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORWARD", "ForwardConfig"]


@dataclass(frozen=True, kw_only=True)
class ForwardConfig:
    """Scales of data for the networks. Neither changes the law of the noise, nor any weight."""

    exponential_floor: float = 1e-3
    """Added to exponential data before their logarithm, in units of the smallest positive datum, so that
    steep spectra pass. Not measured."""
    n_scale_draws: int = 64
    """Data sets drawn by a user's noise function to learn the scale of the noise, to some ten per cent."""


FORWARD = ForwardConfig()
