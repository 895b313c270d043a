"""How a run goes, stage by stage: what each rule and each kind of proposal works with.

No keyword sets these; a run uses the instances at the end. Under each field stands what it guards and what
was measured of it ("not measured": a choice that nothing has spoken against).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ASCENT",
    "BATCHES",
    "BY_STATE",
    "HIGH_WEIGHT_KERNELS",
    "HISTORY",
    "LOCAL_KERNELS",
    "MIXTURE",
    "MODE_SEARCH",
    "POOLING",
    "PROPOSALS",
    "REFINEMENT",
    "REGRESSION",
    "REGRESSION_KERNELS",
    "ROUNDS",
    "START",
    "AscentConfig",
    "BatchConfig",
    "ByStateConfig",
    "HistoryConfig",
    "KernelConfig",
    "MixtureConfig",
    "ModeSearchConfig",
    "PoolingConfig",
    "ProposalConfig",
    "RefinementConfig",
    "RegressionConfig",
    "RoundsConfig",
    "StartConfig",
]


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How many draws a batch has, and a run in all."""

    calls_per_effective: int = 200
    fewest_calls: int = 200_000
    """Budget where none is set: many times what an efficient run needs. Not measured."""
    round_with_model: int = 400
    round_without: int = 600
    round_per_dimension: int = 150
    round_limits: tuple[int, int] = (800, 2000)
    """Draws of a round by what is learnt from one. Not measured one by one."""
    cost_steps: tuple[tuple[float, float], ...] = ((0.02, 1.0), (0.5, 0.7), (float("inf"), 0.5))
    """Seconds of a call below which a round has this share of its draws: coarse, so that a run can be
    repeated."""
    most_exploring: float = 3.0
    """A search for modes takes (D - 1) / 3 rounds' draws, at most so many rounds': from 4,000 draws of the
    prior in ten dimensions, 136 searches in 34 mixtures left out one mode."""
    most_at_once: int = 20_000
    most_predicted: int = 50_000_000
    """Draws, and numbers of their predictions, in memory at a time where nothing is learnt from them: 0.4
    GB."""
    margin: float = 1.03
    spare: int = 20
    fewest: int = 200
    """Draws that should complete a result: more than expected, so that it seldom takes another batch."""
    least_rate: float = 1e-4
    """Efficiency that draws are planned with at least, so that a poor proposal asks for no endless batch."""
    growth: float = 2.0
    """Final batches against those before them: the batch that a proposal was chosen for flatters a small one
    two to three times (dingo #265)."""
    most_draws_per_call: int = 20
    """Draws for each call of the budget, where constraints rule most of them out at no cost. Not measured."""


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """The first draws: of a trained model or the prior."""

    cheap: float = 5e-4
    """Seconds of a call below which 20,000 calls take less time than a fit, so that none is made after a
    model."""
    scan: int = 320_000
    """Draws of the first scan without simulations, times the fourth power of the dimension (two at least). A
    mode 1e-3 wide beside one of 0.1 stands out from 6e-5 of the prior: 10,000 draws hit it 0.6 times on
    average."""
    most_repeats: int = 4
    fewest_finite: int = 10
    finite_per_dimension: int = 5
    """Scans, each twice as large, while fewer log-likelihoods are finite. One finite draw in a thousand is
    found."""


@dataclass(frozen=True, kw_only=True)
class RoundsConfig:
    """Fits to simulations, and when the refinement can take over from them."""

    fewest_predictions: int = 20
    """Finite ones that a fit needs; below, the priors and the model do not fit together."""
    margin: float = 0.1
    """How far beyond the range of the simulated inputs observed ones may lie, in units of that range, before
    they are clipped: outside a flow may go anywhere. Not measured."""
    located: float = 50.0
    located_per_dimension: float = 4.0
    """Effective draws, at least and for each dimension, from which the bridge reaches the posterior. Not
    measured."""


