"""Settings of the proposals of a refinement: what each number controls, and what was measured.

No keyword sets these; a run uses the instances at the end of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BY_STATE",
    "HIGH_WEIGHT_KERNELS",
    "LOCAL_KERNELS",
    "MIXTURE",
    "REGRESSION",
    "REGRESSION_KERNELS",
    "ByStateConfig",
    "KernelConfig",
    "MixtureConfig",
    "RegressionConfig",
]


@dataclass(frozen=True, kw_only=True)
class KernelConfig:
    """Student-t kernels on weighted draws, each with the spread of its neighbours."""

    n_kernels: int = 200
    n_pool: int = 1500
    degrees: float = 4.0
    """Number of kernels; draws among which neighbours are found; degrees of freedom, whose tails bound the
    weights. With 100 kernels, four problems take 2 % more calls for an effective draw (5.7 % on transit);
    half and twice the degrees leave the efficiency of a fit to three Gaussians at 0.95. Half the pool gives a
    fit to eggbox 0.893 instead of 0.884."""
    least_excess: float = 0.0
    """Kernels stand on the heaviest draws among those that weigh this many times the typical one; 0 means a
    weighted sample. With the heaviest draws and the unit cube, eggbox took 6 calls for an effective draw
    instead of 12, and transit 3.3 instead of 4.8."""
    fewest_in_pool: int = 60
    pool_per_effective: float = 3.0
    """Size of the pool for each effective draw. A larger pool without repeats is wider than the weights
    imply. The efficiency of a fit to eggbox, 0.884, has the same digits with half and twice of this."""
    neighbours: int = 12
    neighbours_per_dimension: int = 2
    """Neighbours that give a kernel its spread, and additional ones for each dimension. A fit to draws of
    eggbox, without a flow, has an efficiency of 0.884, of 0.891 with half of both and of 0.784 with twice."""
    ridge: float = 1e-3
    least_variance: float = 1e-6
    """Shares of its own variance, and of that of all draws, which are added to a kernel's variance in each
    coordinate, so that neighbours in a plane make a kernel. With half and twice the first, a fit to eggbox
    has an efficiency of 0.883 and 0.884 instead of 0.884."""


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Kernels in regions in which a regression of log L predicts more mass than the proposal covers.

    On rosenbrock, the worst of four seeds has log Z off by 0.012 (1.6 errors) with them and by 0.040 (7)
    without.
    """

    n_candidates: int = 16_000
    full_until: float = 5.0
    """In more dimensions there are fewer candidates, by the square of the dimension, because each costs
    more: 6,250 in eight. With 8,000, rosenbrock (3,000 effective samples, seeds 1 to 4) takes 16,686, 17,684,
    12,013 and 12,840 calls instead of 12,635, 11,635, 11,945 and 11,799."""
    least_excess: float = 2.0
    fewest_thin: int = 20
    least_mass: float = 1e-3
    shares: tuple[float, float] = (0.03, 0.3)
    """Candidates that weigh this many times the mean get kernels, if there are enough of them with enough
    mass. Their share is this mass within limits. A fit to eggbox makes no such kernels, so twice the shares
    change no digit. On rosenbrock all of these were measured together only (see above)."""
    draws_per_term: int = 2
    """Fewest draws for each term of the regression, without which there are no such kernels. In four
    dimensions it asks for 30 draws, and a run of rosenbrock begins with 10,000."""
    negligible: float = 12.0
    """Candidates whose log weight is this far below the largest are left out: e^-12 is 6e-6 of it. With 6 and
    24 a fit to eggbox, which makes no such kernels, has the same digits."""
    most_dimensions: int = 8
    neighbours_per_term: float = 1.7
    more_neighbours: int = 5
    """Neighbours in a regression. In nine dimensions it would need 98, which are no longer local."""
    ridge: float = 1e-6
    """Penalty of the regression, in units of the weight of one neighbour. With twice of it, the efficiency of
    a fit to eggbox, 0.884, changes by 5e-6."""
    fading: float = 2.3
    most_beyond: float = 3.0
    """The farthest neighbour has a tenth of the weight. A prediction may exceed the best neighbour by this
    much. rosenbrock with 2,000 effective samples, seeds 1 and 2, takes 11,567 and 10,254 calls; with 1.5 it
    takes 10,540 and 10,182, and with 6 10,912 and 10,561. eggbox makes no such kernels."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Members of the mixture proposal of a refinement, and their shares."""

    most_flows: int = 3
    """Most flows: the new one and the latest before it, which cost no training. eggbox, seed 1, takes 22,094
    calls with this, and 22,085 without any flow."""
    em_kernels: tuple[int, ...] = (1, 3, 10, 30)
    em_degrees: float = 100.0
    em_draws: tuple[int, int] = (3_000, 10_000)
    em_draws_per_effective: float = 4.0
    """Sizes of the Gaussian mixtures, their tails, and the draws in their fit. For the same draws of eggbox,
    without a flow, the efficiency is 0.88. With at most 10 and 15 kernels it is 0.59 and 0.55, and with 60
    0.88; with 30 and 300 degrees of freedom 0.88; with half and twice the limits of draws 0.89 and 0.88.
    Whole runs with half of them (3,000 effective samples) take 50,197 instead of 48,014 calls for rosenbrock,
    seeds 1 to 4, and 16,114 instead of 12,666 for transit, in no less time."""
    em_ridge: float = 1e-5
    """Variance that is added to each Gaussian in each coordinate, in units of that of all draws. With half
    and twice of it, a fit to eggbox has an efficiency of 0.890 and 0.892 instead of 0.884."""
    em_tolerance: float = 5e-3
    """Gain at which these fits stop. A fifth of it takes over twice the time and fits held-out draws no
    better."""
    marginal_gain: float = 0.05
    """Gain in log density, by a map of each parameter to a normal law, from which a Gaussian is fitted after
    this map. student8 (2,000 effective samples, seed 1) takes 25,835 instead of 44,288 calls with it, and its
    k-hat is 0.35 instead of 0.59. loggamma20 takes 56,991 calls, and had no result after 80,000. transit
    (3,000) takes 12,365 instead of 12,666, with a k-hat of 0.43 instead of 0.69. Gaussian mixtures of 3 and
    10 kernels after the map gain nothing more. A product of 12 log-gamma distributions has an efficiency of
    0.70 with half and twice this number, and 0.36 without the map."""
    marginal_draws: int = 2000
    marginal_steps: int = 40
    marginal_limits: tuple[float, float, float, float] = (3.0, 3.0, 3.0, 1.5)
    marginal_penalty: float = 0.01
    """Draws and steps of the fit of such a map; limits of its location, log scale, skewness and log lightness
    for standardised draws; penalty of the last two, squared. That product has an efficiency of 0.70. Half and
    twice the draws give 0.67 and 0.69, the steps 0.70 and 0.70, the limits 0.70 and 0.70, the penalty 0.69
    and 0.67; no penalty 0.69."""
    mixtures_share: float = 0.25
    """Smallest share of the Gaussian mixtures while the weights are tempered. With it the efficiency on
    transit rose from 8-60 % to 34-57 %."""
    efficiency_part: float = 0.7
    share_tolerance: float = 1e-4
    """Weight of the efficiency in the fit of the shares; the rest is the weight of the likelihood. The fit
    ends at the second number. Six problems take 3.9 % fewer calls than with the likelihood alone, and 0.8 %
    fewer than with the efficiency alone."""
    regressed_per_term: float = 1.5
    widest: float = 4.5
    farthest_top: float = 3.0
    """Draws for each term of the paraboloid, and limits of its widths and of its top in standard deviations
    of the draws. With this Gaussian, seven problems with two seeds take 2.3 % fewer calls, and gaussian15d
    takes 4 % fewer."""
    warm_epochs: float = 0.3
    warm_rate: float = 0.5
    warm_shift: float = 0.5
    warm_widths: tuple[float, float] = (0.67, 1.5)
    """Epochs and learning rate, relative to the usual ones, of a flow that continues from a former one. This
    requires that its coordinates have moved and widened by less than the limits. Four problems take 8 % less
    processor time and 1 % more calls."""
    wide_shares: tuple[float, ...] = (0.06, 0.015)
    prior_share: float = 0.005
    """Shares of wider kernels and of the prior, which bound the weights. Without the prior, a second mode of
    equal mass is missed under "ok"; with it, the mode is found. A fit to eggbox has an efficiency of 0.896
    and 0.875 instead of 0.884 with half and twice the shares of wider kernels, and of 0.892 and 0.888 with
    half and twice that of the prior."""
    exploring_share: float = 0.15
    """Share of the local kernels while the weights are tempered. 2,000 effective samples, seeds 1 and 2, with
    0.07, 0.15 and 0.3: 37,535, 37,482 and 37,591 calls for eggbox, 20,968, 21,821 and 21,298 for
    rosenbrock; log Z is off by at most 2.6 errors with each."""
    high_weight_shares: tuple[float, float] = (0.03, 0.3)
    """Limits of the share of high-weight kernels, which is otherwise the mass of their draws. Larger limits
    did not help rosenbrock. A fit to eggbox has an efficiency of 0.881 instead of 0.884 with twice the lower
    limit, and the same digits with half the upper one."""
    smallest_share: float = 0.004
    share_steps: int = 50
    """Members with a smaller share are left out, because each costs a density at every draw. The second
    number is that of the steps of the fit: with half as many, a fit to eggbox has 0.881 instead of 0.884.
    With half and twice the share, eggbox (2,000 effective samples, two seeds) takes 0.1 and 0.3 % fewer
    calls, rosenbrock 4.6 % fewer and 1.8 % more."""
    fewest_tested: float = 8.0
    """Fewest effective held-out draws for the fit of the shares; with fewer, all draws are used. With 4
    and 16 eggbox (seeds 1 and 2) has the same digits. Three switches, of which rare states have less,
    take 5,882 and 6,094 calls with 4, 6,062 and 7,259 with 8, and 6,092 and 6,105 with 16."""
    stretched: float = 1.5
    least_stretched: float = 0.01
    resolved: float = 6.0
    """Latent coordinate beyond which a bounded prior is stretched; mass there that makes a fit in the unit
    cube worthwhile; coordinate at which the cube runs out of digits. eggbox missed almost 12 % of its mass
    without the cube, and 4 % with it."""
    lowest: float = -1e3
    """Lowest log density, relative to the prior, of a draw in the choice between the latent space and the
    cube for kernels. With -500 a fit to eggbox has the same digits."""
    inside_error: float = 1e-3
    n_inside: int = 200_000
    inside_chunk: int = 20_000
    least_inside: float = 1e-3
    """Relative error to which the share of a mixture in the cube is measured, and most draws for it, in
    parts. All of these reach 0.002 for 200 kernels in 20 dimensions, and a few parts reach 0.001 for one
    kernel. A mixture with a smaller share than the last number is not used."""
    cut_bins: int = 24
    """Bins in which the emptiest place of a periodic parameter is found. Of two modes 0.1 (0.15) of the
    circle wide, 0.0011 (0.0074) of the mass is near the cut, 0.0011 (0.0072) with 12 bins, and 0.0013
    (0.0078) with 48."""
    cut_slack: float = 1e-3
    """Bins count as empty if they hold this much of the mean mass of a bin more than the emptiest. For 50
    sets of 2,000 draws of two modes, the mass near the cut is the same with half and twice this, and 3 % less
    with ten times."""


