"""What a result says besides its status."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRIOR_EDGES", "PriorEdgeConfig"]


@dataclass(frozen=True, kw_only=True)
class PriorEdgeConfig:
    """When a posterior piles up at an edge of its prior."""

    near: float = 0.2
    """Half of the posterior must lie within this share of the prior next to the edge. Not measured."""

    least_share: float = 0.24
    """Of the posterior within half its median distance from the edge: it is 0.25 for a density that is flat
    up to the edge, more where it rises, and 0.24 for a normal law with its peak 0.7 standard deviations
    inside."""

    farthest: float = 2.0
    """Median distance from the edge in units of the range between quartiles: 1 for a flat density, 0.8 for a
    normal law with its peak at the edge, far more where a prior only fades out."""

    fewest_effective: float = 100.0
    """Effective samples, by which that share is known to 0.04."""


PRIOR_EDGES = PriorEdgeConfig()
