"""Thresholds between the statuses of a result."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RELIABILITY", "ReliabilityConfig"]


@dataclass(frozen=True, kw_only=True)
class ReliabilityConfig:
    """Limits beyond which weights, evidence and number of draws of a result are not to be trusted."""

    heavy_tail: float = 0.7
    """Largest k-hat whose errors are believed: the bound of Vehtari et al. (2024), who measured that beyond
    it no affordable number of draws makes errors small."""

    tail_share: float = 0.01
    """Share of the draws that are the tail, whose mass is compared with the next. Not measured."""

    most_tail_excess: float = 0.05
    """Mass that the tail may hold beyond its share whatever its k-hat, which near an efficiency of one is
    that of negligible differences. Measured on a tail of k-hat 1: it is named, and not where log weights are
    a hundredth of its own (tests/importance)."""

    tail_per_error: float = 1.25
    """The same in units of an error of log Z, one over the root of the effective size, where that is less.
    With k-hat 0.8 to 1.1, funnel10 (seeds 2 to 5) and ring6 had 1.3 to 2.0 such units and were up to 4.3 and
    11.5 errors too low under "ok". Of 100 microlensing events, which are right, 3 have more than 1.25. Sound
    results of transit have up to 3, but with a k-hat of 0.4."""

    fewest_effective: float = 100.0
    """Below it intervals of 95 % rest on a handful of draws: the share beyond one end is 0.025 +- 0.016."""

    largest_share: float = 0.05
    """Most mass of one draw: it is repeated in one row of twenty. Not measured."""

    least_odds: float = 200.0
    """By Markov's inequality sound batches raise a false alarm in one run of so many at most. Of 200
    mixtures whose modes have one width, one was wrong and not named (docs/hostile.md)."""

    most_errors: float = 4.0
    """Errors by which the evidence of all draws may exceed that of the result: for Gaussian ones, one run in
    30,000."""

    smallest_gap: float = 0.03
    """Gap in log Z that is never named, as the errors themselves are estimates. Not measured."""


RELIABILITY = ReliabilityConfig()
