"""The engine that is trained once for many targets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    *("CONVERGENCE", "DATA_FORMAT", "INFERENCE", "NOISE_PROBE", "OOD_THRESHOLD", "OUT_OF_DISTRIBUTION"),
    *("SIGNALS", "TRAINING_SET", "ConvergenceConfig", "SignalTrainingConfig"),
    *("DataFormatConfig", "InferenceConfig", "NoiseProbeConfig", "OutOfDistributionConfig"),
    "TrainingSetConfig",
]

# p-value below which data are taken to be out of the distribution of the simulations: of targets that are in
# it, one in a hundred would be named, and many targets are only warned of where more are than that.
OOD_THRESHOLD = 0.01


@dataclass(frozen=True, kw_only=True)
class DataFormatConfig:
    """Limits of data outside of the simulations, for what networks see of them."""

    margin: float = 0.1
    """Share of the range of the simulations by which data may exceed it before they are moved to its edge,
    because networks may do anything beyond. Not measured; the margin of the rounds."""
    largest: float = 1e6
    """Largest scaled number, so that single precision holds its square. Not measured."""


@dataclass(frozen=True, kw_only=True)
class NoiseProbeConfig:
    """Rules by which a noise function may be called with many simulations at once."""

    n_probes: int = 8
    """Simulations compared. Not measured: a probe costs 360 calls."""
    n_repeats: int = 40
    """Realisations of each. The eleven laws of the tests are all told right."""
    largest_deviation: float = 6.0
    """Standard errors of a difference: of some 100 comparisons none is as unlikely by chance."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetConfig:
    """Simulations that are learnt from, and the blocks in which they are made."""

    block: int = 500
    """Simulations between two commits to a store, which a killed process may lose; each block has a random
    stream of its own, so that another number gives other simulations. Not measured."""
    most_in_memory: int = 2**30
    """Bytes of simulations that are read whole from a store. Beyond, an epoch takes 1.1 to 1.2 times the
    processor time, and memory no longer grows with the file (857 MiB for 153 and for 765 MiB)."""
    most_for_scales: int = 4000
    """Simulations from which scales, components and the test for data out of distribution are learnt: half of
    them give p-values down to 1 / 1001. Not measured otherwise."""
    most_held_out: int = 5000
    """Most simulations for the validation loss, which is computed in every epoch. Not measured."""
    fewest: int = 100
    """Usable simulations without which there is no training: a batch and a few held out. Not measured."""
    most_lost: float = 0.5
    """Share of lost simulations beyond which the rest speaks for other priors than asked. Not measured."""
    n_compared: int = 3
    """Given simulations that are compared with the simulator. Not measured: three calls cost little."""
    most_orders: int = 24
    """Orders of the columns that are tried: all of up to four parameters. Not measured."""
    agreement: float = 1e-3
    """Share of the spread of the simulations below which two are the same. Not measured: single precision
    rounds by far less."""
    disagreement: float = 0.1
    """Share of that spread beyond which simulations are clearly others. Not measured."""


@dataclass(frozen=True, kw_only=True)
class SignalTrainingConfig:
    """Training of recurrent and convolutional networks on series and images of many targets."""

    batch_size: int = 64
    """Simulations of a step. Half as many took 1.5 times the seconds for the same validation loss."""
    learning_rate: float = 6e-3
    """Largest of the schedule. The ResNet-GRU on 12,800 sine waves: a validation loss of -4.32 after eight
    epochs with 0.01, and of -3.15 with 0.003; but of 30 epochs with 0.01 the first six reached 0.54 only,
    where 0.006 had -0.60."""


@dataclass(frozen=True, kw_only=True)
class ConvergenceConfig:
    """A training that ends while it is still learning."""

    last: float = 0.2
    """Share of the epochs that is looked at. Not measured."""
    most_fall: float = 0.3
    """Fall of the validation loss in these, in nats, beyond which it is told."""


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Draws and weights of a trained engine."""

    n_within_step: int = 16
    """Points at which a density is averaged over the range of a discrete value. Not measured."""
    least_efficiency: float = 0.1
    """Efficiency below which few distinct samples are the fault of the training, of which a warning tells,
    and not of few draws. Not measured."""


@dataclass(frozen=True, kw_only=True)
class OutOfDistributionConfig:
    """The summary of data by which those out of distribution are told."""

    most_components: int = 32
    """Principal components; of more, the covariance of 1,000 simulations would be noise. Not measured."""
    share: float = 0.999
    """Share of the variance that the components hold: what they leave is noise or novelty. Not measured."""


DATA_FORMAT = DataFormatConfig()
NOISE_PROBE = NoiseProbeConfig()
TRAINING_SET = TrainingSetConfig()
INFERENCE = InferenceConfig()
SIGNALS, CONVERGENCE = SignalTrainingConfig(), ConvergenceConfig()
OUT_OF_DISTRIBUTION = OutOfDistributionConfig()
