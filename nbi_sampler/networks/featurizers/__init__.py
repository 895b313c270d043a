"""Networks that turn data into features, chosen by name, by configuration or as a user's module.

The names are those of the package and of plugins (`hookspecs.featurizers`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from nbi_sampler.core.config import (
    FEATURES,
    AttentionConfig,
    EnsembleConfig,
    ImageConfig,
    JoinedConfig,
    MlpConfig,
    PcaConfig,
    SequenceConfig,
    build,
)
from nbi_sampler.networks.featurizers.attention import AttentionFeaturizer
from nbi_sampler.networks.featurizers.base import (
    Featurizer,
    SequenceInputs,
    SimulatedData,
    perceptron_featurizer,
)
from nbi_sampler.networks.featurizers.ensemble import EnsembleFeaturizer
from nbi_sampler.networks.featurizers.image import ImageFeaturizer
from nbi_sampler.networks.featurizers.joined import JoinedFeaturizer
from nbi_sampler.networks.featurizers.pca import PrincipalComponents
from nbi_sampler.networks.featurizers.sequence import sequence_featurizer
from nbi_sampler.plugins import Registry

__all__ = [
    "FEATURIZERS",
    "EnsembleFeaturizer",
    "Featurizer",
    "FeaturizerKind",
    "SimulatedData",
    "automatic_featurizer",
    "featurizer_factory",
]

FeaturizerFactory = Callable[[tuple[int, int], int], Featurizer]


class FeaturizerKind(NamedTuple):
    """A featurizer with a name: its settings and ``make(shape, n_params, settings)``."""

    settings: type[Any]
    make: Callable[..., Featurizer]


def _joined(shape: tuple[int, int], n_params: int, config: JoinedConfig) -> JoinedFeaturizer:
    """Featurizers of the parts, if the parts cover the data."""
    sizes = [math.prod(part["shape"]) for part in config.parts]
    if not sizes or sum(sizes) != shape[0] * shape[1]:
        raise ValueError(
            f"featurizer: the shapes of its parts hold {sum(sizes)} numbers, but the data hold "
            f"{shape[0] * shape[1]}; give a part for every input"
        )
    parts, shapes = [], []
    for settings in config.parts:
        n_channels, *sides = map(int, settings["shape"])
        shapes.append((n_channels, math.prod(sides)))
        own = {key: value for key, value in settings.items() if key != "shape"}
        if own.get("type") == "resnet2d" and len(sides) == 2:
            own = {"height": sides[0], "width": sides[1], **own}
        parts.append(featurizer_factory(own)(shapes[-1], n_params))
    return JoinedFeaturizer(parts, shapes)


def _ensemble(shape: tuple[int, int], n_params: int, config: EnsembleConfig) -> EnsembleFeaturizer:
    config.require_members()
    return EnsembleFeaturizer([featurizer_factory(each)(shape, n_params) for each in config.members], shape)


_OWN = {
    "pca": FeaturizerKind(PcaConfig, PrincipalComponents),
    "svd": FeaturizerKind(PcaConfig, PrincipalComponents),
    "mlp": FeaturizerKind(MlpConfig, perceptron_featurizer),
    "resnet-gru": FeaturizerKind(SequenceConfig, partial(sequence_featurizer, "resnet-gru")),
    "resnet": FeaturizerKind(SequenceConfig, partial(sequence_featurizer, "resnet")),
    "gru": FeaturizerKind(SequenceConfig, partial(sequence_featurizer, "gru")),
    "attention": FeaturizerKind(AttentionConfig, AttentionFeaturizer),
    "resnet2d": FeaturizerKind(ImageConfig, ImageFeaturizer),
    "joined": FeaturizerKind(JoinedConfig, _joined),
    "ensemble": FeaturizerKind(EnsembleConfig, _ensemble),
}
FEATURIZERS = Registry("featurizers", "featurizer", FeaturizerKind, _OWN)


def automatic_featurizer(
    roles: Sequence[str] | None = None, shape: Sequence[int] = (), is_image: bool = False
) -> str:
    """Name of the featurizer that ``"auto"`` selects.

    Parameters
    ----------
    roles : sequence of str, optional
        Role of each row of the data of many targets. Attention is selected if points may be missing or their
        times differ, otherwise a perceptron for few numbers, and the ResNet-GRU for more. For one target
        (None), principal components of its simulations are.
    shape : sequence of int, optional
        Shape of the data of one target, as networks see them.
    is_image : bool
        True for images, for which the two-dimensional ResNet is selected.
    """
    if roles is None:
        return "pca"
    if is_image:
        return "resnet2d"
    if {"mask", "time"} & set(roles):
        return "attention"
    return "mlp" if shape and math.prod(shape) <= FEATURES.longest_vector else "resnet-gru"


def featurizer_factory(
    featurizer: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | nn.Module,
) -> FeaturizerFactory:
    """Factory of featurizers for data of a given shape, ``(shape, n_params) -> Featurizer``.

    Parameters
    ----------
    featurizer : str, dict, list of dict or nn.Module
        ``"auto"`` (see `automatic_featurizer`) or another name; a dictionary with ``"type"`` and settings; a
        list of such dictionaries for several inputs, each with its ``"shape"``; a `Featurizer`; or a module
        that maps whitened data of shape (n, n_channels, length) to (n, n_features).

    Raises
    ------
    ValueError, TypeError
        For an unknown name or setting, or another type of argument.
    """
    if isinstance(featurizer, Featurizer):
        original = featurizer
        return lambda shape, n_params: copy.deepcopy(original)
    if isinstance(featurizer, nn.Module):
        return partial(_adapted, featurizer)
    if isinstance(featurizer, str):
        featurizer = {"type": featurizer}
    if isinstance(featurizer, Sequence):
        featurizer = {"type": "joined", "parts": tuple(featurizer)}
    if not isinstance(featurizer, Mapping):
        raise TypeError(
            f"featurizer: expected a name, a dictionary or an nn.Module, got {type(featurizer).__name__}; "
            f"names: {', '.join(sorted(FEATURIZERS.offers()))}"
        )
    settings = dict(featurizer)
    name = settings.pop("type", "auto")
    name = automatic_featurizer() if name == "auto" else name
    kind = FEATURIZERS.named(name)
    config: Any = build(kind.settings, settings, "featurizer")

    def make(shape: tuple[int, int], n_params: int) -> Featurizer:
        made = kind.make(shape, n_params, config)
        made.recipe = {"type": name, **asdict(config)}
        if isinstance(made, JoinedFeaturizer):
            # The recipe also stores the defaults of the parts, which may have changed when it is read.
            each = zip(made.shapes, cast("list[Featurizer]", list(made.parts)), strict=True)
            made.recipe = {"type": name, "parts": [{"shape": shape, **part.recipe} for shape, part in each]}
        return made

    return make


def _adapted(module: nn.Module, shape: tuple[int, int], n_params: int) -> SequenceInputs:
    """A user's module with scaled inputs; a call with two empty rows gives its number of features."""
    was_training = module.training
    module.eval()
    parameter = next(module.parameters(), torch.zeros(1))
    with torch.no_grad():
        try:
            features = module(torch.zeros(2, *shape, device=parameter.device))
        except Exception as error:
            raise ValueError(
                f"featurizer: {type(module).__name__} failed on data of shape (2, {shape[0]}, {shape[1]}): "
                f"{error}; it gets arrays of shape (n, n_channels, length)"
            ) from error
    module.train(was_training)
    if features.ndim != 2 or features.shape[0] != 2:
        raise ValueError(
            f"featurizer: expected output of shape (n, n_features), got {tuple(features.shape)} for n = 2 "
            f"from {type(module).__name__}; flatten its output"
        )
    return SequenceInputs(copy.deepcopy(module), features.shape[1], shape)
