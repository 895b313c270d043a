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
    n_nodes: int = 48
    """Chance left out at either end of the integral over sums of squares, and its Gauss-Legendre nodes: right
    to 2e-4 for 9 data and to 4e-8 from 40 on, down to chances of 1e-12. 300 equal steps were no better and
    took 0.7 s for 300 draws."""


RESIDUALS = ResidualConfig()
