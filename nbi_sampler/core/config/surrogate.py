"""Settings of the surrogate of the log density and of the walks in it.

No keyword sets these. "Not measured" is a choice that nothing spoke against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nbi_sampler.core.config.networks import TrainingConfig

__all__ = ["SURROGATE", "SURROGATE_TRAINING", "TAUGHT_FLOW", "TAUGHT_TRAINING", "SurrogateConfig"]


@dataclass(frozen=True, kw_only=True)
class SurrogateConfig:
    """Settings of a network that learns the log density at all draws, and of the draws from it.

    Two precessing black holes with a signal-to-noise ratio of 21, 13 parameters, seed 1: the refinement has
    an efficiency of 1 % after 68,000 calls, and without a surrogate after 150,000. This was measured with
    flows of 2 blocks, half of the walks, and the power 0.85.
    """

    poor: float = 0.25
    """Efficiency at the posterior below which a surrogate is trained. None of the eleven problems of the
    benchmark trains one (seed 1); there the defensive shares of the mixture limit the efficiency."""
    depth: float = 25.0
    draws_per_dimension: int = 100
    """The log density is raised to the power at which so many draws for each dimension lie within the depth:
    a typical draw of a posterior in 15 dimensions lies 7 below the top. Not measured."""
    nearest: float = 60.0
    lowest: float = -30.0
    fading: float = 10.0
    """Depth of the draws that are learnt from; value below which only "low" is learnt; depth at which a
    residual counts half. Not measured by themselves."""
    outlying: float = 5.0
    """Residual from which the loss grows in proportion (Huber). With 1 the surrogate learns nothing of a
    black hole with a signal-to-noise ratio of 30 (residual 3.1), with this 0.9 is left."""
    flatness: float = 0.1
    even_share: float = 0.1
    """Draws are taken in proportion to this power of the density, apart from a share that is even. Not
    measured."""
    width: int = 128
    n_layers: int = 3
    scale: float = 3.0
    """The perceptron, and the unit of its output. With twice the width, residuals are not smaller for the
    same time."""
    passes: float = 100.0
    step_limits: tuple[int, int] = (1000, 5000)
    good_enough: float = 0.15
    worst: float = 3.0
    """Training in cycles of twice as many steps each, up to so many passes over the draws, or until a
    residual that costs 2 % of the efficiency. A surrogate with a larger residual than the worst teaches
    nothing. A rate of 0.01 leaves a residual of 0.5 where 0.003 leaves 1.4 (70,000 draws, 2,500 steps). The
    second cycle often leaves a plateau on which the first one ends."""
    n_walks: int = 4000
    n_trajectories: int = 25
    n_leaps: int = 8
    n_kept: int = 5
    first_size: float = 0.2
    size_rate: float = 0.6
    size_spread: float = 0.4
    acceptance: float = 0.7
    """Hamiltonian walks, their trajectories, leaps of each, the last states that are kept, the first size of
    a leap, its adaptation to the acceptance, and its random part. Not measured by themselves."""
    highest: float = 1.0
    flattened: float = 0.92
    """Log density above the highest draw beyond which the surrogate is flat for the walks, and the power of
    the density that they sample, whose wider tails bound the weights. In 13 dimensions this power costs 4 %
    of a Gaussian's efficiency."""
    share: float = 0.6
    share_limits: tuple[float, float] = (0.05, 0.95)
    """Share of the surrogate's proposal on the way to the posterior, and its limits at the posterior. Not
    measured."""


SURROGATE = SurrogateConfig()
# Training of a surrogate, whose values have no noise, and of flows on draws from it.
SURROGATE_TRAINING = TrainingConfig(learning_rate=0.01, weight_decay=1e-3, n_batches=50)
TAUGHT_TRAINING = TrainingConfig(learning_rate=0.005, weight_decay=0.01, n_epochs=80, patience=10)
# The flow that draws from a surrogate teach: they are as many as it needs. For the black hole, with 29,000
# draws in the surrogate, its efficiency is 0.06 to 0.07, that of 2 blocks of 64 is 0.003 to 0.03, of 12
# blocks 0.03, and of a spline flow 0.04.
TAUGHT_FLOW: Mapping[str, str | int] = {"type": "maf", "num_blocks": 8, "flow_hidden": 128}
