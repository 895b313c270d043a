"""Amortised inference: an estimator that is trained once on simulations and answers for any target."""

from __future__ import annotations

from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.layout import DataLayout, Targets

__all__ = ["DataLayout", "Estimator", "Targets"]
