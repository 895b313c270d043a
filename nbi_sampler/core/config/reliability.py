"""Thresholds that decide the status of a result."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RELIABILITY", "ReliabilityConfig"]


@dataclass(frozen=True, kw_only=True)
class ReliabilityConfig:
    """Limits for the weights, the evidence and the number of draws of a trustworthy result."""

    heavy_tail: float = 0.7
    """Largest k-hat of trustworthy errors. Vehtari et al. (2024) measured that beyond it no affordable number
    of draws makes the errors small."""

    tail_share: float = 0.01
    """Share of the draws that form the tail. Its mass is compared with the limits below. With half or twice
    this share, one verdict changes among 360 sets of 5,000 weights (log-normal, Pareto with k of 0.8 and 1,
    and mixtures)."""

    most_tail_excess: float = 0.05
    """Excess mass that the tail may hold beyond its share, whatever k-hat is. Near an efficiency of one,
    k-hat describes negligible differences. On a tail with a k-hat of 1, the status names it; it does not if
    the log weights are a hundredth as large (tests/importance)."""

    tail_per_error: float = 1.25
    """The same in units of the error of log Z, 1 / sqrt(effective sample size), if that is less. With a k-hat
    of 0.8 to 1.1, funnel10 (seeds 2 to 5) and ring6 had an excess of 1.3 to 2.0 units, and log Z was up to
    4.3 and 11.5 errors too low under "ok". Of 100 correct results for microlensing events, 3 exceed 1.25.
    Correct results for transit have up to 3, but a k-hat of 0.4."""

    fewest_effective: float = 100.0
    """Fewest effective samples. With fewer, intervals of 95 % rest on a handful of draws: the share beyond
    one end is 0.025 +- 0.016."""

    largest_share: float = 0.05
    """Largest share of the mass in one draw, which is then one row in twenty. Of 6,000 sets of 1,000 Pareto
    weights with k of 0.4, 0.5 and 0.6, this limit names 1, 9 and 28 %. log Z of those with k of 0.5 is off by
    0.9 of its errors, so the limit is for the rows, not for log Z."""

    least_odds: float = 200.0
    """By Markov's inequality, batches of a correct result raise a false alarm in at most one of so many runs.
    Of 200 mixtures whose modes have one width, one was wrong and not named (docs/hostile.md)."""

    most_errors: float = 4.0
    """Errors by which the evidence of all draws may exceed that of the result. Gaussian errors exceed it in
    one run of 30,000."""

    smallest_gap: float = 0.03
    """Smallest gap in log Z that a status names, because the errors are estimates too. Of 16,000 simulated
    results with correct weights and efficiencies of 0.1 and 0.4, none is named, even with a limit of 0."""


RELIABILITY = ReliabilityConfig()
