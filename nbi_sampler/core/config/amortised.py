"""Settings of the engine that is trained once for many targets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ANNEALING",
    "CONVERGENCE",
    "DATA_FORMAT",
    "INFERENCE",
    "NOISE_PROBE",
    "OOD_THRESHOLD",
    "OUT_OF_DISTRIBUTION",
    "SIGNALS",
    "TRAINING_CHECKPOINT",
    "TRAINING_SET",
    "AnnealingConfig",
    "ConvergenceConfig",
    "DataFormatConfig",
    "InferenceConfig",
    "NoiseProbeConfig",
    "OutOfDistributionConfig",
    "SignalTrainingConfig",
    "TrainingCheckpointConfig",
    "TrainingSetConfig",
]

# Data with a p-value below this count as out of the distribution of the simulations. One in a hundred targets
# from the distribution falls below it, so for many targets the warning comes only if there are more.
OOD_THRESHOLD = 0.01


@dataclass(frozen=True, kw_only=True)
class DataFormatConfig:
    """Limits for data that lie outside of the simulations, as networks see them."""

    margin: float = 0.1
    """Data may exceed the range of the simulations by this share of it. Beyond, they are moved to its edge,
    because networks are unpredictable there. Of 2,000 new sine curves of 50 points, 6 % leave the range of
    1,000 simulations, 0.3 % by more than 0.05 of it, and none by more than this."""
    largest: float = 1e6
    """Largest scaled number. The loss of a perceptron and its gradient are finite with data of up to 1e19,
    and not with 1e25, because squares have to fit single precision."""


@dataclass(frozen=True, kw_only=True)
class NoiseProbeConfig:
    """Tests that decide whether a noise function is called with many simulations at once."""

    n_probes: int = 8
    """Number of simulations that are compared, in 360 calls. Of eight laws, 4 and 8 simulations decide seven
    rightly, 2 decide five, and 16 decide six. With each, a level from the spread of the batch passes."""
    n_repeats: int = 40
    """Realisations of each simulation. The test recognised all eleven noise laws of the tests."""
    largest_deviation: float = 6.0
    """Largest difference in standard errors. Some 100 comparisons reach it by chance with negligible
    probability."""
    largest_ratio: float = 4.0
    """Largest ratio of two spreads, which are uncertain if tails are heavy. Of 40,000 pairs from 40 repeats
    each, none of normal noise exceeds 2.1, and 0.005, 0.5 and 4 % of Student-t noise with 5, 3 and 2 degrees
    of freedom exceed this."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetConfig:
    """Simulations that the training uses, and the blocks in which they are made."""

    n_sims: int = 1000
    """Simulations of a training, unless the user says how many. With 500, a perceptron knows 0.21 nats less
    about held-out parameters of a sine curve of 40 points, and with 2,000 it knows 0.31 more, and 0.03 more
    for a linear model (three parameters, seed 1)."""
    n_epochs: int = 100
    """Most epochs of a training, unless the user says how many. Early stopping ends those of the sine curve
    and of the linear model after 76 and 68. With 50, the sine curve gains 0.12 nats less; with 200, it gains
    0.05 more, and the linear model 0.01."""
    block: int = 500
    """Simulations between two commits to a store. A killed process loses at most these. Each block has its
    own random stream, so another number gives other simulations. HDF5 appends 80 blocks of rows of 800 bytes
    in 0.06 s."""
    most_in_memory: int = 2**30
    """Largest size in bytes of simulations that are read into memory. Larger ones are read in every epoch,
    which takes 1.1 to 1.2 times the processor time. Memory then no longer grows with the file (857 MiB for
    153 and for 765 MiB)."""
    most_for_scales: int = 4000
    """Simulations that give the scales, the components and the test for data out of distribution. Half of
    them give p-values down to 1 / 1001. The error of a scale is 1.1 % (2.5 % with 1,000, 0.5 % with 16,000),
    and 1.1 % of new data of ten numbers have p < 0.01 (1.1 and 0.9 %)."""
    most_held_out: int = 5000
    """Largest number of simulations for the validation loss, which every epoch computes. For a Gaussian
    posterior of five parameters its error is 0.020 nats. It is 0.031 with half and 0.013 with twice as
    many."""
    fewest: int = 100
    """Fewest usable simulations for a training: one batch, and ten held out, with which the validation loss
    of a Gaussian posterior of five parameters has an error of 0.5 nats."""
    most_lost: float = 0.5
    """Largest share of lost simulations. The rest follows the user's priors where none are lost, with a
    density that is too high by ln 2 = 0.69 nats if half are lost (0.29 for a quarter, 1.4 for three
    quarters)."""
    n_compared: int = 3
    """Number of given simulations that are compared with the simulator. Two independent numbers agree to a
    tenth of their spread in 6 % of cases, and three pairs of them all do in 0.02 %."""
    most_orders: int = 24
    """Number of orders of the columns that are tried: all orders of up to four parameters, in at most 72
    calls. All orders of five parameters would take 360."""
    most_for_spread: int = 1000
    """Simulations that give their spread, which is then known to 2 %, far better than the limits below
    require."""
    agreement: float = 1e-3
    """Two simulations are the same if they differ by less than this share of the spread of the simulations.
    Rounding changes noisy sine curves by 1.5e-7 of it in single precision, and 1.2e-3 in half precision."""
    disagreement: float = 0.1
    """Two simulations clearly differ if they differ by more than this share of the spread. Of 2,000 pairs of
    sine curves with 50 points, all differ by 0.40 and more at one of them."""


