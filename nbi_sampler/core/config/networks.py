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
    """Masked autoregressive flow: affine layers, then ``n_mog`` Gaussians for each coordinate."""

    flow_hidden: int = 64
    num_blocks: int = 2
    num_layers: int = 2
    n_mog: int = 8
    log_scale_bound: float = 3.0

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_layers", "n_mog")
        require_count("num_blocks", self.num_blocks, minimum=0)
        require(self.log_scale_bound > 0, "log_scale_bound", "a positive number", self.log_scale_bound)


@dataclass(frozen=True, kw_only=True)
class NsfConfig:
    """Neural spline flow (zuko): autoregressive rational-quadratic splines."""

    flow_hidden: int = 64
    num_blocks: int = 3
    num_layers: int = 2
    bins: int = 8

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_blocks", "num_layers", "bins")


@dataclass(frozen=True, kw_only=True)
class GmmConfig:
    """Mixture density network (zuko): a mixture of full-covariance Gaussians."""

    flow_hidden: int = 64
    num_layers: int = 2
    n_mog: int = 8

    def __post_init__(self) -> None:
        require_counts(self, "flow_hidden", "num_layers", "n_mog")


@dataclass(frozen=True, kw_only=True)
class PcaConfig:
    """Principal components of the noiseless simulations, then a small perceptron."""

    n_components: int = 64
    minimum_signal: float = 0.01
    dim_out: int = 32
    hidden: int = 128

    def __post_init__(self) -> None:
        require_counts(self, "n_components", "dim_out", "hidden")
        require(self.minimum_signal > 0, "minimum_signal", "a positive number", self.minimum_signal)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Perceptron on the whole data vector.

    The size does not follow the number of simulations. Nats gained beyond these defaults, 10,000 simulations,
    for gaussian_linear and slcp: flow and perceptron twice as wide -0.03, 0.02; a third hidden layer and 64
    features in addition -0.12, 0.25; four affine layers -0.02, 0.02; splines -0.11, 0.11; batches of 128
    instead of 256 -0.07, 0.07, and of 64 -0.07, -0.07. One seed; the standard errors are 0.05 to 0.07.
    """

    dim_out: int = 32
    hidden: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        require_counts(self, "dim_out", "hidden", "depth")


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Residual convolutions and a recurrent network on sequences.

    ``dim_in`` is the number of channels; if it is None, the data give it. Each of the ``depth`` residual
    stages halves the length and doubles the width, from ``dim_conv`` up to ``dim_conv_max``. If ``dim_out``
    and ``depth`` are None, they follow from the number of parameters and the length (`featurizers.sizes`).

    With ``linear_trunk``, signals pass from stage to stage by linear maps alone, and averages halve the
    length before the convolutions. Without it, as in older files, an activation follows each sum, and maxima
    halve the length after the convolutions. For a ResNet-GRU of depth 3 on 12,800 sine waves of 50 points,
    eight epochs reach a validation loss of -4.32 instead of -2.12 nats, in 0.73 of the time.
    """

    dim_in: int | None = None
    dim_out: int | None = None
    depth: int | None = None
    dim_conv: int = 16
    dim_conv_max: int = 128
    n_gru: int = 1
    linear_trunk: bool = True

    def __post_init__(self) -> None:
        require_counts(self, "dim_conv", "dim_conv_max", "n_gru")
        for name, minimum in (("dim_in", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), minimum)


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Attention over the points of a time series, at any times.

    ``channels`` says what each channel of the data is: any number of ``"value"``, at most as many of
    ``"uncertainty"`` or its logarithm ``"log_uncertainty"``, and at most one of ``"time"``, ``"band"`` (0, 1,
    ... of ``n_bands``) and ``"mask"`` (1 if the point is present). None means that all channels are values at
    equally spaced points. If ``dim_out`` is None, it follows from the number of parameters.
    """

    channels: tuple[str, ...] | None = None
    n_bands: int = 1
    dim_out: int | None = None
    dim_token: int = 64
    depth: int = 1
    n_heads: int = 4
    n_frequencies: int = 16

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

    If height and width are None, the data give them, or the image is a square. The first stage has
    ``dim_conv`` channels, and each later stage has twice as many as the one before, up to ``dim_conv_max``.
    If ``dim_out`` and ``depth`` are None, they follow from the number of parameters and the size of the
    images.
    """

    height: int | None = None
    width: int | None = None
    dim_out: int | None = None
    depth: int | None = None
    dim_conv: int = 8
    dim_conv_max: int = 64

    def __post_init__(self) -> None:
        require_counts(self, "dim_conv", "dim_conv_max")
        for name, minimum in (("height", 1), ("width", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), minimum)


@dataclass(frozen=True, kw_only=True)
class JoinedConfig:
    """Several inputs in a row: each has a ``"shape"`` and the settings of its featurizer."""

    parts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for part in self.parts:
            shape = part.get("shape") if isinstance(part, Mapping) else None
            valid = isinstance(shape, Sequence) and len(shape) in (2, 3)
            expected = 'dictionaries with a "shape" of (n_channels, length) or (n_channels, height, width)'
            require(valid, "parts", expected, part)


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Networks that were trained apart from each other: the settings of each."""

    members: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        valid = all(isinstance(member, Mapping) for member in self.members)
        require(valid, "members", "dictionaries of settings", self.members)

    def require_members(self) -> None:
        """Raise a ValueError if there are none."""
        require(len(self.members) > 0, "members", "at least one dictionary of settings", self.members)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One fit of a network: AdamW, one-cycle schedule, early stopping on held-out simulations.

    With few simulations, an epoch has ``n_batches``, which are then smaller than ``batch_size``.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    n_epochs: int = 60
    patience: int = 15
    batch_size: int = 256
    n_batches: int = 20
    validation_share: float = 0.1
    gradient_norm: float = 5.0
    n_atoms: int = 10
    n_threads: int | None = None

    def __post_init__(self) -> None:
        require_counts(self, "n_epochs", "patience", "batch_size", "n_batches")
        require_count("n_atoms", self.n_atoms, minimum=2)
        require(0 < self.validation_share < 1, "validation_share", "a share in (0, 1)", self.validation_share)
        require(self.learning_rate > 0, "learning_rate", "a positive number", self.learning_rate)
