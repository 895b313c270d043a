"""Rules of flows, featurizers and their training that users do not set."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEATURES", "FIT", "FLOW_START", "FeaturesConfig", "FitConfig", "FlowStartConfig"]


@dataclass(frozen=True, kw_only=True)
class FlowStartConfig:
    """First values of a masked autoregressive flow, with which it is nearly a standard normal law."""

    farthest: float = 1.5
    log_width: float = -0.3
    """Means of the Gaussians of a coordinate, from minus the first number to it, and the logarithm of their
    widths. For slcp (1,000 simulations, 20 epochs, seed 1), half and twice the first gain 0.09 and -0.37
    nats, and -1 and 0 instead of the second 0.01 and -0.04."""
    spread: float = 0.01
    """Standard deviation of the other first biases of the outputs. A tenth and ten times of it gain 0.02 and
    -0.11 nats."""


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Sizes of feature vectors, and numbers of simulations that featurizers use.

    Only the figures given below were measured.
    """

    per_parameter: int = 16
    """Features for each parameter. The total is rounded up to a multiple. For a sine curve of 40 points with
    three parameters (500 simulations, 10 epochs, seed 1), a ResNet-GRU gains 4.73, 5.08 and 5.28 nats with
    32, 64 and 128 features, and attention 3.27, 4.05 and 4.36."""
    multiple: int = 32
    """The number of features is a multiple of this, which suits vector units. Five parameters get 96 of them
    instead of 80."""
    longest_vector: int = 32
    """Numbers in the data of a target up to which ``"auto"`` is a perceptron. 1,000 simulations of sbibm's
    tasks, nats gained about held-out parameters: 2.87 instead of 1.52 for ten numbers (gaussian_linear) and
    2.36 instead of 2.13 for eight (slcp), in 0.3 to 0.5 of the seconds. Of 24 and 32 numbers, with 20 epochs
    and two seeds each, a perceptron gains 0.43 and 0.70 nats more for a linear model without an order, and
    0.64 and 0.67 fewer for a sine curve, in 0.3 of the seconds."""
    least: int = 64
    """Smallest number of features. A perceptron of 32 numbers of a sine curve gains 5.74 nats with 32 and
    5.85 with 64; of a linear model 8.00 and 7.99 (1,000 simulations, 20 epochs, two seeds)."""
    most: int = 256
    """Largest number of features. It bounds the context of a flow. 15 parameters and more have it."""
    most_rows_pca: int = 3000
    """Simulations that give the principal components: many more than the 64 components."""
    depth_pca: int = 2
    """Hidden layers of the perceptron on the components. Of a sine curve of 40 points (1,000 simulations, 20
    epochs, seed 1), one and four gain -0.16 and -0.66 nats."""
    residual_scale: float = 1.5
    """Factor of the logarithm of the variance of what the components leave, an input of this perceptron. Half
    and twice of it give the same digits for a sine curve, of which the components leave nothing."""
    long_pca: int = 4
    more_pca: int = 16
    iterations_pca: int = 2
    """Data longer than this many times the components are first projected on random directions, of which
    there are more than components by the second number, and this many times multiplied by the data. For 3,000
    sine curves of 1,000 points no digit of the variance is lost, also with half and twice of the last two, in
    0.4 of the seconds of the exact components."""
    most_rows_attention: int = 1000
    """Simulations that give the scales of attention's channels. Each contributes all its points. From one
    point of each, the error of a scale is 2.5 %."""
    most_rows_image: int = 1000
    """Simulated images that give the scales of their channels. Each contributes all its pixels, so
    the error is far below 2.5 %."""
    largest_deviation: float = 1e4
    """A pixel that is farther from zero than this, in noise scales, is clipped for the scale of its
    channel. One such pixel of 1,000 images of 16 x 16 pixels then adds 0.04 noise scales."""
    first_share: float = 0.25
    """Initial size of a residual block's addition to its shortcut, in units of its scale. For 1,000
    simulations of 40 numbers (20 epochs, two seeds), nats gained with 0.125, 0.25, 0.5 and 1 are 6.62, 6.65,
    6.48 and 5.90 for a sine curve, and 7.91, 7.97, 7.95 and 7.62 for a linear model."""
    n_seeds: int = 4
    """Learnt tokens of attention that summarise the points. In the same test, attention gains 0.28 nats more
    with half and 0.24 more with twice as many."""
    largest: float = 1e6
    """Data are clipped at this many noise scales, so that their squares fit single precision. The
    loss is finite with numbers of up to 1e19 (`DataFormatConfig.largest`)."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Rules of a fit that users do not set. Only the figures given below were measured."""

    least_gain: float = 1e-4
    """Smallest fall of the validation loss that counts as progress. The error of the loss is far larger: 0.02
    nats and more (`TrainingSetConfig.most_held_out`)."""
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises. A perceptron (1,000 simulations, 20 epochs, seed
    1) gains as many nats with half and twice of it for a linear model, and 0.02 fewer and 0.04 more for
    slcp."""
    least_batch: int = 32
    """Smallest batch if there are few simulations. With 300 of them and 16 instead, a perceptron gains 0.29
    nats more for a linear model and 0.21 more for slcp, in 1.5 and 1.9 times the seconds; with 64, 1.17 fewer
    and 0.05 more, in 0.6 of the seconds (20 epochs, seed 1)."""
    regression: float = 5.0
    """Weight of the regression on the log density in a refinement's loss. With it, seven problems with two
    seeds each take 2.9 % fewer calls, and transit takes 7 % fewer."""
    n_examples: int = 2000
    """Simulations whose inputs give the range to which the observed inputs of a round are clipped. It acts
    in the first round, which may have 4,000; the others have at most 2,000. microlensing (2,000 effective
    samples, seed 1) has the same digits with half and twice as many."""
    passes: float = 4.0
    """Draws in an epoch of weighted draws, in units of their effective sample size. A flow for a bent normal
    law in five dimensions, fitted to 12,000 draws (3,154 effective), has efficiencies of 0.990 and 0.971
    (seeds 1 and 2)."""
    least_batches: int = 8
    """Fewest batches in such an epoch. Fitted to 2,000 draws (518 effective), the same flow has 0.944 and
    0.980; with twice as many batches, and so with twice as many passes, 0.946 and 0.919 in 1.5 times the
    seconds."""
    most_batches: int = 24
    """Most batches in such an epoch. It bounds the time of a refinement. With half as many, the flow of
    12,000 draws has 0.989 and 0.969, in 0.65 of the seconds; with twice as many 0.997 and 0.969, in 1.6 times
    the seconds."""
    most_in_a_set: int = 512
    """Held-out simulations in one evaluation of the loss. The cost of a loss with atoms grows with their
    square."""
    worth_a_capture: int = 100
    """Fewest steps that are worth a CUDA graph. This is an estimate: the first steps gain nothing, one is
    computed twice to check the graph, and building the graph costs about ten."""
    n_warm_up: int = 3
    """Steps without the graph that come first, as torch requires. Libraries initialise themselves in them."""
    tolerance: float = 1e-3
    """Largest relative difference in the first loss of a graph. Arithmetic in another order changes the loss
    of a flow by at most 1.5e-7. Losses of two batches differ by 5 %, and by 1.1e-3 in the closest of 50
    pairs."""
    most_threads: int = 4
    """Threads for networks that gain from more than one."""
    worth_threads: int = 1000
    """Fewest numbers in the data of a target that are worth a second thread. A step of the ResNet-GRU on
    series of 50 points takes 0.03 s with one thread, and up to 0.7 s with two on a machine that does other
    work."""


FEATURES, FLOW_START, FIT = FeaturesConfig(), FlowStartConfig(), FitConfig()
