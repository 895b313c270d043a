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
    because networks are unpredictable there. Not measured: it is the margin of the rounds."""
    largest: float = 1e6
    """Largest scaled number. Its square still fits single precision. Not measured."""


@dataclass(frozen=True, kw_only=True)
class NoiseProbeConfig:
    """Tests that decide whether a noise function is called with many simulations at once."""

    n_probes: int = 8
    """Number of simulations that are compared. Not measured: a test costs 360 calls."""
    n_repeats: int = 40
    """Realisations of each simulation. The test recognised all eleven noise laws of the tests."""
    largest_deviation: float = 6.0
    """Largest difference in standard errors. Some 100 comparisons reach it by chance with negligible
    probability."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetConfig:
    """Simulations that the training uses, and the blocks in which they are made."""

    block: int = 500
    """Simulations between two commits to a store. A killed process loses at most these. Each block has its
    own random stream, so another number gives other simulations. Not measured."""
    most_in_memory: int = 2**30
    """Largest size in bytes of simulations that are read into memory. Larger ones are read in every epoch,
    which takes 1.1 to 1.2 times the processor time. Memory then no longer grows with the file (857 MiB for
    153 and for 765 MiB)."""
    most_for_scales: int = 4000
    """Simulations that give the scales, the components and the test for data out of distribution. Half of
    them give p-values down to 1 / 1001. Otherwise not measured."""
    most_held_out: int = 5000
    """Largest number of simulations for the validation loss, which every epoch computes. Not measured."""
    fewest: int = 100
    """Fewest usable simulations for a training: one batch and a few held out. Not measured."""
    most_lost: float = 0.5
    """Largest share of lost simulations. If more are lost, the rest follows other priors than the user's. Not
    measured."""
    n_compared: int = 3
    """Number of given simulations that are compared with the simulator. Not measured: three calls cost
    little."""
    most_orders: int = 24
    """Number of orders of the columns that are tried: all orders of up to four parameters. Not measured."""
    agreement: float = 1e-3
    """Two simulations are the same if they differ by less than this share of the spread of the simulations.
    Not measured: rounding in single precision is far smaller."""
    disagreement: float = 0.1
    """Two simulations clearly differ if they differ by more than this share of the spread. Not measured."""


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
    """Most epochs, from the best networks so far; those before them count in the limit of the training."""
    share: float = 0.1
    """Largest learning rate, in units of that of the training. Nats gained about held-out parameters of tasks
    of sbibm beyond one fit, for two seeds each: 0.22, 0 (gaussian_linear), 0.10, 0.07 (slcp), 0, 0.08
    (gaussian_mixture) and 0, 0 (two_moons) with 1,000 simulations; 0.07, 0.10 (gaussian_linear) and 0.16, 0
    (slcp) with 10,000."""


@dataclass(frozen=True, kw_only=True)
class ConvergenceConfig:
    """Test for a training that ends while the network is still learning."""

    last: float = 0.2
    """The test looks at this last share of the epochs. Not measured."""
    most_fall: float = 0.3
    """A warning is given if the validation loss falls by more than this, in nats, in these epochs."""


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Draws and weights of a trained engine."""

    n_within_step: int = 16
    """Points at which a density is averaged over the range of one discrete value. Not measured."""
    least_efficiency: float = 0.1
    """Below this efficiency, few distinct samples are blamed on the training, and a warning says so; above
    it, on few draws. Not measured."""


@dataclass(frozen=True, kw_only=True)
class OutOfDistributionConfig:
    """Summary of the data that reveals data out of distribution."""

    most_components: int = 32
    """Most principal components. The covariance of more would be noise with 1,000 simulations. Not
    measured."""
    share: float = 0.999
    """Share of the variance that the components hold. The rest is noise or novelty. Not measured."""


DATA_FORMAT = DataFormatConfig()
NOISE_PROBE = NoiseProbeConfig()
TRAINING_SET, TRAINING_CHECKPOINT = TrainingSetConfig(), TrainingCheckpointConfig()
INFERENCE = InferenceConfig()
SIGNALS, ANNEALING, CONVERGENCE = SignalTrainingConfig(), AnnealingConfig(), ConvergenceConfig()
OUT_OF_DISTRIBUTION = OutOfDistributionConfig()
