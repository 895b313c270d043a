"""Whether to believe an amortised posterior: numbers from arrays of draws, and a page of plots."""

from __future__ import annotations

from nbi_sampler.diagnostics.assessment import Assessment, assess
from nbi_sampler.diagnostics.calibration import calibration_ranks
from nbi_sampler.diagnostics.coverage import Coverage, coverage, highest_density_ranks, tarp_ranks
from nbi_sampler.diagnostics.out_of_distribution import Familiarity
from nbi_sampler.diagnostics.page import page
from nbi_sampler.diagnostics.predictive import Discrepancy, PredictiveCheck, chi_squared, predictive_check
from nbi_sampler.diagnostics.ranks import fractional_ranks, uniformity

__all__ = [
    "Assessment",
    "Coverage",
    "Discrepancy",
    "Familiarity",
    "PredictiveCheck",
    "assess",
    "calibration_ranks",
    "chi_squared",
    "coverage",
    "fractional_ranks",
    "highest_density_ranks",
    "page",
    "predictive_check",
    "tarp_ranks",
    "uniformity",
]