@dataclass(frozen=True, kw_only=True)
class HistoryConfig:
    """What is kept of the draws of a run."""

    held_out: int = 8
    """Of finite draws one in so many is held out of all fits, for the shares of a mixture. Not measured."""
    recent: int = 3
    """Batches whose proposals keep a density of each member at every draw, and that the bridge learns from.
    With all of them, 100 rounds of 2,000 draws took 1.1 GB."""
    most_kept: int = 200
    most_numbers_kept: int = 1_000_000
    fewest_kept: int = 8
    """Predictions kept of a batch of the result to judge the fit by: so many, so many numbers, but some at
    least."""


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """What a refinement aims at, and when another one is no use."""

    minimum_ess: float = 200.0
    ess_per_dimension: float = 20.0
    """Effective draws of a fit, at least and for each dimension; with fewer the weights are tempered. Twice
    as many did not find the lost arm of rosenbrock; a mode with a tenth of the mass has 20 of 200."""
    ess_per_scan: float = 0.05
    """The same for each draw of the first scan, which has to carry all modes down. Not measured by itself."""
    wide_exponents: tuple[float, ...] = (0.5, 0.1)
    """Powers of the weights that the wider kernels aim at. Not measured."""
    negligible: float = 25.0
    """Log weights so far below the largest are left out: e^-25 of it cannot matter."""
    regressed: float = 60.0
    """Tempered log-likelihoods that a regression learns from, below the largest: lower ones say nothing of
    its shape near the top."""
    converged: float = 0.92
    """Efficiency at which no further fit can pay: a perfect one would save a twelfth of the draws."""
    least_converged: float = 0.5
    least_saving: float = 0.05
    """Nor can it above the lower efficiency where even a perfect proposal saves less of the result's
    draws."""
    smallest_gain: float = 1.04
    most_stalls: int = 2
    few_rounds: int = 4
    patience: int = 3
    """Refinements in a row that gain less than this factor end the stage; so many times as many where more
    than the few rounds' draws are missing, which a better proposal would spare. Not measured."""
    found_mass: float = 2.0
    """Errors by which a refinement that finds more evidence than the one before has not stalled: gw_fast,
    seed 2, ended 0.086 too low (4.5 errors) under "ok", now 0.024 high (2.3)."""
    most_stuck: int = 25
    least_progress: float = 1.1
    """Refinements in which the power of the likelihood has to grow by this factor at least. A spike of 1e-150
    ends the run within 10,000 calls."""


@dataclass(frozen=True, kw_only=True)
class PoolingConfig:
    """Which batches make up the result, and when it restarts."""

    warm: float = 0.25
    """Efficiency from which batches count whatever comes later, and a first one without a look at its
    weights."""
    lost: float = 0.5
    """The result restarts where more draws leave less than this share of its effective size. Not measured."""
    certain: float = 3.0
    """Errors by which a batch has more evidence than the result before it, and replaces it: by chance once in
    700 batches. gw_fast for 5,000 effective samples: 0.040 too low before, 0.009 high (1.4 errors) with
    it."""
    most_unreliable: int = 2
    """Complete results that restart because their weights are unreliable. Not measured beyond two."""
    least_promising: float = 0.5
    """Efficiency that the first final draws expect at least: one heavy draw in a small batch says little."""
    holds: float = 0.5
    most_returns: int = 3
    """Final draws go back to the refinement below this share of the expected efficiency, so many times."""


@dataclass(frozen=True, kw_only=True)
class ProposalConfig:
    """What all kinds of proposals have in common."""

    smallest_share: float = 0.004
    """Members of a mixture with less are left out, as each costs a density at every draw. Not measured."""
    share_steps: int = 50
    """Steps of expectation maximisation for the shares, which start equal. Not measured."""
    cut_bins: int = 24
    """Bins in which the thinnest place of a periodic parameter is looked for. Not measured."""
    n_inside: int = 200_000
    inside_chunk: int = 20_000
    least_inside: float = 1e-3
    """Draws, and draws at a time, that measure how much of a mixture lies in the unit cube, to 1e-3 or
    better; with less inside it is no proposal."""


