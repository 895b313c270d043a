"""Settings of flows, featurizers and their training, which users may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbi_sampler.core.config.building import require, require_count, require_counts

__all__ = [
    "AttentionConfig",
    "EnsembleConfig",
    "GmmConfig",
    "ImageConfig",
    "JoinedConfig",
    "MafConfig",
    "MlpConfig",
    "NsfConfig",
    "PcaConfig",
    "SequenceConfig",
    "TrainingConfig",
]


@dataclass(frozen=True, kw_only=True)
class MafConfig:
    """Masked autoregressive flow: affine layers, then ``n_mog`` Gaussians for each coordinate.

    The figures are nats gained about held-out parameters beyond the defaults: 1,000 simulations, 20 epochs
    and a perceptron, for a linear model of 40 numbers and for slcp (seed 1). With seed 2, the defaults gain
    0.01 nats more and 0.27 fewer.
    """

    flow_hidden: int = 64
    """Width of the hidden layers. With 32 and 128: -0.02, 0.02 (linear model) and 0.05, -0.11 (slcp)."""
    num_blocks: int = 2
    """Affine layers. With 1 and 4: -0.06, 0.01 (linear model) and 0.01, 0.02 (slcp)."""
    num_layers: int = 2
    """Hidden layers of each network. With 1 and 4: 0.01, -0.09 (linear model) and -0.13, 0.10 (slcp)."""
    n_mog: int = 8
    """Gaussians for each coordinate. With 4 and 16: -0.01, 0 (linear model) and -0.22, 0.05 (slcp)."""
    log_scale_bound: float = 3.0
    """Largest logarithm of a scale. With 1.5 and 6: 0, 0 (linear model) and 0.06, 0 (slcp)."""

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_layers", "n_mog")
        require_count("num_blocks", self.num_blocks, minimum=0)
        require(self.log_scale_bound > 0, "log_scale_bound", "a positive number", self.log_scale_bound)


@dataclass(frozen=True, kw_only=True)
class NsfConfig:
    """Neural spline flow (zuko): autoregressive rational-quadratic splines.

    Instead of `MafConfig`, with 10,000 simulations and one seed, it gains -0.11 (gaussian_linear) and 0.11
    (slcp) nats. The figures of the fields are nats gained about held-out parameters of slcp beyond the
    defaults (500 simulations, 10 epochs, seed 1). With seed 2, the defaults gain 0.13 more.
    """

    flow_hidden: int = 64
    """Width of the hidden layers. With 32 and 128: -0.02, 0.25."""
    num_blocks: int = 3
    """Layers of splines. With 2 and 6: -0.05, 0.10."""
    num_layers: int = 2
    """Hidden layers of each network. With 1 and 4: 0.23, -0.14."""
    bins: int = 8
    """Pieces of each spline. With 4 and 16: -0.01, -0.10."""

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_blocks", "num_layers", "bins")


@dataclass(frozen=True, kw_only=True)
class GmmConfig:
    """Mixture density network (zuko): a mixture of full-covariance Gaussians.

    The figures are those of slcp, as for `MafConfig`.
    """

    flow_hidden: int = 64
    """Width of the hidden layers. With 32 and 128: -0.26, 0.24."""
    num_layers: int = 2
    """Hidden layers. With 1 and 4: 0.08, -0.23."""
    n_mog: int = 8
    """Gaussians. With 4 and 16: 0.27, -0.06."""

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_layers", "n_mog")


@dataclass(frozen=True, kw_only=True)
class PcaConfig:
    """Principal components of the noiseless simulations, then a small perceptron.

    The figures are nats gained about held-out parameters beyond the defaults, for a sine curve of 40 points
    (1,000 simulations, 20 epochs, two seeds).
    """

    n_components: int = 64
    """Most components. With 5: -0.04. The data have at most 40."""
    minimum_signal: float = 0.01
    """Smallest variance of the signal along a component, in units of the noise. With 0.005, 0.02 and 0.1: 0,
    0, 0.53."""
    dim_out: int = 32
    """Number of features. With 16 and 64: -0.02, 0.08."""
    hidden: int = 128
    """Width of the hidden layers. With 64 and 256: -0.30, 0.36."""

    def __post_init__(self) -> None:
        require_counts(self, "n_components", "dim_out", "hidden")
        require(self.minimum_signal > 0, "minimum_signal", "a positive number", self.minimum_signal)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Perceptron on the whole data vector.

    The size does not follow the number of simulations. Nats gained beyond these defaults, 10,000 simulations,
    for gaussian_linear and slcp: flow and perceptron twice as wide -0.03, 0.02; a third hidden layer and 64
    features in addition -0.12, 0.25; four affine layers -0.02, 0.02; splines -0.11, 0.11; batches of 128
    instead of 256 -0.07, 0.07, and of 64 -0.07, -0.07. One seed; the standard errors are 0.05 to 0.07. The
    figures of the fields are those of 1,000 simulations, as for `MafConfig`.
    """

    dim_out: int = 32
    """Number of features. With 16 and 64: -0.01, 0 (linear model) and -0.03, 0.08 (slcp)."""
    hidden: int = 128
    """Width of the hidden layers. With 64 and 256: -0.18, 0.01 (linear model) and -0.23, 0.21 (slcp)."""
    depth: int = 2
    """Hidden layers. With 1 and 4: -0.03, -1.12 (linear model) and 0.08, -0.68 (slcp)."""

    def __post_init__(self) -> None:
        require_counts(self, "dim_out", "hidden", "depth")


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Residual convolutions and a recurrent network on sequences.

    The figures are nats gained about held-out parameters beyond the defaults: a ResNet-GRU, a sine curve of
    40 points, 500 simulations and 10 epochs (seed 1).
    """

    dim_in: int | None = None
    """Number of channels; if it is None, the data give it."""
    dim_out: int | None = None
    """Number of features; if it is None, it follows from the number of parameters (`FeaturesConfig`). With 32
    and 128 instead of 64: -0.35, 0.20."""
    depth: int | None = None
    """Number of residual stages, each of which halves the length and doubles the width. If it is None, it
    follows from the length (`featurizers.base.number_of_stages`). With 3 and 5 instead of 4: -0.33, 0.22."""
    dim_conv: int = 16
    """Width of the first stage. With 8 and 32: -0.03, -0.17."""
    dim_conv_max: int = 128
    """Largest width of a stage. With 64: 0.24."""
    n_gru: int = 1
    """Recurrent layers. With 2: 0."""
    linear_trunk: bool = True
    """If it is True, signals pass from stage to stage by linear maps alone, and averages halve the length
    before the convolutions. If not, as in older files, an activation follows each sum, and maxima halve the
    length after the convolutions. For a ResNet-GRU of depth 3 on 12,800 sine waves of 50 points, eight epochs
    reach a validation loss of -4.32 instead of -2.12 nats, in 0.73 of the time."""

    def __post_init__(self) -> None:
        require_counts(self, "dim_conv", "dim_conv_max", "n_gru")
        for name, minimum in (("dim_in", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), minimum)


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Attention over the points of a time series, at any times.

    The figures are nats gained about held-out parameters beyond the defaults: a sine curve of 40 points, 500
    simulations and 10 epochs (seed 1).
    """

    channels: tuple[str, ...] | None = None
    """Role of each channel of the data: any number of ``"value"``, at most as many of ``"uncertainty"`` or
    its logarithm ``"log_uncertainty"``, and at most one of ``"time"``, ``"band"`` and ``"mask"`` (1 if the
    point is present). None means that all channels are values at equally spaced points."""
    n_bands: int = 1
    """Number of bands, which are 0, 1, ... in their channel."""
    dim_out: int | None = None
    """Number of features; if it is None, it follows from the number of parameters. With 32 and 128 instead of
    64: -0.78, 0.32."""
    dim_token: int = 64
    """Numbers in a token. With 32 and 128: -0.05, 0.30."""
    depth: int = 1
    """Blocks of attention. With 2: 0.16."""
    n_heads: int = 4
    """Heads of each block. With 2 and 8: 0.09, 0.33."""
    n_frequencies: int = 16
    """Frequencies of the waves that describe a time. With 8 and 32: 0.01, 0.37."""

    def __post_init__(self) -> None:
        require_counts(self, "n_bands", "dim_token", "depth", "n_heads", "n_frequencies")
        if self.dim_out is not None:
            require_count("dim_out", self.dim_out)
        divides = self.dim_token % self.n_heads == 0
        require(divides, "dim_token", f"a multiple of n_heads={self.n_heads}", self.dim_token)
        if self.channels is not None:
            object.__setattr__(self, "channels", tuple(self.channels))
            self._check_channels(self.channels)

    @staticmethod
    def _check_channels(channels: tuple[str, ...]) -> None:
        roles = ("value", "uncertainty", "log_uncertainty", "time", "band", "mask")
        counts = {role: channels.count(role) for role in roles}
        n_uncertainties = counts["uncertainty"] + counts["log_uncertainty"]
        valid = sum(counts.values()) == len(channels) and n_uncertainties <= counts["value"] >= 1
        require(
            valid and max(counts[role] for role in ("time", "band", "mask")) <= 1,
            "channels",
            f"names among {', '.join(roles)}, with at least one value, and the last three at most once",
            channels,
        )


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Residual convolutions on images.

    The figures are nats gained about held-out parameters beyond the defaults: a round source in images of
    16 x 16 pixels, 500 simulations and 10 epochs (seed 1).
    """

    height: int | None = None
    width: int | None = None
    """Size in pixels. If they are None, the data give them, or the image is a square."""
    dim_out: int | None = None
    """Number of features; if it is None, it follows from the number of parameters. With 32 and 128 instead of
    64: -0.05, -0.06."""
    depth: int | None = None
    """Number of stages, each of which halves sides of 8 pixels or more and has twice as many channels as the
    one before. If it is None, sides are left with 4 to 7 pixels."""
    dim_conv: int = 8
    """Channels of the first stage. With 4 and 16: -0.21, -0.01."""
    dim_conv_max: int = 64
    """Most channels of a stage. The images have the same digits with 16 and 32, because their stages are
    narrower."""

    def __post_init__(self) -> None:
        require_counts(self, "dim_conv", "dim_conv_max")
        for name, minimum in (("height", 1), ("width", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), minimum)


@dataclass(frozen=True, kw_only=True)
class JoinedConfig:
    """Several inputs in a row."""

    parts: tuple[Mapping[str, Any], ...] = ()
    """Of each input its ``"shape"`` and the settings of its featurizer."""

    def __post_init__(self) -> None:
        for part in self.parts:
            shape = part.get("shape") if isinstance(part, Mapping) else None
            valid = isinstance(shape, Sequence) and len(shape) in (2, 3)
            expected = 'dictionaries with a "shape" of (n_channels, length) or (n_channels, height, width)'
            require(valid, "parts", expected, part)


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Networks that were trained apart from each other."""

    members: tuple[Mapping[str, Any], ...] = ()
    """Settings of each network."""

    def __post_init__(self) -> None:
        valid = all(isinstance(member, Mapping) for member in self.members)
        require(valid, "members", "dictionaries of settings", self.members)

    def require_members(self) -> None:
        """Raise a ValueError if there are none."""
        require(len(self.members) > 0, "members", "at least one dictionary of settings", self.members)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One fit of a network: AdamW, one-cycle schedule, early stopping on held-out simulations.

    The figures are nats gained about held-out parameters beyond the defaults, as for `MafConfig`: 1,000
    simulations, 20 epochs and a perceptron, for a linear model of 40 numbers and for slcp (seed 1).
    """

    learning_rate: float = 2e-3
    """Largest rate of the schedule. With 0.001 and 0.004: -0.16, 0 (linear model) and -0.38, 0.01 (slcp)."""
    weight_decay: float = 1e-4
    """Decay of the weights in one step at a rate of one. Half and twice as much change less than 1e-4
    nats."""
    n_epochs: int = 60
    """Most epochs. Of 1,000 simulations, 60 instead of 20 gain 0.07 nats more for the linear model and 0.23
    for slcp."""
    patience: int = 15
    """Epochs without progress that end the fit. With 8 and 30, in at most 60 epochs: 0.01, 0 (linear model)
    and 0, 0 (slcp). Of slcp, the fit with 8 takes 0.7 of the seconds, and with 30 it takes 1.6 times as
    many."""
    batch_size: int = 256
    """Most simulations in a step. It acts with more than 5,700 simulations; of 10,000, see `MlpConfig`."""
    n_batches: int = 20
    """Steps of an epoch with few simulations, whose batches are then smaller. With 10 and 40: -0.07, 0.02
    (linear model) and -0.26, 0.01 (slcp)."""
    validation_share: float = 0.1
    """Share of the simulations that is held out. With 0.05 and 0.2: -0.01, -0.04 (linear model) and 0.11,
    -0.19 (slcp)."""
    gradient_norm: float = 5.0
    """Largest norm of the gradient. With 2.5 and 10: 0, 0 (linear model) and -0.04, 0.02 (slcp)."""
    n_atoms: int = 10
    """Parameter sets among which ``"apt"`` looks for the true one. A step costs as many evaluations of the
    flow: linear, sine_demo and microlensing take 2.8 to 5.2 times the time of ``"nll"`` (docs/losses.md).
    Only 10 was measured."""
    n_threads: int | None = None
    """Threads of torch. None leaves the choice to `networks.devices`. It changes rounding alone."""

    def __post_init__(self) -> None:
        require_counts(self, "n_epochs", "patience", "batch_size", "n_batches")
        require_count("n_atoms", self.n_atoms, minimum=2)
        require(0 < self.validation_share < 1, "validation_share", "a share in (0, 1)", self.validation_share)
        require(self.learning_rate > 0, "learning_rate", "a positive number", self.learning_rate)
