"""Settings of the stages of a run: what each number controls, and what was measured.

No keyword sets these; a run uses the instances at the end of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from nbi_sampler.core.config.networks import TrainingConfig

__all__ = [
    "BATCHES",
    "INITIAL",
    "POOLING",
    "REFINEMENT",
    "REFINEMENT_TRAINING",
    "ROUNDS_TRAINING",
    "BatchConfig",
    "InitialConfig",
    "PoolingConfig",
    "RefinementConfig",
]


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Sizes of batches, and what the run keeps of them."""

    calls_per_effective: int = 200
    fewest_calls: int = 200_000
    """Default budget of calls. The eleven problems take at most 4.4 calls for an effective draw
    (docs/benchmark.md), and funnel10 takes 81,642 calls."""
    round_with_model: int = 400
    round_without: int = 600
    round_per_dimension: int = 150
    round_limits: tuple[int, int] = (800, 2000)
    cost_steps: tuple[tuple[float, float], ...] = ((0.02, 1.0), (0.5, 0.7), (float("inf"), 0.5))
    """Draws of a round, and their share for calls of up to so many seconds. The steps are coarse, so runs can
    be repeated. With shares of 1, 0.7 and 0.5 microlensing (2,000 effective samples) takes 7,553, 6,668 and
    5,533 calls for seed 1, and 7,286, 9,961 and 6,110 for seed 2."""
    first_rounds: int = 2
    """Draws of the first batch from the prior, in rounds, if there are simulations: 800 to 4,000. Only two
    was measured."""
    scan: int = 216_000
    scan_power: int = 4
    smallest_scan_dimension: int = 2
    most_dimensions_spread: int = 8
    """Draws of the first scan without simulations, times this power of the dimension, which counts as two if
    it is one. They are spread evenly in up to so many dimensions. A mode 1e-3 wide beside one 0.1 wide stands
    out in 6e-5 of the prior, and 10,000 independent draws hit this part only 0.6 times on average. A third
    fewer evenly spread draws hit it as often. In many dimensions such draws line up."""
    most_scans: int = 4
    fewest_finite: int = 10
    finite_per_dimension: int = 5
    """Most scans, each twice as large, while too few draws are finite. They find one finite draw in a
    thousand."""
    dimensions_per_round: float = 3.0
    most_exploring: float = 3.0
    """A search for modes takes the draws of a round for so many dimensions, of which the first does not
    count, but at least one and at most this number of rounds. Of 136 searches from 4,000 draws, one missed
    one mode."""
    cheap: float = 5e-4
    """Seconds of a call below which 20,000 calls take less time than a fit. A run with a trained model then
    makes no fit, and a refinement trains no flow while it is efficient without a new one."""
    most_at_once: int = 20_000
    most_predicted: int = 50_000_000
    """Most draws, and most predicted numbers, in memory at a time if no fit uses them: 0.4 GB."""
    margin: float = 1.03
    spare: int = 20
    fewest: int = 200
    least_rate: float = 1e-4
    """Excess of the draws that should complete a result, fewest draws, and smallest assumed efficiency, so
    that another batch is rarely needed. With an efficiency of 0.9, none of 900 simulated batches for 200 to
    5,000 effective draws is too small, and 16 % are without an excess; with 0.18, 10 to 19 % are."""
    growth: float = 2.0
    """Growth of final batches. A small batch makes its proposal look two to three times better than it is
    (dingo #265)."""
    most_draws_per_call: int = 20
    """Most draws for each call of the budget, if constraints exclude most draws at no cost. A million draws
    of two parameters are made and tested in 0.3 s, so all draws of a million calls take 6 s."""
    fewest_predictions: int = 20
    """Fewest finite predictions for the fit of a round. With fewer, the priors do not suit the model: a
    round has 400 draws and more, so 95 % of its predictions are not finite."""
    input_margin: float = 0.1
    """Observed inputs farther than this outside of the simulated ones are clipped, because a flow is
    unpredictable there. On linear, seed 1, nothing is: without a margin the run has the same digits."""
    held_out: int = 8
    """One of this many finite draws is held out of all fits, for the shares of a mixture. A fit to draws of
    eggbox, without a flow, has an efficiency of 0.884, and of 0.886 with twice as many held out."""
    recent: int = 3
    """Latest proposals whose densities at every draw are kept for each member, and latest batches of the
    bridge. All of them took 1.1 GB in 100 rounds."""
    most_kept: int = 200
    most_numbers_kept: int = 1_000_000
    fewest_kept: int = 8
    """Predictions that are kept of a batch of the result to test the fit: at most this many, at most this
    many numbers, and at least this many."""