@dataclass(frozen=True, kw_only=True)
class KernelConfig:
    """Student-t kernels on weighted draws, each with the spread of its neighbours."""

    n_kernels: int = 200
    n_pool: int = 1500
    """Kernels, and draws among which neighbours are looked for. Not measured."""
    degrees: float = 4.0
    """Of freedom: tails that bound the weights. Not measured."""
    least_excess: float = 0.0
    """Kernels stand on the draws of largest weight, of those so many times the typical one; at 0 on a
    weighted sample without repeats. On eggbox kernels where weights stand out, in the unit cube too, took the
    calls for an effective sample from 12 to 6 and log Z from 0.047 to 0.016 off; on transit from 4.8 to 3.3
    calls."""
    fewest_in_pool: int = 60
    pool_per_effective: float = 3.0
    """The pool has no more draws than a few times as many as are effective: without repeats a larger one
    would be wider than what the weights describe (in the same figures)."""


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Kernels where a regression of log L predicts more mass than the proposal covers.

    rosenbrock, worst of four seeds: log Z off by 0.012 (1.6 errors) with them, 0.040 (7) without; the share
    of its posterior covered 20 times too thinly fell from 3.3 % to 0.03 % in the unit cube.
    """

    n_candidates: int = 16_000
    full_until: float = 5.0
    """In more dimensions fewer candidates, with the square of their number, as each costs more."""
    least_excess: float = 2.0
    fewest_thin: int = 20
    least_mass: float = 1e-3
    """Candidates that would weigh so many times the mean are too thinly covered; kernels are put where there
    are so many, with so much mass. Not measured one by one."""
    shares: tuple[float, float] = (0.03, 0.3)
    """Limits of the share of these kernels, which is the predicted mass. Not measured."""
    negligible: float = 12.0
    """Log weights so far below the largest cannot matter."""
    most_dimensions: int = 8
    """In more the regression needs too many neighbours (98 in nine dimensions are no local ones)."""
    neighbours_per_term: float = 1.7
    more_neighbours: int = 5
    fading: float = 2.3
    """Neighbours of a regression, and the power by which they fade: the farthest weighs a tenth."""
    most_beyond: float = 3.0
    """How far above the best of its neighbours a prediction is believed. Not measured."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """The mixture proposal of a refinement: its members and their shares."""

    most_flows: int = 3
    """The new flow and the latest before it, which cost no training. Not measured by itself."""
    em_kernels: tuple[int, ...] = (1, 3, 10, 30)
    em_degrees: float = 100.0
    em_draws: tuple[int, int] = (3_000, 10_000)
    em_draws_per_effective: float = 4.0
    """Kernels of the Gaussian mixtures, their tails, and the draws that they are fitted to. Not measured."""
    em_tolerance: float = 5e-3
    """Gain of the mean log density at which fits stop: a fifth of it takes more than twice the time, and fits
    held-out draws no better."""
    mixtures_share: float = 0.25
    """Least share of the Gaussian mixtures: on transit it took the efficiency from 8-60 % to 34-57 %."""
    wide_shares: tuple[float, ...] = (0.06, 0.015)
    prior_share: float = 0.005
    """Fixed shares of the wider kernels and the prior: they bound the weights. With 0.5 % of the prior a
    second mode of equal mass is found (pull below 4), without it log Z is 10 errors too low under "ok"."""
    exploring_share: float = 0.15
    """Fixed share of the local kernels while the weights are tempered. Not measured."""
    high_weight_shares: tuple[float, float] = (0.03, 0.3)
    """Limits of the share of the high-weight kernels, which is the mass of the draws they stand on; larger
    ones did not help on rosenbrock."""
    stretched: float = 1.5
    least_stretched: float = 0.01
    resolved: float = 6.0
    """Latent coordinate beyond which a bounded prior is stretched, the mass there that makes the unit cube
    worth a fit, and where its digits end: eggbox nearly missed 12 % of its mass in the latent space alone, 4
    % with both."""
    fewest_tested: float = 8.0
    """Effective held-out draws that shares are fitted to; all draws where these are too few. Not measured."""


@dataclass(frozen=True, kw_only=True)
class ByStateConfig:
    """Proposals by discrete state.

    Three switches, 1 % of the mass in the rarest state: 7,250 calls with them; without, 11,300 and the state
    missed.
    """

    fewest_effective: float = 6.0
    """Effective draws that a mixture proposal of a state needs; with fewer it keeps its last one, which is
    wider."""
    most_deviations: float = 4.0
    fewest_to_compare: float = 100.0
    """Errors by which moments of a coordinate have to differ from the prior's for it to be fitted, and the
    draws from which they are compared: of fewer even a narrow peak's are not far enough off. Below that half
    of a state's draws come from kernels by moments."""
    kernel_width: float = 1.3
    kernel_degrees: float = 8.0
    fewest_for_moments: float = 4.0
    moments_per_dimension: float = 2.0
    """These kernels are a little wider than the moments, and need so many effective draws. Without them log Z
    of three switches was 0.032 too low (4.2 errors, 7,250 calls) under "ok", with them 0.006 high (0.6;
    6,050)."""
    most_states: int = 40
    most_mixtures: int = 8
    least_mass: float = 0.003
    """States with a share, those with mixture proposals among them, and the mass these need. Not measured."""
    most_flows: int = 2
    least_for_flow: float = 0.1
    """States with flows, and the mass these need: each is another training. Not measured."""
    wide_shares: tuple[float, ...] = (0.1, 0.05)
    least_share: float = 0.01
    """Of the masses under smaller powers, and the least one of a state: it may have been seen less than it
    weighs."""
    rare_shares: tuple[float, float] = (0.02, 0.5)
    """Limits of the share of all states without a mixture proposal, which is their mass. Not measured."""
    prior_weight: float = 1.0
    """A state of which nothing was seen weighs as so many effective draws of its parameter's prior. Not
    measured."""
    well_covered: float = 0.9
    """Mass of the states with mixture proposals from which none for all states is needed. Not measured."""


