"""Priors as maps, their discrete parts, and their constraints."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRIORS", "PriorConfig"]


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Probes of priors, the search for values with probability, and the test of constraints.

    Probes are compared relative to the values. No tolerance was measured: each lies between the rounding of
    what it compares and the least difference that matters.
    """

    n_probes: int = 32
    """Fixed draws at which maps and constraints at once are compared with single ones. Not measured: enough
    for both tails."""
    probe_seed: int = 20231206
    """Of these draws."""
    at_once: float = 1e-9
    """Difference up to which a formula for a column agrees with that for single values."""
    closed_form: float = 1e-7
    """Difference up to which a closed form agrees with a prior's ``rescale``, which a child may replace."""
    cdf: float = 1e-6
    """Difference in z up to which ``cdf`` inverts ``rescale``; else bisection does: bilby's generic ``cdf``
    is a coarse sum."""
    n_signed: int = 8
    """Draws of z whose parameters tell priors apart. Saved models and checkpoints hold 8."""
    same_prior: float = 1e-6
    """Difference up to which two priors are the same, as a share of the range of these parameters."""
    single_precision: float = 1e-7
    """Difference, as a share of their range, from a value of a discrete prior that is none."""
    n_grid: int = 1024
    """Quantiles at which a prior is searched for values with probability; narrower parts count as continuous.
    Not measured."""
    most_parts: int = 32
    """Such values at most: more are a grid of a continuous parameter rather than states. Not measured."""
    narrowest_part: float = 1e-7
    """Half the width in quantiles of the narrowest part whose value is known. Not measured."""
    least_allowed: float = 5e-5
    """Share of the prior that has to satisfy the constraints. Draws that do not cost no call, but with less
    hardly any is left. Not measured."""
    n_allowed: int = 100
    """Draws that satisfy the constraints after which their test ends: that share to a tenth."""
    n_tested: int = 1_000_000
    """Draws of that test at most: 50 are expected to satisfy constraints with the least share."""
    n_tested_by_row: int = 50_000
    """The same where a conversion function takes one point at a time: a second or so."""
    test_seed: int = 20240217
    """Of these draws."""


PRIORS = PriorConfig()