@dataclass(frozen=True, kw_only=True)
class TrainingCheckpointConfig:
    """Checkpoint of a training."""

    share: float = 0.02
    """Largest share of the time that the checkpoint takes. The ResNet-GRU with its
    moments has 4.6 MiB, which take 20 to 45 ms on a local disk, so that an interruption costs the epoch under
    way and at most two seconds more."""


@dataclass(frozen=True, kw_only=True)
class SignalTrainingConfig:
    """Training of recurrent and convolutional networks on series and images of many targets."""

    batch_size: int = 64
    """Simulations in one step. Half as many took 1.5 times the seconds for the same validation loss."""
    learning_rate: float = 6e-3
    """Largest learning rate of the schedule. For the ResNet-GRU on 12,800 sine waves, eight epochs reached a
    validation loss of -4.32 with 0.01 and of -3.15 with 0.003. But in a schedule of 30 epochs, the first six
    reached only 0.54 with 0.01, and -0.60 with 0.006."""


@dataclass(frozen=True, kw_only=True)
class AnnealingConfig:
    """End of a training for all targets that early stopping has ended before its learning rate had fallen."""

    n_epochs: int = 15
    """Most epochs, from the best networks so far; those before them count in the limit of the
    training. For slcp (1,000 simulations, seed 1), 8 and 30 epochs both gain 0.02 nats more than 15."""
    share: float = 0.1
    """Largest learning rate, in units of that of the training. Nats gained about held-out parameters of tasks
    of sbibm beyond one fit, for two seeds each: 0.22, 0 (gaussian_linear), 0.10, 0.07 (slcp), 0, 0.08
    (gaussian_mixture) and 0, 0 (two_moons) with 1,000 simulations; 0.07, 0.10 (gaussian_linear) and 0.16, 0
    (slcp) with 10,000."""


@dataclass(frozen=True, kw_only=True)
class ConvergenceConfig:
    """Test for a training that ends while the network is still learning."""

    last: float = 0.2
    """The test looks at this last share of the epochs. On sine curves, trainings of 4, 8, 16 and 32 epochs
    end at losses of 0.4, -1.2, -2.5 and -3.6. These fell by 0.1 to 0.2 in this share, so none is named, and
    by 0.3 to 1.1 in twice this share."""
    most_fall: float = 0.3
    """A warning is given if the validation loss falls by more than this, in nats, in these epochs. Trainings
    of a perceptron on sine curves and on a linear model (5, 10, 20 and 40 epochs each) fall by 0 to 0.17. One
    of the eight would be named with half the limit."""


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Draws and weights of a trained engine."""

    n_samples: int = 2000
    """Draws for each target, unless the user says how many. With an efficiency of 0.5, the error of log Z is
    then 0.022, and a mean is known to 0.032 standard deviations."""
    n_within_step: int = 16
    """Points at which a density is averaged over the range of one discrete value. If it falls like a logistic
    curve as wide as 0.5 (0.2) of the range, the error of its logarithm is 0.07 (0.15), and 0.14 (0.31) with 4
    points, 0.03 (0.07) with 64."""
    least_efficiency: float = 0.1
    """Below this efficiency, few distinct samples are blamed on the training, and a warning says so; above
    it, on few draws. With an efficiency of 0.1, 1,000 rows from 10,000 draws have 747 distinct ones, and 373
    from 1,000 draws; with 0.03, 598 and 254."""


@dataclass(frozen=True, kw_only=True)
class OutOfDistributionConfig:
    """Summary of the data that reveals data out of distribution."""

    fewest: int = 20
    """Fewest simulations for the test. Half of them give p-values down to 1 / 11, so that no target counts as
    out of distribution."""
    most_components: int = 32
    """Most principal components. With 1,000 simulations, a narrow bump is found in 68 % of sine curves and in
    31 % of spectra. With 16 components it is found in 13 and 5 %, and with 64 in 99 and 65 %. False alarms
    stay at 1 to 2 %."""
    share: float = 0.999
    """Share of the variance that the components hold. The rest is noise or novelty. In the same test, 0.99
    finds 13 and 31 %, and 0.9999 the same as this."""


DATA_FORMAT = DataFormatConfig()
NOISE_PROBE = NoiseProbeConfig()
TRAINING_SET, TRAINING_CHECKPOINT = TrainingSetConfig(), TrainingCheckpointConfig()
INFERENCE = InferenceConfig()
SIGNALS, ANNEALING, CONVERGENCE = SignalTrainingConfig(), AnnealingConfig(), ConvergenceConfig()
OUT_OF_DISTRIBUTION = OutOfDistributionConfig()
