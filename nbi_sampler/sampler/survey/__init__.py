"""Surveys: one trained model, many targets, and one table that survives the end of the process."""

from __future__ import annotations

from nbi_sampler.sampler.survey.inference import infer_many
from nbi_sampler.sampler.survey.table import Survey

__all__ = ["Survey", "infer_many"]
