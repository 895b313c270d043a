"""Amortised inference: an estimator that is trained once on simulations and answers for any target."""

from __future__ import annotations

from nbi_sampler.amortised.data_format import DataLayout, Targets
from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.noise import NoiseLevels, TensorNoise

__all__ = ["DataLayout", "Estimator", "NoiseLevels", "Targets", "TensorNoise"]