@dataclass(frozen=True, kw_only=True)
class ByStateConfig:
    """Proposals for each discrete state.

    Three switches take 7,250 calls with them. Without them, 11,300 calls missed 1 %.
    """

    fewest_effective: float = 6.0
    """Fewest effective draws for the mixture proposal of a state. With fewer, the state keeps its last one,
    which is wider."""
    most_deviations: float = 4.0
    fewest_to_compare: float = 100.0
    """A coordinate is fitted if it differs from the prior by this many errors, with at least so many
    effective draws. With fewer, even a narrow peak does not differ enough. Three switches (1,000 effective
    samples, seed 1) have the same digits with half and twice the first, and take 6,094 and 6,041 instead of
    6,062 calls with half and twice the second."""
    kernel_width: float = 1.3
    kernel_degrees: float = 8.0
    fewest_for_moments: float = 4.0
    moments_per_dimension: float = 2.0
    """Fewest effective draws for kernels by moments. Without these, log Z of three switches was 0.032 too low
    (4.2 errors, 7,250 calls) under "ok"; with them, it is 0.006 too high (0.6 errors, 6,050 calls)."""
    covariance_shares: tuple[float, ...] = (1.0, 0.8, 0.5)
    least_eigenvalue: float = 1e-4
    """Factors of the covariances of pairs for the Gaussian of all states. The first with which the smallest
    eigenvalue of the correlations exceeds this number is used; if none does, they are zero. In a run of three
    switches (seed 1) the smallest is 0.58, so the first is always used."""
    most_states: int = 40
    most_mixtures: int = 8
    least_mass: float = 0.003
    most_flows: int = 2
    least_for_flow: float = 0.1
    """Most states with shares, with mixture proposals and with flows, and the smallest masses of these. Three
    switches (eight states), seeds 1 and 2, take 6,062 and 7,259 calls. With four mixture proposals they take
    5,932 and 6,200; with one flow 6,049 and 7,411, with four 6,062 and 7,453; without flows 6,062 and 6,180,
    in 0.6 of the seconds, as their posteriors are Gaussian. Half and twice the masses change at most 2 %."""
    wide_shares: tuple[float, ...] = (0.1, 0.05)
    least_share: float = 0.01
    """Shares come from masses under smaller powers, with a lower limit, because a state may have too few
    draws. Three switches (seed 1) take 6,050 and 5,936 instead of 6,062 calls with half and twice the shares
    of the wider masses. They have the same digits with half the limit, and take 5,907 calls with twice."""
    rare_shares: tuple[float, float] = (0.02, 0.5)
    """Limits of the share of all states without a mixture proposal, which is otherwise their mass. The three
    switches take 5,908 and 6,088 calls with a lower limit of 0.01, and 6,200 and 6,089 with 0.04. An upper
    limit of 0.25 changes no digit."""
    prior_weight: float = 1.0
    """Weight of an unseen state: this many effective draws of its parameter's prior. The three switches take
    5,919 and 6,125 calls with half, and 5,922 and 6,181 with twice this weight."""
    well_covered: float = 0.9
    """Mass of the states with mixture proposals from which no proposal for all states is needed. With 0.8 and
    0.95 the three switches have the same digits."""


MIXTURE, REGRESSION, BY_STATE = MixtureConfig(), RegressionConfig(), ByStateConfig()
# Kernels on weighted draws, also under smaller powers; on draws with large weights; where the regression
# predicts mass.
LOCAL_KERNELS, REGRESSION_KERNELS = KernelConfig(), KernelConfig(n_kernels=50)
HIGH_WEIGHT_KERNELS = KernelConfig(n_kernels=40, least_excess=2.0)