@dataclass(frozen=True, kw_only=True)
class ModeSearchConfig:
    """Newton's steps from draws of the prior to the modes.

    mixture118, six modes in ten dimensions, was 0.09 to 0.13 too low under "ok" without a search in five of
    six seeds, and is right to 0.005 with one.
    """

    fewest_dimensions: int = 5
    """In fewer the draws of the prior are dense enough for the tempering to keep all modes. Not measured
    below."""
    most_batches: int = 4
    most_starts: int = 30
    n_neighbours: int = 8
    """Starts are draws higher than so many neighbours: all 72 modes were found that stand out in 1 % of the
    prior or more, 7 of 17 in 0.03 to 1 %, none of 118 in less."""
    first_width: float = 0.05
    """Of the first kernels, in units of the prior. Not measured."""
    draws_per_term: tuple[float, float] = (1.3, 4.0)
    """Draws for each term of a paraboloid, at least and at most. Not measured."""
    reach: tuple[float, float] = (3.0, 100.0)
    widening: tuple[float, float] = (2.0, 10.0)
    """How far in its widths a start moves and by which factor it widens: where the paraboloid does not fit to
    within a factor e in the likelihood, and where it does. Not measured."""
    narrowing: float = 1e-3
    """The least factor by which it narrows in one step. Not measured."""
    fading: float = 2.0
    """Log of the weight in a fit of the lowest of the draws relative to the highest. Not measured."""
    n_tested: int = 400
    least_inside: float = 1e-3
    """Draws that measure a kernel's part in the cube: one in a corner, of which a 32nd is inside, gets its
    share."""
    degrees: float = 10.0
    """Of freedom of the kernels. Not measured."""


@dataclass(frozen=True, kw_only=True)
class AscentConfig:
    """Newton's steps of the highest draws, where they outrun the tempering.

    bilby's Gaussian process with celerite had not ended after 72,000 calls; with an ascent of 2,352 it is
    "ok" at 45,520.
    """

    fallen: float = 0.5
    higher: float = 5.0
    """It is due where the power of the likelihood falls below this share of what it was, and log L rises by
    so much."""
    most_ascents: int = 3
    most_batches: int = 30
    """Ascents of a run, and batches of each, so that no ridge without an end takes the budget. Not
    measured."""
    draws_per_term: int = 6
    fitted_per_term: int = 4
    """Draws of a batch, and those fitted, for each term of a paraboloid: a tenth of a refinement's."""
    depth: float = 2.0
    """Draws no lower than so much for each dimension are fitted in any case: at the top their spread is the
    mode's."""
    reach: float = 3.0
    widening: float = 2.0
    narrowing: float = 0.5
    """How far a step goes and by how much it widens in the spreads of the fitted draws, and how much narrower
    the other kernel is. Not measured."""
    degrees: float = 8.0
    """Of freedom of the kernels. Not measured."""


BATCHES = BatchConfig()
START = StartConfig()
ROUNDS = RoundsConfig()
HISTORY = HistoryConfig()
REFINEMENT = RefinementConfig()
POOLING = PoolingConfig()
PROPOSALS = ProposalConfig()
MIXTURE = MixtureConfig()
BY_STATE = ByStateConfig()
MODE_SEARCH = ModeSearchConfig()
ASCENT = AscentConfig()
REGRESSION = RegressionConfig()
# Local kernels, the wider ones of smaller powers too; those on draws of high weight; those of the regression.
LOCAL_KERNELS = KernelConfig()
HIGH_WEIGHT_KERNELS = KernelConfig(n_kernels=40, least_excess=2.0)
REGRESSION_KERNELS = KernelConfig(n_kernels=50)