@dataclass(frozen=True, kw_only=True)
class InitialConfig:
    """Settings of a run that starts from samples of a former posterior, and tests of these samples."""

    prior_draws: int = 500
    """Evenly spread draws from the prior in the first batch. If the samples lack a mode in more than 0.6 % of
    the prior, one of these draws is in it with 95 % probability."""
    wide_factors: tuple[float, ...] = (2.0, 4.0)
    wide_shares: tuple[float, ...] = (0.05, 0.03)
    """Widths of the local kernels on the samples, relative to the usual ones, and their shares of the other
    draws. For one bent posterior of five parameters, the first draws have an efficiency of 0.70, and of 0.33
    if it has moved by a deviation. With half and twice the widths and the shares, these are 0.64 to 0.75 and
    0.31 to 0.34."""
    least_exponent: float = 0.02
    """Power of the weights of the first batch from which the refinement bridges to the current posterior.
    With 0.1, microlensing with means three deviations away took 17,550 calls for 1,000 effective draws, with
    this 14,019, and 6,275 from the prior."""
    moved: float = 8.0
    """Effective number of the compared samples below which the posterior has moved. This is found for
    93 % of Gaussian posteriors that are 3 deviations apart, 80 % at 2.4, and 6 % at 1.2. linear then takes
    2,033 calls for 1,000 effective draws, and 4,849 without an ascent. For microlensing, 2.2 deviations away,
    bridges take 5,599 and 6,850 calls (seeds 1 and 2), and the start from the prior 6,356 and 6,101; 3.6
    deviations away, 7,055 and 9,250 with k-hats of 1.0 and 0.6, and 7,428 and 7,677 with 0.2 and 0.0."""
    most_in_paraboloid: int = 1000
    most_unexplained: float = 0.1
    """Samples through whose log-likelihoods a paraboloid is fitted, and largest share of their variance that
    it may leave in a posterior for an ascent. It leaves less than 0.001 on linear and spectrum, 0.18 on
    microlensing, which is bent, and 0.6 on sine_demo, which has two modes."""
    most_ascending: int = 4
    """Batches within which an ascent has to find draws with the efficiency that counts. On linear and
    spectrum it takes one and two, and on microlensing more than 30 batches."""
    searching: int = 100
    most_batches: int = 3
    search_per_term: float = 1.5
    """Draws and batches of the search for modes that the samples lack, and draws for each term of a start's
    paraboloid without mixed terms. With 150 and four, six of six runs found a mode that had been cut away.
    With these values, the one run found it, with 0.06 fewer calls for an effective draw (sine_demo)."""
    most_elsewhere: float = 0.02
    """Largest share of the mass of all draws in regions in which the first proposal is thinner than the
    prior. If there is more, the samples lack a mode, and the run starts from the prior. When only the first
    batch was tested, eggbox without half of its modes was 0.16 and 0.21 too low (23 and 19 errors) under "ok"
    for two of five seeds. With all draws it is right in ten of ten (within 2.0 errors, 18,546 to 22,101
    calls)."""
    n_checked: int = 50
    same_likelihood: float = 1e-6
    """Samples at which the likelihood is evaluated first. The former likelihood is the current one up to a
    constant if the differences spread by less than this, relative to the largest. It was recognised on each
    of eleven problems of the benchmark."""


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """Target of the refinement, and conditions under which it ends."""

    located: float = 20.0
    located_per_dimension: float = 2.0
    """Effective draws, and additional ones for each dimension, with which the bridge has reached the
    posterior. With 50 and 4, six problems with two seeds take 14 % more processor time and 0.5 % more
    calls."""
    minimum_ess: float = 200.0
    ess_per_dimension: float = 20.0
    """Fewest effective draws of a fit without tempered weights. Twice as many did not find the lost arm of
    rosenbrock."""
    ess_per_scan: float = 0.05
    """The same for each draw of the first scan, whose fit has to keep all modes. eggbox, seed 1 and without
    flows, takes 22,085 calls. With half of this it takes 21,199, and log Z is 1.8 errors too high."""
    searched: float = 100.0
    searched_per_dimension: float = 5.0
    """Fewest effective draws, and those for each dimension, of a fit without tempered weights after a search
    for modes, whose draws are about the modes. The search of correlated20 leaves 290. With the limits above
    they were tempered to a power of 1e-4, and the run had no result after 40,000 calls."""
    wide_exponents: tuple[float, ...] = (0.5, 0.1)
    """Powers of the weights that give the targets of the wider kernels. For the posterior of eggbox, 0.7 and
    0.2 give an efficiency of 0.897 instead of 0.884. Whole runs of eggbox and rosenbrock (2,000 effective
    samples, two seeds each), with tempered weights too, take 37,482 and 21,821 calls; with 0.7 and 0.2 they
    take 37,523 and 21,092, and with 0.35 and 0.05 37,684 and 21,249."""
    negligible: float = 25.0
    """Draws whose log weight is this far below the largest are left out: e^-25 of it cannot matter."""
    regressed: float = 60.0
    """A regression learns from tempered log L down to this depth; lower values say nothing about the top.
    With 30 and 120, the efficiency of a fit to eggbox, 0.884, changes by 1e-6."""
    converged: float = 0.92
    """Efficiency at which the refinement ends. A perfect fit would save 8 % of the draws."""
    least_converged: float = 0.5
    least_saving: float = 0.05
    """Above this efficiency, the refinement also ends if a perfect fit would save less than this share of the
    result's draws. Seven of the eleven problems then need one fit less. The calls for an effective draw,
    summed over all problems, are 31.3 with and without this rule."""
    sufficient: float = 0.8
    """Efficiency of the last fit to the posterior itself after rounds, from which no flow is trained if calls
    are cheap. The eight problems with rounds and cheap calls (5,000 effective samples, seeds 1 to 3) take
    0.7 % more calls and about three quarters of the time: sine_demo 11 s instead of 24 (seed 2), gaussian15d
    22 instead of 33. With 0.5, transit takes 69,971 instead of 65,995 calls, and radial_velocity 50,756
    instead of 47,678."""
    lost_evidence: float = 10.0
    """Fall of the log evidence of a round at which the rounds end. Rounds of precessing black holes lost 50
    from the third on, with one effective draw each."""
    smallest_gain: float = 1.04
    most_stalls: int = 2
    few_rounds: int = 4
    patience: int = 3
    """Number of refinements with a smaller gain that ends the stage. If more than a few rounds' draws are
    missing, ``patience`` times as many do, because a better proposal would save draws. On the eleven
    problems, seed 1, there is never more than one such refinement in a row, so the last two do not act."""
    batches_to_the_end: int = 4
    """After a refinement without gain, a batch has the missing draws divided by this, if they are more than
    those of a round: the proposal may stay as it is. rosenbrock, seed 1, takes 14,714 calls, 18,295 with 2
    and 14,887 with 8."""
    found_mass: float = 2.0
    """Increase of the evidence that counts as a gain, in errors. Without this rule gw_fast, seed 2, was 0.086
    too low (4.5 errors); with it, it is 0.024 too high (2.3)."""
    most_stuck: int = 25
    least_progress: float = 1.1
    """The power has to grow by this factor within so many refinements. A spike of 1e-150 then ends the run
    within 10,000 calls."""


