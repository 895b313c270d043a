"""Settings of the mode search and of the ascent, which take Newton steps towards modes: what was measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASCENT", "MODE_SEARCH", "AscentConfig", "ModeSearchConfig"]


@dataclass(frozen=True, kw_only=True)
class ModeSearchConfig:
    """Newton steps from draws of the prior to the modes.

    Without them mixture118 was 0.09 to 0.13 too low under "ok" for five of six seeds; with them it is right
    to 0.005. The search precedes the tempering, which most mixtures then do not need: 67 of five to ten
    dimensions take 9,900 calls in the median for 1,000 effective samples. All are "ok", with pulls of
    -0.01 +- 0.82. mixture0, 3 and 5 took twice as many calls when the search came after the tempering.
    """

    fewest_dimensions: int = 5
    """In fewer dimensions, the draws from the prior are dense enough for the tempering to keep all modes."""
    batch: float = 0.5
    most_batches: int = 4
    most_starts: int = 30
    n_neighbours: int = 8
    """Draws of a batch, in units of those that explore; batches; starts; and neighbours that a start exceeds.
    The search finds all modes of the mixtures below that stand out in 1 % of the prior, and 2 % of those that
    stand out in less than 0.01 %."""
    most_outliers: int = 10
    regressed_per_dimension: int = 4
    """Starts that are the farthest above a paraboloid through their neighbours, in units of the scatter about
    it, and these neighbours for each dimension and one more. Of 16 modes that stand out in 0.03 to 1 % of the
    prior (uneven0 to uneven99, five dimensions and more) all 16 and 14 are found (two seeds), and 9 and 9
    without such starts. Six starts find 15 and 12. The search takes 8 % more calls on these, and 36 % more on
    mixtures of one width, where it has some 4,000 of 20,000 calls."""
    first_width: float = 0.05
    draws_per_term: tuple[float, float] = (1.3, 4.0)
    """Width of the first kernels, in units of the prior, and draws for each term of a paraboloid. Half and
    twice each of them find all 23 modes of five mixtures (five to eight dimensions) too, in 8,400 to 10,000
    calls instead of 8,400."""
    most_deviations: float = 4.0
    """Draws within this many standard deviations of chi-squared, the law of their squared distance under
    the kernel of a start, are fitted. With 2 and 8, the same 23 modes are found in 8,400 and 8,800 calls."""
    reach: float = 100.0
    widening: float = 10.0
    narrowing: float = 1e-3
    """Limits for the motion, widening and narrowing of a start that fits, in its widths. All 23 modes are
    found with half and twice the first two, and with narrowing from 1e-4 to 0.1, in 8,000 to 9,200 calls.
    They take 10,400 calls with a reach of 10."""
    most_residual: float = 1.0
    """Largest scatter of log L about a paraboloid that fits. With 0.5 and 2, the same 23 modes are found in
    as many calls (8,400). A start that does not fit moves to the highest of its draws. Of 150 narrow modes on
    the slope of a wide one, 147 are then found in 340,200 calls. With a step to the top of the paraboloid, of
    at most three widths, it was 110 in 457,200."""
    shrinking: float = 0.5
    """Factor of the width of a start with too few draws near it for a paraboloid. With 0.25 and 0.7, the same
    23 modes are found in as many calls."""
    fading: float = 2.0
    """Log of the weight of the lowest draw in a fit relative to the highest. With 1 and 4, the same 23 modes
    are found in 8,400 and 8,800 calls."""
    n_tested: int = 400
    least_inside: float = 1e-3
    degrees: float = 10.0
    """Draws that measure the share of a kernel in the cube. A kernel in a corner, with a 32nd inside, is
    measured."""


@dataclass(frozen=True, kw_only=True)
class AscentConfig:
    """Newton steps for the highest draws, if these outrun the tempering.

    bilby's Gaussian process with celerite did not finish after 72,000 calls. With one ascent of 2,352 calls
    it is "ok" after 45,520.
    """

    fallen: float = 1.0
    higher: float = 5.0
    """An ascent starts if the power is below this share of its former value and log L has risen by this much.
    A transient takes 30,761 calls, and 39,821 if the power has to fall by half."""
    most_ascents: int = 3
    most_batches: int = 30
    """Most ascents, and most batches of each. A ridge without an end then cannot take the whole budget. Each
    of four ascents of the valley below takes six to eight batches."""
    draws_per_term: int = 6
    fitted_per_term: int = 4
    """Draws of a batch, and draws in the fit, for each term of a paraboloid: a tenth of a refinement's. In
    the valley below, half and twice the first take 2,331 and 4,788 calls, and half and twice the second 2,898
    and 3,024, instead of 3,402. The batches after one that has located the mode are as large as those of the
    refinement: a transient (seed 1) is at the full likelihood after 16,358 calls, and 18,947 without this."""
    depth: float = 2.0
    """Draws down to this depth for each dimension are always fitted. At the top, their spread is that of the
    mode. With 1 and 4 the ascents of that valley have the same digits."""
    reach: float = 3.0
    widening: float = 2.0
    narrowing: float = 0.5
    degrees: float = 8.0
    """Limits of a step and of its widening in spreads of the draws; width of the second kernel. Four ascents
    of a narrow valley in five dimensions (tests/algorithm/test_ascent.py) take 3,402 calls, and 3,276 to
    3,780 with about half and twice each of these numbers."""


MODE_SEARCH, ASCENT = ModeSearchConfig(), AscentConfig()
