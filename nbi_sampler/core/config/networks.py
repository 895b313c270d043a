"""Flows, featurizers and their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbi_sampler.core.config.building import require, require_count

__all__ = [
    "AttentionConfig",
    "GmmConfig",
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
    """Masked autoregressive flow: affine layers, then a mixture of ``n_mog`` Gaussians a coordinate."""

    flow_hidden: int = 64
    num_blocks: int = 2
    num_layers: int = 2
    n_mog: int = 8
    log_scale_bound: float = 3.0

    def __post_init__(self) -> None:
        require_count("flow_hidden", self.flow_hidden)
        require_count("num_blocks", self.num_blocks, minimum=0)
        require_count("num_layers", self.num_layers)
        require_count("n_mog", self.n_mog)
        require(self.log_scale_bound > 0, "log_scale_bound", "a positive number", self.log_scale_bound)


@dataclass(frozen=True, kw_only=True)
class NsfConfig:
    """Neural spline flow (zuko): autoregressive rational-quadratic splines."""

    flow_hidden: int = 64
    num_blocks: int = 3
    num_layers: int = 2
    bins: int = 8

    def __post_init__(self) -> None:
        for name in ("flow_hidden", "num_blocks", "num_layers", "bins"):
            require_count(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class GmmConfig:
    """Mixture density network (zuko): a mixture of full-covariance Gaussians."""

    flow_hidden: int = 64
    num_layers: int = 2
    n_mog: int = 8

    def __post_init__(self) -> None:
        for name in ("flow_hidden", "num_layers", "n_mog"):
            require_count(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class PcaConfig:
    """Principal components of the noiseless simulations, then a small perceptron."""

    n_components: int = 64
    minimum_signal: float = 0.01
    dim_out: int = 32
    hidden: int = 128

    def __post_init__(self) -> None:
        for name in ("n_components", "dim_out", "hidden"):
            require_count(name, getattr(self, name))
        require(self.minimum_signal > 0, "minimum_signal", "a positive number", self.minimum_signal)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Perceptron on the whole data vector."""

    dim_out: int = 32
    hidden: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        for name in ("dim_out", "hidden", "depth"):
            require_count(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Residual convolutions and recurrence on sequences.

    ``dim_in`` is the number of channels (taken from the data when None); each of the ``depth`` residual
    stages halves the length and doubles the width from ``dim_conv`` up to ``dim_conv_max``. ``dim_out`` and
    ``depth`` follow the number of parameters and the length when None (`featurizers.sizes`).
    """

    dim_in: int | None = None
    dim_out: int | None = None
    depth: int | None = None
    dim_conv: int = 16
    dim_conv_max: int = 128
    n_gru: int = 1

    def __post_init__(self) -> None:
        for name in ("dim_conv", "dim_conv_max", "n_gru"):
            require_count(name, getattr(self, name))
        for name, minimum in (("dim_in", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), minimum)


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Attention over the points of a series, whatever their times.

    ``channels`` names what each channel of the data is: any number of ``"value"``, as many or fewer of
    ``"uncertainty"`` or its logarithm ``"log_uncertainty"``, and at most one of ``"time"``, ``"band"`` (0, 1,
    ... of ``n_bands``) and ``"mask"`` (1 where the point is present). When None all are values at equal
    distances. ``dim_out`` follows the number of parameters when None.
    """

    channels: tuple[str, ...] | None = None
    n_bands: int = 1
    dim_out: int | None = None
    dim_token: int = 64
    depth: int = 1
    n_heads: int = 4
    n_frequencies: int = 16

    def __post_init__(self) -> None:
        for name in ("n_bands", "dim_token", "depth", "n_heads", "n_frequencies"):
            require_count(name, getattr(self, name))
        if self.dim_out is not None:
            require_count("dim_out", self.dim_out)
        require(
            self.dim_token % self.n_heads == 0,
            "dim_token",
            f"a multiple of n_heads={self.n_heads}",
            self.dim_token,
        )
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
            f"names among {', '.join(roles)}, one value at least and the last three once",
            channels,
        )


@dataclass(frozen=True, kw_only=True)
class JoinedConfig:
    """Several inputs one after the other: for each its ``"shape"`` and its featurizer's settings."""

    parts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for part in self.parts:
            shape = part.get("shape") if isinstance(part, Mapping) else None
            valid = isinstance(shape, Sequence) and len(shape) == 2
            require(valid, "parts", 'dictionaries with a "shape" of (n_channels, length)', part)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One fit of a network: AdamW, one-cycle schedule, early stopping on a held-out share."""

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    n_epochs: int = 60
    patience: int = 15
    batch_size: int = 256
    validation_share: float = 0.1
    gradient_norm: float = 5.0
    n_atoms: int = 10
    n_threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("n_epochs", "patience", "batch_size"):
            require_count(name, getattr(self, name))
        require_count("n_atoms", self.n_atoms, minimum=2)
        require(0 < self.validation_share < 1, "validation_share", "a share in (0, 1)", self.validation_share)
        require(self.learning_rate > 0, "learning_rate", "a positive number", self.learning_rate)
