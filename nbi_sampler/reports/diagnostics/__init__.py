"""Tests of an amortised posterior: numbers from arrays of draws, and a page of plots."""

from __future__ import annotations

from nbi_sampler.reports.diagnostics.assessment import Assessment, assess
from nbi_sampler.reports.diagnostics.diagnosis import Diagnosis, ObservationCheck
from nbi_sampler.reports.diagnostics.local import LocalCalibration, local_calibration
from nbi_sampler.reports.diagnostics.page import page
from nbi_sampler.reports.diagnostics.predictive import (
    Discrepancy,
    PredictiveCheck,
    chi_squared,
    predictive_check,
)
from nbi_sampler.reports.diagnostics.ranks import (
    Coverage,
    calibration_ranks,
    coverage,
    fractional_ranks,
    highest_density_ranks,
    tarp_ranks,
    uniformity,
)

__all__ = [
    "Assessment",
    "Coverage",
    "Diagnosis",
    "Discrepancy",
    "LocalCalibration",
    "ObservationCheck",
    "PredictiveCheck",
    "assess",
    "calibration_ranks",
    "chi_squared",
    "coverage",
    "fractional_ranks",
    "highest_density_ranks",
    "local_calibration",
    "page",
    "predictive_check",
    "tarp_ranks",
    "uniformity",
]
