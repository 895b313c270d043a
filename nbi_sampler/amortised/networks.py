"""Networks of an engine: the paper's names of their settings, and a featurizer that suits the data.

Called by the engine with what its user gave, once it is known what the data consist of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbi_sampler.amortised.layout import DataLayout

__all__ = ["featurizer_settings", "flow_settings", "suited_to"]

# Settings of the paper's code by their names here; those that nothing here corresponds to are left out: the
# normalisation and the shuffling of the coordinates are fixed, the number of features follows.
_FEATURIZER_NAMES = {"n_rnn": "n_gru", "dim_conv_min": "dim_conv"}
_FEATURIZER_FIXED = ("norm",)
_FLOW_FIXED = ("perm_seed", "num_cond_inputs")


def featurizer_settings(featurizer: Any) -> Any:
    """A featurizer with the names of its settings here."""
    if not isinstance(featurizer, Mapping):
        return featurizer
    named = {_FEATURIZER_NAMES.get(key, key): value for key, value in featurizer.items()}
    return {key: value for key, value in named.items() if key not in _FEATURIZER_FIXED}


def suited_to(layout: DataLayout, featurizer: Any) -> Any:
    """A featurizer as `featurizer_factory` takes it, for data of some layout.

    Parameters
    ----------
    layout : DataLayout
    featurizer : str, dict, list or nn.Module
        ``"auto"`` is attention where points may be missing or times differ, else the ResNet-GRU; ``dim_in``
        is the number of rows of x, as in the paper.
    """
    if not isinstance(featurizer, str | Mapping):
        return featurizer
    settings = {"type": featurizer} if isinstance(featurizer, str) else dict(featurizer)
    if settings.setdefault("type", "auto") == "auto":
        settings["type"] = "attention" if layout.has_mask or "time" in layout.channels else "resnet-gru"
    if settings["type"] == "attention":
        settings.setdefault("channels", layout.roles)
    n_channels = len(layout.channels)
    if settings.get("dim_in") in (n_channels, n_channels // (1 + layout.is_complex)):
        settings["dim_in"] = layout.shape[0]
    return settings


def flow_settings(flow: Any) -> Any:
    """A flow as `flow_factory` takes it."""
    if not isinstance(flow, Mapping):
        return flow
    return {key: value for key, value in flow.items() if key not in _FLOW_FIXED}