@dataclass(frozen=True, kw_only=True)
class PoolingConfig:
    """Rules that decide which batches make up the result, and when it restarts."""

    warm: float = 0.25
    expected: float = 0.3
    """Efficiencies from which batches count in the result: that of the best proposal before, and that of the
    next proposal as all draws predict it. On the eleven problems, seed 1, any values of 0.13 to 0.34 and of
    0.01 to 0.79 give the same digits, because each decision is the same. A first batch below the first number
    is left out if a few draws dominate, as one of rosenbrock at 0.09."""
    lost: float = 0.5
    """The result restarts if more draws reduce its effective sample size to less than this. On the eleven
    problems, seed 1, the ratio is never below 1.3, so the rule is a guard alone."""
    certain: float = 3.0
    """A batch with more evidence by this many errors replaces the result, which happens by chance once in
    700. gw_fast with 5,000 effective draws was 0.040 too low, and is now 0.009 too high (1.4 errors)."""
    heavy_tail: float = 0.5
    """Largest k-hat of a result that does not restart. Above it, the weights have no variance and the error
    of log Z has no limit. funnel10, seed 1, is 1.4 errors too low after 81,642 calls. With 0.7, the limit of
    the status, it was 11.5 errors too low under "ok" after 71,854."""
    most_unreliable: int = 2
    """Most restarts of a complete result that is unreliable. Only two was measured."""
    least_promising: float = 0.5
    """Smallest predicted efficiency for the first final draws. One heavy draw in a small batch says
    little. For 5,000 effective draws, at most 10,320 are then asked for."""
    holds: float = 0.5
    most_returns: int = 3
    """If the final draws have less than this share of the predicted efficiency, the run returns to the
    refinement, at most so many times. On the eleven problems, seed 1, they have 0.99 of it and more."""


BATCHES, INITIAL, REFINEMENT, POOLING = BatchConfig(), InitialConfig(), RefinementConfig(), PoolingConfig()
# Training of the networks of the rounds. It takes four tenths of the time of 60 epochs with twice as many
# batches at a rate of 0.002, and its loss is lower by 0.3 nats in the mean of six fits. Rates above 0.02 lose
# this again.
ROUNDS_TRAINING = TrainingConfig(learning_rate=0.012, n_epochs=40, n_batches=10)
# Training of the flows of the refinement. Few effective draws need a stronger decay and fewer epochs (not
# measured). A rate of 0.012 lowers their loss, but log Z of rosenbrock then has a mean error of -0.8 and a
# scatter of 1.3 in its errors (ten seeds), and was 4.6 errors too low for another seed.
REFINEMENT_TRAINING = TrainingConfig(weight_decay=0.3, n_epochs=40, patience=10)
