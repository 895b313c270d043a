"""Settings of the exploration of an approximate likelihood.

No keyword sets these. "Not measured" is a choice that nothing spoke against. "The black hole" is a binary
with precessing spins, 13 parameters and a signal-to-noise ratio of 21, seeds 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nbi_sampler.core.config.networks import TrainingConfig

__all__ = [
    "APPROXIMATION",
    "TAUGHT_BY_DRAWS",
    "TAUGHT_BY_STATES",
    "TAUGHT_FLOW",
    "THINNING",
    "ApproximationConfig",
    "ThinningConfig",
]


@dataclass(frozen=True, kw_only=True)
class ApproximationConfig:
    """Settings of walkers in an approximate likelihood, and of the proposals that they teach."""

    fewest_dimensions: int = 8
    full_dimensions: int = 13
    """Dimension from which an approximation is used, and the one for which the numbers of walkers, steps and
    draws below are meant; with fewer dimensions they are smaller in proportion. With four (gw_fast, seeds 1
    and 2) it would take 5,908 and 6,027 calls instead of 9,107 and 17,376, but 47 and 52 s of processor time
    instead of 27 and 62 s."""
    n_first: int = 2000
    """Draws from the prior, the highest of which is the first centre of the approximation. Not measured."""
    n_walkers: int = 1000
    least_ess: float = 0.5
    n_steps: int = 80
    n_steps_at_end: int = 200
    n_kept: int = 10
    """Walkers; effective share of them that each power of the likelihood leaves; steps at each power, and
    after the last one; states of each walker from these that teach the first proposal. For a binary with
    unequal masses and large spins, 4,000 walkers with 20 steps end at a mean log-likelihood of 74.4, rise
    slowly to 74.9, and lack most of the posterior, and 1,000 with 80 steps stay at 78.2 from the beginning,
    in half of the time."""
    scale: float = 1.0
    scale_spread: float = 0.5
    crossing_share: float = 0.5
    crossing: float = 0.3
    jump_share: float = 0.1
    jitter: float = 1e-4
    """Moves by differences: median size in units of 2.38 / sqrt(2 d), its spread in the logarithm, share of
    moves in a part of the coordinates and size of this part, share of moves by a whole difference, and noise.
    With smaller moves (0.6, 0.7, in a tenth to a half of the coordinates, 0.05), walkers for the black hole
    have 0.5 to 0.8 of the deviation of the posterior in its spins; with these 0.9 to 1.1."""
    refreshing_share: float = 0.15
    """Share of moves that mix a few coordinates with the prior. Not measured by itself."""
    least_gain: float = 1.0
    """Gain in log-likelihood at which the approximation is expanded again, about the highest walker. Aligned
    spins (seed 1) take 4,341, 4,310 and 4,316 calls with 0.2, 1 and 5, with k-hats of 0.15, 0.08 and 0.29."""
    flattened: float = 0.85
    """Last power of the likelihood. Its wider tails bound the weights. In 13 dimensions it costs 14 % of a
    Gaussian's efficiency."""
    n_draws: int = 80_000
    capped: float = 0.0025
    """Weighted draws from a proposal that tell its efficiency and teach the next one, and the share of them
    with the largest weights, which count as equal. For a binary with unequal masses and large spins, a flow
    that states of walkers teach has an efficiency of 0.0075, and one that these draws teach 0.127. 8,000
    draws chosen by weight and moved 15 steps teach one of 0.006."""
    good: float = 0.5
    most_fits: int = 4
    """Efficiency that suffices, if the largest weights count as equal, and most fits on the way there. Flows
    for this binary have 0.14, 0.37 and 0.54. Flows with 0.31 to 0.46 for four other binaries gave a k-hat of
    0.27 to 0.82, and one with 0.34 made the result start again. Flows with 0.55 to 0.93, for nine binaries,
    gave at most 0.46."""
    holds: float = 0.5
    """Share of this efficiency that the draws of the likelihood have to reach for the refinement to end. A
    black hole with a signal-to-noise ratio of 10 has 0.25 of 0.42 expected. Not measured by itself."""
    share: tuple[float, float] = (0.05, 0.95)
    """Limits to the share of this proposal beside the one for weighted draws. Aligned spins (seed 1) have the
    same digits with 0.2 and 0.8."""

    def scaled(self, number: int, n_dim: int) -> int:
        """A number of walkers, steps or draws for a problem with ``n_dim`` dimensions."""
        return round(number * min(n_dim / self.full_dimensions, 1.0))


@dataclass(frozen=True, kw_only=True)
class ThinningConfig:
    """Settings of draws that are thinned by their weights in an approximation."""

    draw: float = 0.001
    n_thresholds: int = 40
    """Cost of a draw of the unthinned proposal, in calls of the likelihood, and number of thresholds of the
    weights from which the cheapest is taken. In time, a draw costs a fifth of a call for black holes; a lower
    cost gives a higher threshold and a lower k-hat. For a binary with unequal masses and large spins, 0.01
    keeps one draw of the second flow in 7, of which 71 % are effective with a k-hat of 0.7; 0.003 one in 29,
    83 %, 0.5; 0.001 one in 60, 86 %, 0.4."""
    floor: float = 0.1
    """Least probability to keep a draw, in units of the mean one: about this share of the kept draws does not
    depend on the approximation. It reaches what an approximation lacks (half of a posterior, in a test)."""
    error: float = 0.01
    most_draws: int = 400_000
    """Error of the estimated share of draws that are kept, which is added to that of log Z (0.01 for 2,000
    effective draws), and most draws for this estimate: two to three minutes for black holes."""


APPROXIMATION = ApproximationConfig()
THINNING = ThinningConfig()
# Training of flows on states of walkers and on weighted draws, and the flow. For the black hole, 29,000 draws
# from a learnt likelihood gave this flow an efficiency of 0.06 to 0.07, one of 2 blocks of 64 had 0.003 to
# 0.03, one of 12 blocks 0.03, and a spline flow 0.04.
TAUGHT_BY_STATES = TrainingConfig(learning_rate=0.005, weight_decay=0.01, n_epochs=80, patience=20)
TAUGHT_BY_DRAWS = TrainingConfig(learning_rate=0.005, weight_decay=0.01, n_epochs=160, patience=40)
TAUGHT_FLOW: Mapping[str, str | int] = {"type": "maf", "num_blocks": 8, "flow_hidden": 128}
