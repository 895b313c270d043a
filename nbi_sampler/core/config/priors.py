"""Settings of the maps of priors, their discrete parts and their constraints."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRIORS", "PriorConfig"]


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Tests of priors, the search for discrete values, and the test of constraints.

    Differences are relative to the values. Each tolerance lies between the rounding error of the comparison
    and the smallest difference that matters. The errors are those of 26 continuous priors of bilby with four
    sets of draws.
    """

    n_probes: int = 32
    """Fixed draws at which batched maps and constraints are compared with single ones. Twenty priors of bilby
    get the same maps with 8, 32 and 128. In one dimension the draws reach from -2.4 to 1.4."""
    probe_seed: int = 20231206
    """Seed of these draws. The priors get the same maps with three others."""
    at_once: float = 1e-9
    """Largest difference between a formula for a column and that for single values. All 456 that were
    compared are equal to the digit."""
    closed_form: float = 1e-7
    """Largest difference between a closed form and a prior's ``rescale``, which a subclass may replace. They
    differ by at most 1.3e-13."""
    cdf: float = 1e-6
    """Largest difference in z after ``cdf`` of ``rescale``. If it is larger, bisection replaces ``cdf``,
    because bilby's generic ``cdf`` is a coarse sum. The difference is 1.0 for one prior, and at most 7e-14
    for the others."""
    n_signed: int = 8
    """Draws of z whose parameters identify priors. Saved models and checkpoints hold 8."""
    same_prior: float = 1e-6
    """Largest difference between two equal priors, as a share of the range of these parameters."""
    round_trip: float = 1e-6
    """Largest difference of a parameter that the prior allows from its value after the map to z and back, as
    a share of the range of the prior, or of its central 95 %. Of 20,000 draws from each continuous prior of
    bilby, the largest is 1.4e-12, of a Cauchy law."""
    single_precision: float = 1e-7
    """Largest distance from a value of a discrete prior, as a share of the range of the values. Single
    precision rounds by 6e-8."""
    n_grid: int = 1024
    """Quantiles at which a prior is searched for values of finite probability. Narrower parts count as
    continuous: of 200 parts each, all with 2 / 1024 of the probability are found, and none with 1 / 1024."""
    most_parts: int = 32
    """Largest number of such values. If there are more, they are a grid for a continuous parameter. A number
    of 24 values beside a continuous parameter, two seeds: efficiencies of 0.89 and 0.87 with its states, 0.94
    and 0.95 as a grid. Of 48 values: 0.96 and 0.97 as a grid, in 0.6 of the seconds, 0.94 with states."""
    narrowest_part: float = 1e-7
    """Half the width, in quantiles, of the narrowest part whose value is found. A spike with a probability of
    2.5e-7 is found, and one with 1.5e-7 is not. With twice this width it has to have 5e-7."""
    least_allowed: float = 5e-5
    """Smallest share of the prior that satisfies the constraints. Draws that violate them cost no call. A
    million draws of two parameters take 0.3 s, so 1,000 draws in this share take 6 s."""
    n_allowed: int = 100
    """The test of constraints ends after this many draws satisfy them. They give the share to 10 %."""
    first_tested: int = 1_000
    """Draws after which the test ends for constraints that exclude little. For the sum of two parameters it
    takes 0.3 ms, and 0.3, 0.4 and 10 ms with 500, 2,000 and 50,000 draws."""
    n_tested: int = 1_000_000
    """Most draws in that test. With the smallest share, 50 of them are expected to satisfy the
    constraints."""
    n_tested_by_row: int = 50_000
    """The same for a conversion function that takes one point at a time: about one second."""
    test_seed: int = 20240217
    """Seed of these draws. Another one changes the share by its error of 10 %."""


PRIORS = PriorConfig()
