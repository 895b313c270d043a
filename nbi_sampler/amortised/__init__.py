"""Amortised inference: an estimator that is trained once on simulations and answers for any target."""

from __future__ import annotations

from typing import Any

from nbi_sampler.amortised.data_format import DataFormat, Observation
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.noise import NoiseLevels, TensorNoise
from nbi_sampler.core.former_names import RENAMED

__all__ = ["DataFormat", "Estimator", "NoiseLevels", "Observation", "TensorNoise"]


def __getattr__(name: str) -> Any:
    """Classes by their former names."""
    if RENAMED.get(name) in __all__:
        return globals()[RENAMED[name]]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
