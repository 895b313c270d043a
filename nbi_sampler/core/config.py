"""Settings of every component: frozen dataclasses, validated where they are made; all defaults live here.

`build` turns what a user may write (a dictionary with the field names) into one of them and names the nearest
valid field when a key is unknown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal, TypeVar

import numpy as np

__all__ = [
    "OOD_THRESHOLD",
    "AttentionConfig",
    "GmmConfig",
    "JoinedConfig",
    "MafConfig",
    "MlpConfig",
    "NsfConfig",
    "PcaConfig",
    "SequenceConfig",
    "SnpeConfig",
    "TrainingConfig",
    "build",
    "nearest",
]

Config = TypeVar("Config")

# p-value below which data are taken to be out of the distribution of the simulations: of targets that are in
# it, one in a hundred would be named, and many targets are only warned of where more are than that.
OOD_THRESHOLD = 0.01


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint for an unknown name: the closest valid one, or all of them."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {close[0]!r}?" if close else f"valid: {', '.join(valid)}"


def build(kind: type[Config], settings: Mapping[str, Any], owner: str) -> Config:
    """Make a configuration from a dictionary.

    Parameters
    ----------
    kind : type
        One of the dataclasses of this module.
    settings : mapping of str to object
    owner : str
        The argument it belongs to, for messages.

    Raises
    ------
    ValueError
        For a key that is not a field.
    """
    valid = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in settings:
        if key not in valid:
            raise ValueError(f"{owner}: unknown setting {key!r}; {nearest(key, valid)}")
    return kind(**settings)


def _require(condition: bool, argument: str, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{argument}: expected {expected}, got {got!r}")


def _require_count(argument: str, value: object, minimum: int = 1) -> None:
    valid = isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= minimum
    _require(valid, argument, f"an integer of at least {minimum}", value)


@dataclass(frozen=True, kw_only=True)
class MafConfig:
    """Masked autoregressive flow: affine layers, then a mixture of ``n_mog`` Gaussians a coordinate."""

    flow_hidden: int = 64
    num_blocks: int = 2
    num_layers: int = 2
    n_mog: int = 8
    log_scale_bound: float = 3.0

    def __post_init__(self) -> None:
        _require_count("flow_hidden", self.flow_hidden)
        _require_count("num_blocks", self.num_blocks, minimum=0)
        _require_count("num_layers", self.num_layers)
        _require_count("n_mog", self.n_mog)
        _require(self.log_scale_bound > 0, "log_scale_bound", "a positive number", self.log_scale_bound)


@dataclass(frozen=True, kw_only=True)
class NsfConfig:
    """Neural spline flow (zuko): autoregressive rational-quadratic splines."""

    flow_hidden: int = 64
    num_blocks: int = 3
    num_layers: int = 2
    bins: int = 8

    def __post_init__(self) -> None:
        for name in ("flow_hidden", "num_blocks", "num_layers", "bins"):
            _require_count(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class GmmConfig:
    """Mixture density network (zuko): a mixture of full-covariance Gaussians."""

    flow_hidden: int = 64
    num_layers: int = 2
    n_mog: int = 8

    def __post_init__(self) -> None:
        for name in ("flow_hidden", "num_layers", "n_mog"):
            _require_count(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class PcaConfig:
    """Principal components of the noiseless simulations, then a small perceptron."""

    n_components: int = 64
    minimum_signal: float = 0.01
    dim_out: int = 32
    hidden: int = 128

    def __post_init__(self) -> None:
        for name in ("n_components", "dim_out", "hidden"):
            _require_count(name, getattr(self, name))
        _require(self.minimum_signal > 0, "minimum_signal", "a positive number", self.minimum_signal)


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Perceptron on the whole data vector."""

    dim_out: int = 32
    hidden: int = 128
    depth: int = 2

    def __post_init__(self) -> None:
        for name in ("dim_out", "hidden", "depth"):
            _require_count(name, getattr(self, name))


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
            _require_count(name, getattr(self, name))
        for name, minimum in (("dim_in", 1), ("dim_out", 1), ("depth", 0)):
            if getattr(self, name) is not None:
                _require_count(name, getattr(self, name), minimum)


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
            _require_count(name, getattr(self, name))
        if self.dim_out is not None:
            _require_count("dim_out", self.dim_out)
        _require(
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
        _require(
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
            _require(valid, "parts", 'dictionaries with a "shape" of (n_channels, length)', part)


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
            _require_count(name, getattr(self, name))
        _require_count("n_atoms", self.n_atoms, minimum=2)
        _require(
            0 < self.validation_share < 1, "validation_share", "a share in (0, 1)", self.validation_share
        )
        _require(self.learning_rate > 0, "learning_rate", "a positive number", self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class SnpeConfig:
    """A run of SNPE-IS: what to reach, what it may cost, and how the rounds adapt."""

    n_effective: float = 5000
    n_rounds: int = 10
    n_sims: int | Literal["auto"] = "auto"
    loss: str = "nll"
    refine: bool = True
    max_likelihood_calls: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.n_effective, Real) and not isinstance(self.n_effective, bool)
        _require(number and self.n_effective > 0, "n_effective", "a positive number", self.n_effective)
        _require_count("n_rounds", self.n_rounds)
        if self.n_sims != "auto":
            _require_count("n_sims", self.n_sims, minimum=100)
        _require(isinstance(self.loss, str), "loss", "the name of a loss, such as 'nll' or 'apt'", self.loss)
        _require(isinstance(self.refine, bool), "refine", "True or False", self.refine)
        if self.max_likelihood_calls is not None:
            _require_count("max_likelihood_calls", self.max_likelihood_calls, minimum=100)
        if self.seed is not None:
            _require_count("seed", self.seed, minimum=0)
