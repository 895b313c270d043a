"""Settings of what is read from weights and residuals."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RESIDUALS", "ResidualConfig"]


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """Posterior predictive checks of residuals."""

    fewest_pairs: int = 8
    """Pairs of neighbours from which their correlation is looked at: fewer say nothing. Not measured."""
    negligible: float = 1e-14
    n_nodes: int = 300
    """Chance left out at either end of the integral over sums of squares, and its nodes. Not measured."""


RESIDUALS = ResidualConfig()
